package pops

import (
	"fmt"
	"slices"
	"time"

	"ringhook/hooks"
	"ringhook/lookup/number"
)

// Fresh is the age of an event after which it no longer pops.
const Fresh = 20 * time.Second

// candidate is a decision in progress.
type candidate struct {
	*rule
	ev        *hooks.Event
	agent     *Agent
	situation *Situation
	decision  *Decision
}

// checks are the conditions that suppress a pop, in their order. The first that holds decides.
var checks = []struct {
	reason Reason
	holds  func(*candidate) (suppressed bool, note string)
}{
	{Internal, (*candidate).internal},
	{Late, (*candidate).late},
	{Moment, (*candidate).moment},
	{Repeat, (*candidate).repeat},
	{Off, (*candidate).off},
	{Anonymous, (*candidate).anonymous},
	{Short, (*candidate).short},
	{Exception, (*candidate).exception},
	{Busy, (*candidate).busy},
	{Waiting, (*candidate).waiting},
	{Unknown, (*candidate).unknown},
	{Weak, (*candidate).weak},
	{BadURL, (*candidate).page},
	{SignedOut, (*candidate).signedOut},
}

// Decide returns what an event means for one agent's screen. It reads no clock and does no I/O. The
// first rule that has the event, names the agent and whose condition holds decides.
func (r *Rules) Decide(ev *hooks.Event, a *Agent, s Situation) Decision {
	d := Decision{Action: None, Reason: NoRule}
	rule, note := r.match(ev, a)
	if rule == nil {
		d.Note = note
		return d
	}
	d.Rule, d.Until, d.Close, d.mask = rule.Name, ev.Time.Add(Fresh), rule.Close, rule.mask
	c := &candidate{rule: rule, ev: ev, agent: a, situation: &s, decision: &d}
	d.Action = c.mode()
	d.Ways = c.waysOf()
	for _, check := range checks {
		if suppressed, note := check.holds(c); suppressed {
			d.Action, d.Reason, d.Note, d.URL = None, check.reason, note, ""
			return d
		}
	}
	d.Reason = Popped
	return d
}

// match returns the rule that decides, or why there is none.
func (r *Rules) match(ev *hooks.Event, a *Agent) (*rule, string) {
	note := ""
	for _, rule := range r.rules {
		if !slices.Contains(rule.Events, ev.Name) || !rule.addresses(ev, a) && !rule.forUnlisted(ev, a) {
			continue
		}
		if rule.when == nil {
			return rule, ""
		}
		holds, err := rule.when.Holds(ev)
		switch {
		case err != nil:
			note = rule.Name + ": " + err.Error()
		case holds:
			return rule, ""
		case note == "":
			note = rule.Name + ": its condition does not hold"
		}
	}
	return nil, note
}

// forUnlisted reports whether the rule is for the agent of the event, who is known by the phone alone.
func (r *rule) forUnlisted(ev *hooks.Event, a *Agent) bool {
	return slices.Contains(r.To, toAgent) && a.Phone != "" && a.Phone == text(ev, "agent_phone")
}

// may reports whether the agent's own setting of a name applies.
func (c *candidate) may(name string) bool { return slices.Contains(c.AgentMay, name) }

func (c *candidate) mode() Action {
	if own := c.agent.Choices.Mode; c.may("mode") && own != "" {
		return own
	}
	return Action(c.Mode)
}

// waysOf returns the ways in their order, the agent's own choice first.
func (c *candidate) waysOf() []Way {
	own := c.agent.Choices.Open
	if !c.may("open") || own == "" {
		return slices.Clone(c.ways)
	}
	if slices.Contains(c.ways, Scheme) && own != Card && own != Notice {
		return slices.Clone(c.ways) // the page opens in the program alone
	}
	rest := slices.DeleteFunc(slices.Clone(c.ways), func(w Way) bool { return w == own })
	return append([]Way{own}, rest...)
}

func (c *candidate) internal() (bool, string) {
	return text(c.ev, "direction") == "internal" && !c.Internal, ""
}

func (c *candidate) late() (bool, string) {
	if c.ev.Params["correction"] == true || c.ev.Params["presumed"] == true {
		return true, "reported after the end of the call"
	}
	age := c.situation.Now.Sub(c.ev.Time)
	return age > Fresh, fmt.Sprintf("the event is %s old", age.Round(time.Second))
}

func (c *candidate) moment() (bool, string) {
	if c.Moment != momentChoose {
		return false, ""
	}
	chosen := c.Events[0]
	if own := c.agent.Choices.Moment; c.may("moment") && slices.Contains(c.Events, own) {
		chosen = own
	}
	return chosen != c.ev.Name, "it pops at " + chosen
}

func (c *candidate) repeat() (bool, string) { return slices.Contains(c.situation.Popped, c.Name), "" }

func (c *candidate) off() (bool, string) {
	until := c.agent.Choices.Off
	return c.situation.Now.Before(until), "until " + until.Format(time.TimeOnly)
}

// needsNumber reports whether the rule makes no sense without the other party's number.
func (c *candidate) needsNumber() bool {
	return c.digits() > 0 || slices.Contains(c.NotWhen, string(Anonymous)) || slices.Contains(c.ways, GetEvent)
}

func (c *candidate) anonymous() (bool, string) {
	return c.needsNumber() && (Other(c.ev) == "" || c.ev.Params["callerid_withheld"] == true && text(c.ev, "direction") != "outgoing"), ""
}

// digits returns the least number of digits that pops.
func (c *candidate) digits() int {
	if own := c.agent.Choices.MinLength; c.may("min_length") && own > 0 {
		return own
	}
	return int(c.MinLength)
}

func (c *candidate) short() (bool, string) {
	n := number.CountDigits(Other(c.ev))
	return n < c.digits(), fmt.Sprintf("%d digits, at least %d pop", n, c.digits())
}

func (c *candidate) exception() (bool, string) {
	for _, e := range c.except {
		if e.fits(Other(c.ev), raw(c.ev)) {
			return true, e.text + ", for all agents"
		}
	}
	return c.situation.Exception != "", c.situation.Exception
}

// raw returns the other party's number as the trunk delivered it.
func raw(ev *hooks.Event) string {
	if text(ev, "direction") == "outgoing" {
		return ""
	}
	return text(ev, "callerid_raw")
}

func (c *candidate) busy() (bool, string) {
	unwanted := slices.Contains(c.NotWhen, string(Busy)) || c.may(string(Busy)) && c.agent.Choices.NotBusy
	return unwanted && c.situation.Busy, ""
}

func (c *candidate) waiting() (bool, string) {
	if c.situation.Result != Pending || c.Wait <= 0 {
		return false, ""
	}
	again := c.ev.Time.Add(c.Wait)
	if !c.situation.Now.Before(again) {
		return false, ""
	}
	c.decision.Again = again
	return true, "for " + c.Wait.String()
}

func (c *candidate) unknown() (bool, string) {
	if c.situation.Result.known() {
		return false, ""
	}
	unwanted := slices.Contains(c.NotWhen, string(Unknown)) || c.may(string(Unknown)) && c.agent.Choices.NotFound
	noPage := c.notFound == nil && c.found != nil
	return unwanted || noPage, results[c.situation.Result]
}

// results describe the results without a customer.
var results = map[Result]string{
	NotAsked: "no lookup was asked about this call", NotFound: "no customer has this number",
	Failed: "the lookup failed", Pending: "the lookup has not answered yet",
}

// weak bounds the action for a customer who was found by the last digits of the number alone.
func (c *candidate) weak() (bool, string) {
	if text(c.ev, "match") != "suffix" {
		return false, ""
	}
	switch Action(c.Weak) {
	case None:
		return true, "only the last digits of the number fit"
	case Offer:
		c.decision.Action = Offer
	}
	return false, ""
}

// page fills in URL and title.
func (c *candidate) page() (bool, string) {
	at, title := c.notFound, c.titleNotFound
	switch c.situation.Result {
	case Found:
		at, title = c.found, c.title
	case Several:
		at, title = c.several, c.title
	}
	c.decision.Title = Clean(title.Fill(c.ev, nil), maxTitle)
	if at == nil {
		return false, ""
	}
	var err error
	if c.decision.URL, err = at.fill(c.ev); err != nil {
		return true, err.Error()
	}
	return false, ""
}

// signedOut leaves only the ways that need no desk, if none is open.
func (c *candidate) signedOut() (bool, string) {
	if c.situation.Desks > 0 {
		return false, ""
	}
	c.decision.Ways = slices.DeleteFunc(c.decision.Ways, Way.NeedsDesk)
	return len(c.decision.Ways) == 0, "no desk of the agent is open"
}
