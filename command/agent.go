package command

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"ringhook/api"
	"ringhook/control"
)

type agentCmd struct {
	List   agentListCmd   `cmd:"" help:"List the agents with their phones, queues and pauses."`
	Times  agentTimesCmd  `cmd:"" help:"Show how long an agent was logged in and paused."`
	Login  agentLoginCmd  `cmd:"" help:"Log an agent in to queues."`
	Logout agentLogoutCmd `cmd:"" help:"Log an agent out of queues."`
	Pause  agentPauseCmd  `cmd:"" help:"Pause an agent, or change the reason."`
	Resume agentResumeCmd `cmd:"" help:"End the pause of an agent."`

	Call     agentCallCmd     `cmd:"" help:"Call a number: first the agent's phone, then the number."`
	Answer   agentAnswerCmd   `cmd:"" help:"Have the agent's phone answer, if it can."`
	Hold     agentHoldCmd     `cmd:"" help:"Put a call of an agent on hold."`
	Unhold   agentUnholdCmd   `cmd:"" help:"End the hold of a call."`
	Transfer agentTransferCmd `cmd:"" help:"Transfer a call of an agent."`
	Complete agentCompleteCmd `cmd:"" help:"Complete an attended transfer."`
	Cancel   agentCancelCmd   `cmd:"" help:"Cancel an attended transfer."`
}

// query returns the parameter of the request that names the Asterisk.
func (f *serverFlag) query() url.Values {
	if f.Server == "" {
		return nil
	}
	return url.Values{"server": {f.Server}}
}

type agentListCmd struct {
	JSON bool `name:"json" help:"Print JSON, as GET /v1/agents does."`
}

// Run prints what the running service knows of the agents.
func (c *agentListCmd) Run(s *streams) error {
	var list struct {
		Agents []control.AgentView `json:"agents"`
	}
	if err := s.ask(http.MethodGet, apiPath("agents"), nil, nil, &list); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, list)
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "AGENT\tNAME\tROLE\tPHONE\tSTATE\tQUEUES\tPAUSED\tCALLS")
	for _, a := range list.Agents {
		var in, paused []string
		for _, q := range a.Queues {
			if q.LoggedIn {
				in = append(in, printable(q.Queue))
			}
			if q.Paused {
				paused = append(paused, printable(q.Queue)+pauseOf(&q))
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", printable(a.Agent), printable(cmp.Or(a.Name, "-")), a.Role, printable(cmp.Or(a.Phone, "-")), a.State,
			cmp.Or(strings.Join(in, " "), "-"), cmp.Or(strings.Join(paused, " "), "-"), len(a.Calls))
	}
	return w.Flush()
}

type agentTimesCmd struct {
	Agent string     `arg:"" help:"The agent's id in the configuration."`
	Since api.Moment `placeholder:"TIME" help:"From then on: 8h for the last eight hours, or \"2006-01-02 15:04\". Default: today."`
	Until api.Moment `placeholder:"TIME" help:"Only before then."`
	JSON  bool       `name:"json" help:"Print JSON, as GET /v1/agents/ID/times does."`
}

// Run prints the sums and each time span.
func (c *agentTimesCmd) Run(s *streams) error {
	query := url.Values{}
	if !c.Since.IsZero() {
		query.Set("since", c.Since.Format(time.RFC3339))
	}
	if !c.Until.IsZero() {
		query.Set("until", c.Until.EndOf(c.Since.Time).Format(time.RFC3339))
	}
	var t control.AgentTimes
	if err := s.ask(http.MethodGet, apiPath("agents", c.Agent, "times"), query, nil, &t); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, t)
	}
	fmt.Fprintf(s.out, "logged in %v, paused %v\n", time.Duration(t.LoggedIn)*time.Second, time.Duration(t.Paused)*time.Second)
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "FROM\tTO\tSTATE\tREASON")
	for _, one := range t.Spans {
		to := one.To.Local().Format(time.DateTime)
		if one.Open {
			to = "now"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", one.From.Local().Format(time.DateTime), to, one.State, printable(cmp.Or(one.Reason, "-")))
	}
	return w.Flush()
}

// pauseOf describes a pause.
func pauseOf(q *control.AgentQueue) string {
	var about []string
	if q.Reason != "" {
		about = append(about, printable(q.Reason))
	}
	if q.Since != nil {
		about = append(about, age(*q.Since))
	}
	if q.Until != nil {
		about = append(about, "until "+q.Until.Local().Format(time.TimeOnly))
	}
	if q.Overdue {
		about = append(about, "too long")
	}
	if about == nil {
		return ""
	}
	return " (" + strings.Join(about, ", ") + ")"
}

// agentArgs are those of all commands for one agent.
type agentArgs struct {
	serverFlag
	Agent string   `arg:"" help:"The agent's id in the configuration."`
	Queue []string `placeholder:"ID" help:"Only this queue; can be given several times."`
}

// do sends a command and prints its results.
func (c *agentArgs) do(s *streams, method, command string, in any) error {
	return printResults(s, method, apiPath("agents", c.Agent, command), c.query(), in)
}

// printResults sends a command for several queues or calls, prints the results, and fails unless all are ok.
func printResults(s *streams, method, path string, query url.Values, in any) error {
	var all control.Results
	if err := s.ask(method, path, query, in, &all); err != nil {
		return err
	}
	failed := false
	for _, r := range all.Results {
		fmt.Fprintf(s.out, "%s: %s", printable(cmp.Or(r.Queue, r.Call)), r.Result)
		if r.Error != "" {
			failed = true
			fmt.Fprintf(s.out, ": %s", printable(r.Error))
		}
		fmt.Fprintln(s.out)
	}
	if failed {
		return errors.New("not everything was done, see above")
	}
	return nil
}

type agentLoginCmd struct {
	agentArgs
	Penalty int    `help:"The agent's penalty in the queues."`
	Phone   string `help:"Refuse unless this is the agent's phone."`
}

// Run logs in to the queues of the configuration, or to some.
func (c *agentLoginCmd) Run(s *streams) error {
	return c.do(s, http.MethodPost, "login", control.LoginRequest{Queues: c.Queue, Penalty: c.Penalty, Phone: c.Phone})
}

type agentLogoutCmd struct{ agentArgs }

// Run logs out of all queues, or of some.
func (c *agentLogoutCmd) Run(s *streams) error {
	return c.do(s, http.MethodPost, "logout", control.LoginRequest{Queues: c.Queue})
}

type agentPauseCmd struct {
	agentArgs
	Reason string        `help:"Why, as [[pause]] names it."`
	For    time.Duration `help:"End the pause after this time, such as 30m."`
}

// Run pauses in all queues, or in some.
func (c *agentPauseCmd) Run(s *streams) error {
	in := control.PauseRequest{Queues: c.Queue, Reason: c.Reason}
	if c.For != 0 {
		until := time.Now().Add(c.For)
		in.Until = &until
	}
	return c.do(s, http.MethodPut, "pause", in)
}

type agentResumeCmd struct{ agentArgs }

// Run ends the pause in all queues, or in some.
func (c *agentResumeCmd) Run(s *streams) error {
	return c.do(s, http.MethodDelete, "pause", control.PauseRequest{Queues: c.Queue})
}
