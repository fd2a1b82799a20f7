package pops

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config is one [[pop]] table: a rule.
type Config struct {
	// Preset is the name of the preset that the other keys were applied to. The reader of the file applies them.
	Preset string `toml:"preset"`
	// Name is the rule's name in metrics, the trace and commands: 1 to 32 small letters, digits,
	// underscores and hyphens.
	Name string `toml:"name"`
	// Events are the names of the events at which it pops. "agent-*" and other patterns are not allowed:
	// a pop has a moment.
	Events []string `toml:"events"`
	// When is a condition over the event's parameters, as in a hook.
	When string `toml:"when"`
	// To names who gets the pop: agent (of the event), members (of the event's queue), supervisors, or
	// ids of agents.
	To []string `toml:"to"`
	// Open is the way in which the pop is shown.
	Open string `toml:"open"`
	// Internal also pops for calls between two phones.
	Internal bool `toml:"internal"`
	// MinLength is the least number of digits of a number that pops; 0 for any.
	MinLength int64 `toml:"min_length"`
	// NotWhen suppresses pops: busy, not-found, anonymous.
	NotWhen []string `toml:"not_when"`
	// Except are numbers that do not pop. A * at the end stands for any digits.
	Except []string `toml:"except"`
	// Weak is the greatest action for a customer that was found by the last digits alone: force, offer or
	// none.
	Weak string `toml:"weak"`

	// URL is the page for every caller; Found, NotFound and Several are those for one customer, none and
	// several. A placeholder may stand in path, query and fragment.
	URL      string `toml:"url"`
	Found    string `toml:"found"`
	NotFound string `toml:"not_found"`
	Several  string `toml:"several"`
	// Params are added to the query of each page.
	Params map[string]string `toml:"params"`
	// Settings are values that placeholders take like parameters.
	Settings map[string]string `toml:"settings"`
	// Title is the title of the page, TitleNotFound the one for unknown callers.
	Title         string `toml:"title"`
	TitleNotFound string `toml:"title_not_found"`
	// Mode is the action: force or offer.
	Mode string `toml:"mode"`
	// Else are the ways that follow if one does not show the pop.
	Else []string `toml:"else"`
	// Moment is first, for the first event of the list that comes, or choose, for the agent's setting.
	Moment string `toml:"moment"`
	// AgentMay names what agents may set for themselves.
	AgentMay []string `toml:"agent_may"`
	// Wait is the time for which a running lookup is awaited.
	Wait time.Duration `toml:"wait"`
	// Close names the ends of a call at which the page is taken away: elsewhere, abandoned, ended.
	Close []string `toml:"close"`
	// Environment holds the values that the table took from environment variables. They are hidden in traces and commands.
	Environment []string `toml:"-"`
}

// SetEnvironment stores the values that the table took from environment variables.
func (c *Config) SetEnvironment(values []string) { c.Environment = values }

// DefaultConfig returns the settings of an empty table.
func DefaultConfig() Config {
	return Config{
		To: []string{toAgent}, Weak: string(Force), Mode: string(Force), Moment: momentFirst, Close: []string{string(Elsewhere), string(Abandoned)},
	}
}

// The values of To that are no ids of agents.
const (
	toAgent       = "agent"
	toMembers     = "members"
	toSupervisors = "supervisors"
)

// The values of Moment.
const (
	momentFirst  = "first"
	momentChoose = "choose"
)

var (
	ruleName        = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)
	eventName       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)
	exceptedPattern = regexp.MustCompile(`^\+?[0-9][0-9 ()./-]*\*?$|^\+\*$`)

	ways        = []Way{Frame, Window, Tab, Scheme, Card, Notice, GetEvent}
	closers     = []string{string(Elsewhere), string(Abandoned), string(Ended)}
	moments     = []string{momentFirst, momentChoose}
	suppressors = []string{string(Busy), string(Unknown), string(Anonymous)}
)

// maxWait is the maximum time for which a running lookup is awaited.
const maxWait = 1500 * time.Millisecond

// Check reports every setting that cannot be used, by its key.
func (c *Config) Check(report func(key, problem string)) {
	if !ruleName.MatchString(c.Name) {
		report("name", fmt.Sprintf("%q is not a name: 1 to 32 small letters, digits, - and _", c.Name))
	}
	if len(c.Events) == 0 {
		report("events", `is missing: name the events at which it pops, such as ["agent-dial"]`)
	}
	for _, name := range c.Events {
		if !eventName.MatchString(name) {
			report("events", fmt.Sprintf("%q is not the name of an event: letters, digits, - and _, and no pattern", name))
		}
	}
	if c.Open == "" {
		report("open", "is missing: one of "+oneOf(ways)+", or hook:NAME")
	} else if !isWay(c.Open) {
		report("open", fmt.Sprintf("%q is not one of %s, or hook:NAME", c.Open, oneOf(ways)))
	}
	if len(c.To) == 0 {
		report("to", `is empty: use "agent" or ids of agents`)
	}
	if c.MinLength < 0 || c.MinLength > 15 {
		report("min_length", "must be a number of digits, 0 to 15")
	}
	for _, s := range c.NotWhen {
		if !slices.Contains(suppressors, s) {
			report("not_when", fmt.Sprintf("%q is not one of %s", s, oneOf(suppressors)))
		}
	}
	for _, s := range c.Except {
		if !exceptable(s) {
			report("except", fmt.Sprintf("%q is not a number; write +4930123456, 101, or +4930* for all that begin with it", s))
		}
	}
	if a := Action(c.Weak); a != Force && a != Offer && a != None {
		report("weak", fmt.Sprintf("%q is not one of force, offer, none", c.Weak))
	}
	for i, w := range c.Else {
		if !isWay(w) || w == c.Open || slices.Contains(c.Else[:i], w) {
			report("else", fmt.Sprintf("%q is not another one of %s, or hook:NAME", w, oneOf(ways)))
		}
	}
	if a := Action(c.Mode); a != Force && a != Offer {
		report("mode", fmt.Sprintf("%q is not one of force, offer", c.Mode))
	}
	if c.Wait < 0 || c.Wait > maxWait {
		report("wait", fmt.Sprintf("%s is out of range: 0s to %s", c.Wait, maxWait))
	}
	c.checkChoices(report)
	c.checkPages(report)
	_, problems := compile(c)
	for _, p := range problems {
		report(p.key, p.text)
	}
}

// isWay reports whether a text is a way.
func isWay(s string) bool { return slices.Contains(ways, Way(s)) || Way(s).Hook() != "" }

// checkChoices checks what agents may set, and when a page is taken away.
func (c *Config) checkChoices(report func(key, problem string)) {
	if !slices.Contains(moments, c.Moment) {
		report("moment", fmt.Sprintf("%q is not one of %s", c.Moment, oneOf(moments)))
	}
	for _, s := range c.AgentMay {
		if !slices.Contains(agentMay, s) {
			report("agent_may", fmt.Sprintf("%q is not one of %s", s, oneOf(agentMay)))
		}
	}
	for _, s := range c.Close {
		if !slices.Contains(closers, s) {
			report("close", fmt.Sprintf("%q is not one of %s", s, oneOf(closers)))
		}
	}
}

// checkPages checks that there are pages for the ways that need one.
func (c *Config) checkPages(report func(key, problem string)) {
	all := append([]string{c.Open}, c.Else...)
	paged := slices.ContainsFunc(all, func(w string) bool {
		return w == string(Frame) || w == string(Window) || w == string(Tab) || w == string(Scheme)
	})
	page := c.URL != "" || c.Found != "" || c.NotFound != "" || c.Several != ""
	switch {
	case paged && !page:
		report("url", fmt.Sprintf("is missing: open = %q needs a page; set url, or found and not_found", c.Open))
	case page && slices.Contains(all, string(Scheme)) && len(all) > 1 && slices.ContainsFunc(all, func(w string) bool { return w == string(Frame) || w == string(Window) || w == string(Tab) }):
		report("else", "the URL of a program's own scheme opens in no frame or window")
	}
}

// Parameters calls f with each parameter that a key names.
func (c *Config) Parameters(f func(key, name string)) {
	r, _ := compile(c)
	for _, u := range r.uses {
		f(u.key, u.name)
	}
}

// Unclosed calls f with each name behind a percent sign that no other closes, and its key.
func (c *Config) Unclosed(f func(key, name string)) {
	r, _ := compile(c)
	for _, u := range r.unclosed {
		f(u.key, u.name)
	}
}

func oneOf[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = string(s)
	}
	return strings.Join(texts, ", ")
}

// Groups returns the values of to that are no ids of agents.
func Groups() []string { return []string{toAgent, toMembers, toSupervisors} }
