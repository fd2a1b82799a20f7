package control

import (
	"time"

	"ringhook/store/desk"
)

// AgentTimes are the times of an agent in a time span: how long the agent was logged in to at least one queue, and paused in
// all of those. While an Asterisk was not connected the states are not known, and count as nothing after five minutes.
type AgentTimes struct {
	Agent string    `json:"agent"` // id
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// LoggedIn and Paused are in seconds.
	LoggedIn int `json:"logged_in_s"`
	Paused   int `json:"paused_s"`
	// Reasons are the seconds of the pauses with each reason; "" is none.
	Reasons map[string]int `json:"reasons"`
	// Spans are the parts of the time span, the earliest first.
	Spans []desk.AgentState `json:"spans"`
}

// longestSpan is the longest time span of AgentTimes.
const longestSpan = 100 * 24 * time.Hour

// Times returns the times of an agent between since, by default midnight in the time zone of this machine, and until,
// by default now.
func (c *Control) Times(who Actor, id string, since, until time.Time) (AgentTimes, error) {
	now := time.Now()
	if until.IsZero() || until.After(now) {
		until = now
	}
	if since.IsZero() {
		year, month, day := until.Date()
		since = time.Date(year, month, day, 0, 0, 0, 0, until.Location())
	}
	t := AgentTimes{Agent: id, Since: since, Until: until, Reasons: map[string]int{}, Spans: []desk.AgentState{}}
	a, err := c.settings.Load().agent(id)
	if err == nil {
		err = allowed(who, "pause", a, "")
	}
	switch {
	case err != nil:
		return t, err
	case !since.Before(until):
		return t, errorf(BadRequest, "since must be before until, and in the past")
	case until.Sub(since) > longestSpan:
		return t, errorf(BadRequest, "since and until must be at most %d days apart", longestSpan/(24*time.Hour))
	case c.desk == nil:
		return t, nil
	}
	states, err := c.desk.AgentStates(id, since, until)
	t.add(states, now)
	return t, err
}

// add adds states, cut to the time span. One that lasts was last stored up to a minute ago.
func (t *AgentTimes) add(states []desk.AgentState, now time.Time) {
	var in, paused time.Duration
	reasons := map[string]time.Duration{}
	for _, s := range states {
		if s.Open && now.Sub(s.To) < longestGap {
			s.To = now
		}
		if s.From.Before(t.Since) {
			s.From = t.Since
		}
		if s.To.After(t.Until) {
			s.To = t.Until
		}
		if !s.From.Before(s.To) || s.State == desk.AgentServes {
			continue
		}
		t.Spans = append(t.Spans, s)
		switch s.State {
		case desk.AgentIn:
			in += s.To.Sub(s.From)
		case desk.AgentPaused:
			paused += s.To.Sub(s.From)
			reasons[s.Reason] += s.To.Sub(s.From)
		}
	}
	t.LoggedIn, t.Paused = seconds(in), seconds(paused)
	for reason, d := range reasons {
		t.Reasons[reason] = seconds(d)
	}
}

func seconds(d time.Duration) int { return int(d.Round(time.Second) / time.Second) }
