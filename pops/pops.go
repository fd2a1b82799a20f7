// Package pops decides which agent gets which screen pop, when and where, and for each one that does
// not pop it names one reason from a closed list. Decide and Addressees are pure functions. Live
// applies them to the events of calls; it holds nothing on disk, and nothing waits for it.
//
// It guarantees at most one pop for each call, agent and rule, and that no value of a caller or a
// source changes the scheme, the host or the path's depth of a URL.
package pops

import (
	"strings"
	"time"

	"ringhook/hooks"
	"ringhook/httpclient"
)

// Action is what a screen does with a pop.
type Action string

// The actions.
const (
	None  Action = "none"
	Offer Action = "offer" // shows a button
	Force Action = "force" // opens the page
)

// Way is a place where a pop is shown, or the way to the agent's own program.
type Way string

// The ways.
const (
	Frame    Way = "frame"    // beside the call, in the desk
	Window   Way = "window"   // in a window that the agent opened once
	Tab      Way = "tab"      // in a tab of its own
	Scheme   Way = "scheme"   // a URL for a program on the agent's machine
	Card     Way = "card"     // the call's card in the desk, without a page
	Notice   Way = "notice"   // a notification of the desktop
	GetEvent Way = "getevent" // reported to a program that polls
	// A way that begins with hook: is a hook that gets the pop as an event.
)

// NeedsDesk reports whether only an open desk can show a pop in this way.
func (w Way) NeedsDesk() bool { return w != GetEvent && w.Hook() == "" }

// Hook returns the name of the hook that takes the pop, empty for other ways.
func (w Way) Hook() string {
	name, _ := strings.CutPrefix(string(w), hookPrefix)
	if len(name) == len(w) {
		return ""
	}
	return name
}

// hookPrefix begins the way to a hook: hook:NAME.
const hookPrefix = "hook:"

// label returns the way as a label of metrics.
func (w Way) label() string {
	if w.Hook() != "" {
		return "hook"
	}
	return string(w)
}

// Result is what the lookups of a call found, at the time of an event.
type Result string

// The results.
const (
	NotAsked Result = ""
	Found    Result = "found"
	Several  Result = "several"   // several customers have the number
	NotFound Result = "not-found" // no customer has the number
	Failed   Result = "error"
	Pending  Result = "pending" // no answer yet
)

// known reports whether the caller is a known customer.
func (r Result) known() bool { return r == Found || r == Several }

// Agent is a person who may get pops. One whose ID is empty is known by the phone alone.
type Agent struct {
	ID    string
	Phone string
	Name  string
	// Supervisor receives the pops whose rule has to = "supervisors".
	Supervisor bool
	// Queues are the ids of the queues in which the agent is logged in and not paused.
	Queues []string
	// Choices are the agent's own settings; they apply where the rule allows them.
	Choices Choices
}

// key identifies the agent.
func (a *Agent) key() string {
	if a.ID != "" {
		return "id\x00" + a.ID
	}
	return "phone\x00" + a.Phone
}

// String returns the name by which people know the agent.
func (a *Agent) String() string {
	switch {
	case a.Name != "" && a.ID != "":
		return a.ID + " (" + a.Name + ")"
	case a.ID != "":
		return a.ID
	}
	return "phone " + a.Phone
}

// Choices are settings of one agent. Zero values leave the rule's own.
type Choices struct {
	Moment    string // event at which pops come
	Mode      Action
	Open      Way
	NotBusy   bool // no pops during a call
	NotFound  bool // no pops for unknown callers
	MinLength int
	Off       time.Time // no pops until then
}

// Situation is everything that Decide has to know beside the event, the agent and the rules.
type Situation struct {
	Now       time.Time
	Result    Result
	Busy      bool     // the agent talks in another call
	Popped    []string // rules that already popped for this call and agent
	Desks     int      // number of open desks of the agent
	Exception string   // the agent's own exception that fits the number; empty for none
}

// Decision is what an event means for one agent's screen.
type Decision struct {
	Action Action
	Rule   string // name of the rule that decided; empty if none has this event
	Reason Reason
	Note   string // detail of the reason, for people
	Ways   []Way  // in the order in which they are tried
	URL    string // empty for ways without a page
	Title  string
	Until  time.Time // after which the pop comes too late
	Close  []string  // the fates at which the page is taken away too
	// Again is the time at which to decide again because a lookup is still under way; zero
	// otherwise.
	Again time.Time

	mask *httpclient.Mask // of the rule
}

// Shown returns page and title as traces and commands show them: without what the rule has from the environment, and other
// secrets of its pages.
func (d *Decision) Shown() (url, title string) { return d.mask.Replace(d.URL), d.mask.Replace(d.Title) }

// Pops reports whether the event makes a pop.
func (d *Decision) Pops() bool { return d.Action != None }

// Other returns the number of the other party: the caller's, or in an outgoing call the dialled one.
func Other(ev *hooks.Event) string {
	name := "callerid"
	if text(ev, "direction") == "outgoing" {
		name = "dialed"
	}
	return text(ev, name)
}

// text returns a parameter that is a text.
func text(ev *hooks.Event, name string) string {
	s, _ := ev.Params[name].(string)
	return s
}
