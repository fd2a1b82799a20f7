package command

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"ringhook/api"
	"ringhook/conf"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/lookup/number"
	"ringhook/pops"
)

type popCmd struct {
	Test popTestCmd `cmd:"" help:"Show what would pop for a number, an agent and an event, and why."`
}

type popTestCmd struct {
	Rule       string   `arg:"" help:"The rule's name."`
	Parameters []string `arg:"" optional:"" placeholder:"NAME=VALUE" help:"Parameters of the event, such as queue_id=500."`
	Number     string   `placeholder:"NUMBER" help:"The other party's number, as a trunk delivers it; a sample otherwise."`
	Agent      string   `placeholder:"ID" help:"The agent's id or phone; the first [[agent]] otherwise."`
	Event      string   `placeholder:"EVENT" help:"The event; the first of the rule otherwise."`
	Busy       bool     `help:"The agent talks in another call."`
	Result     string   `enum:",found,several,not-found,error" default:"" help:"What the lookups find: found, several, not-found or error; they are asked otherwise."`
	JSON       bool     `name:"json" help:"Print the decision as JSON."`
}

// Run takes the decision that a running server would take. Nothing pops, is stored or counted.
func (c *popTestCmd) Run(s *streams) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	n := slices.IndexFunc(cfg.Pops, func(p pops.Config) bool { return p.Name == c.Rule })
	if n < 0 {
		return usageError{fmt.Errorf("the configuration has no [[pop]] %q, only %s", c.Rule, cmp.Or(strings.Join(ruleNames(cfg), ", "), "none"))}
	}
	rules, err := pops.Compile(cfg.Pops[n : n+1])
	if err != nil {
		return err
	}
	ev, err := sampleEvent(cmp.Or(c.Event, cfg.Pops[n].Events[0]))
	if err != nil {
		return err
	}
	agent, err := c.agent(cfg, ev)
	if err != nil {
		return err
	}
	result, err := c.fill(s, cfg, ev)
	if err != nil {
		return err
	}
	for _, p := range c.Parameters {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return usageError{fmt.Errorf("parameter %q is not NAME=VALUE", p)}
		}
		ev.Params[name] = value
	}
	d := rules.Decide(ev, &agent, pops.Situation{Now: ev.Time, Result: result, Busy: c.Busy, Desks: 1})
	d.URL, d.Title = d.Shown()
	if c.JSON {
		return printJSON(s.out, popReport{
			Rule: c.Rule, Event: ev.Name, Agent: agent.String(), Number: pops.Other(ev), Result: string(result), Action: string(d.Action),
			Reason: string(d.Reason), Note: d.Note, Ways: d.Ways, URL: d.URL, Title: d.Title,
		})
	}
	printDecision(s.out, ev, &agent, result, &d)
	return nil
}

// popReport is a decision as JSON.
type popReport struct {
	Rule   string     `json:"rule"`
	Event  string     `json:"event"`
	Agent  string     `json:"agent"`
	Number string     `json:"number,omitempty"`
	Result string     `json:"lookup,omitempty"`
	Action string     `json:"action"`
	Reason string     `json:"reason"`
	Note   string     `json:"note,omitempty"`
	Ways   []pops.Way `json:"ways,omitempty"`
	URL    string     `json:"url,omitempty"`
	Title  string     `json:"title,omitempty"`
}

func printDecision(w io.Writer, ev *hooks.Event, a *pops.Agent, result pops.Result, d *pops.Decision) {
	fmt.Fprintf(w, "%s for %s, number %s, lookup: %s\n", ev.Name, printable(a.String()), printable(cmp.Or(pops.Other(ev), "withheld")), cmp.Or(string(result), "not asked"))
	if !d.Pops() {
		fmt.Fprintf(w, "no pop: %s", d.Reason)
		if d.Note != "" {
			fmt.Fprintf(w, ": %s", printable(d.Note))
		}
		fmt.Fprintln(w)
		return
	}
	texts := make([]string, len(d.Ways))
	for i, way := range d.Ways {
		texts[i] = string(way)
	}
	fmt.Fprintf(w, "pops: %s by %s\n", d.Action, strings.Join(texts, ", then "))
	if d.URL != "" {
		fmt.Fprintf(w, "  url    %s\n", printable(d.URL))
	}
	if d.Title != "" {
		fmt.Fprintf(w, "  title  %s\n", printable(d.Title))
	}
}

func ruleNames(cfg *conf.Config) []string {
	var names []string
	for _, p := range cfg.Pops {
		names = append(names, p.Name)
	}
	return names
}

// agent returns the agent, and puts it into the event.
func (c *popTestCmd) agent(cfg *conf.Config, ev *hooks.Event) (pops.Agent, error) {
	a := pops.Agent{ID: "7", Phone: "101", Name: "Anna"} // those of the sample
	switch n := slices.IndexFunc(cfg.Agents, func(a dialplan.Agent) bool {
		return c.Agent == "" || a.ID == c.Agent || a.Phone == dialplan.Phone(c.Agent, nil)
	}); {
	case n >= 0:
		a = pops.Agent{ID: cfg.Agents[n].ID, Phone: cfg.Agents[n].Phone, Name: cfg.Agents[n].Name, Supervisor: cfg.Agents[n].Role != dialplan.RoleAgent}
	case c.Agent != "" && len(cfg.Agents) > 0:
		return a, usageError{fmt.Errorf("the configuration has no [[agent]] with the id or phone %q", c.Agent)}
	case c.Agent != "":
		a = pops.Agent{Phone: c.Agent}
	}
	if queue, ok := ev.Params["queue_id"].(string); ok {
		a.Queues = []string{queue} // as one who is logged in
	}
	ev.Params["agent_id"], ev.Params["agent_phone"], ev.Params["agent_name"] = a.ID, a.Phone, a.Name
	return a, nil
}

// fill puts the number into the event, and what the lookups answer about it.
func (c *popTestCmd) fill(s *streams, cfg *conf.Config, ev *hooks.Event) (pops.Result, error) {
	numbers := number.NewReader(cfg.Number)
	if c.Number != "" {
		name := "callerid"
		if ev.Params["direction"] == "outgoing" {
			name = "dialed"
		} else {
			ev.Params["callerid_raw"] = c.Number
		}
		ev.Params[name] = numbers.Normalize(c.Number).String()
	}
	if c.Result != "" || len(cfg.Lookups) == 0 {
		return pops.Result(c.Result), nil
	}
	report, _, err := ask(s, cfg, api.LookupRequest{Number: cmp.Or(c.Number, demoCaller)})
	if err != nil {
		return "", err
	}
	matches := int64(0)
	for name, value := range report.Parameters() {
		ev.Params[name] = value
		if name == "match_count" {
			matches, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return pops.Result(dialplan.Looked(report.Outcome, matches)), nil
}
