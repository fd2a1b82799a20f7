package pops

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/lookup/number"
)

// Personal is what agents set for themselves, and the list of exceptions. It is immutable.
type Personal struct {
	choices    map[string]Choices
	exceptions map[string][]ListedException // by number, or by the beginning of one with its *
}

// ListedException is an entry of the list of exceptions.
type ListedException struct {
	Number  string // as in Config.Except
	Agent   string // id; empty for all agents
	Note    string
	Who     string // who added it
	Created time.Time
}

// String returns the entry for people.
func (e *ListedException) String() string {
	text := e.Number + ", for all agents"
	if e.Agent != "" {
		text = e.Number + ", of the agent"
	}
	if e.Who != "" {
		text += ", by " + e.Who
	}
	if !e.Created.IsZero() {
		text += " on " + e.Created.Format(time.DateOnly)
	}
	return text
}

// NewPersonal returns the settings of agents, by agent and name, and a list of exceptions.
func NewPersonal(settings map[string]map[string]string, list []ListedException) *Personal {
	p := &Personal{choices: map[string]Choices{}, exceptions: map[string][]ListedException{}}
	for agent, values := range settings {
		p.choices[agent] = ChoicesOf(values)
	}
	for _, e := range list {
		number, prefix := strings.CutSuffix(e.Number, "*")
		if number = plain(number); prefix {
			number += "*"
		}
		p.exceptions[number] = append(p.exceptions[number], e)
	}
	return p
}

// find returns the exception of an agent, or of all, that fits a number in one of its spellings; empty if none does.
func (p *Personal) find(agent string, spellings ...string) string {
	if p == nil || len(p.exceptions) == 0 {
		return ""
	}
	for _, s := range spellings {
		s = plain(s)
		if s == "" {
			continue
		}
		if e := ofAgent(p.exceptions[s], agent); e != nil {
			return e.String()
		}
		for n := len(s); n > 0; n-- {
			if e := ofAgent(p.exceptions[s[:n]+"*"], agent); e != nil {
				return e.String()
			}
		}
	}
	return ""
}

func ofAgent(list []ListedException, agent string) *ListedException {
	for i := range list {
		if list[i].Agent == "" || list[i].Agent == agent {
			return &list[i]
		}
	}
	return nil
}

// The names of the settings of agents that concern pops.
const (
	SettingMoment    = "moment"
	SettingMode      = "mode"
	SettingOpen      = "open"
	SettingBusy      = "busy"
	SettingNotFound  = "not-found"
	SettingMinLength = "min_length"
	SettingOff       = "off"
)

// agentMay are the values of Config.AgentMay.
var agentMay = []string{SettingMoment, SettingMode, SettingOpen, SettingBusy, SettingNotFound, SettingMinLength}

// ChoicesOf returns the choices of an agent's settings. Values that are not known count as not set.
func ChoicesOf(values map[string]string) Choices {
	c := Choices{Moment: values[SettingMoment], NotBusy: values[SettingBusy] == "true", NotFound: values[SettingNotFound] == "true"}
	if a := Action(values[SettingMode]); a == Force || a == Offer {
		c.Mode = a
	}
	for _, w := range chosenWays {
		if values[SettingOpen] == string(w) {
			c.Open = w
		}
	}
	if n, err := strconv.Atoi(values[SettingMinLength]); err == nil && n >= 0 && n <= 15 {
		c.MinLength = n
	}
	if off, err := time.Parse(time.RFC3339, values[SettingOff]); err == nil {
		c.Off = off
	}
	return c
}

// chosenWays are those that an agent may choose.
var chosenWays = []Way{Frame, Window, Tab, Card, Notice}

// CheckSetting returns why a value cannot be that of a setting that concerns pops, empty if it can. An empty value leaves
// the rule's own. known is false for other settings.
func CheckSetting(name, value string) (problem string, known bool) {
	if value == "" {
		return "", name == SettingOff || name == SettingMoment || slices.Contains(agentMay, name)
	}
	choices := ChoicesOf(map[string]string{name: value})
	ok := false
	switch name {
	case SettingMoment:
		ok = eventName.MatchString(value) && len(value) <= 64
	case SettingMode:
		ok = choices.Mode != ""
	case SettingOpen:
		ok = choices.Open != ""
	case SettingBusy, SettingNotFound:
		ok = value == "true"
	case SettingMinLength:
		ok = value == strconv.Itoa(choices.MinLength)
	case SettingOff:
		ok = !choices.Off.IsZero()
	default:
		return "", false
	}
	if !ok {
		return strconv.Quote(value) + " is not a value of " + name, true
	}
	return "", true
}

// ExceptionPattern reports whether a text can be an exception: a number, or its beginning with a *.
func ExceptionPattern(s string) bool { return len(s) <= 40 && exceptable(s) }

// exceptable reports whether a text of any length can be an exception. Two numbers in one cannot: their digits make the
// number of a third.
func exceptable(s string) bool {
	text := strings.TrimSuffix(s, "*")
	return exceptedPattern.MatchString(s) && !number.SeveralAnywhere(text) && !number.IsUniqueID(text)
}

// SetPersonal replaces settings and exceptions for the events that come after it.
func (l *Live) SetPersonal(p *Personal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.personal = p
}

// choices returns what an agent has chosen.
func (p *Personal) choicesOf(agent string) Choices {
	if p == nil || agent == "" {
		return Choices{}
	}
	return p.choices[agent]
}

// ChosenWays returns the ways that an agent may choose.
func ChosenWays() []Way { return slices.Clone(chosenWays) }

// May returns what rules let agents set, the events among which they choose, and the schemes of programs that rules open.
func (l *Live) May() (names, moments, schemes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	names, moments, schemes = []string{}, []string{}, []string{}
	add := func(list *[]string, s string) {
		if s != "" && !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for _, r := range l.setup.Rules.rules {
		for _, name := range r.AgentMay {
			add(&names, name)
		}
		if r.Moment == momentChoose && slices.Contains(r.AgentMay, SettingMoment) {
			for _, ev := range r.Events {
				add(&moments, ev)
			}
		}
		for _, a := range []*address{r.found, r.notFound, r.several} {
			if a != nil && a.own {
				add(&schemes, strings.TrimSuffix(strings.ToLower(a.fixed), ":"))
			}
		}
	}
	return names, moments, schemes
}

// Number returns the number of the other party of a call that an agent has or had lately, and the call as hooks.Event.Call
// names it. The error is ErrNoCall or ErrUnclear.
func (l *Live) Number(agent, linkedid string) (number, call string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err = ErrNoCall
	found := func(v *CallView) {
		switch {
		case v.LinkedID != linkedid:
		case err == nil && v.call != call:
			err = ErrUnclear
		case !errors.Is(err, ErrUnclear):
			number, call, err = v.Number, v.call, nil
		}
	}
	for i := range l.recent[agent] {
		found(&l.recent[agent][i])
	}
	for c := range l.screens[agent] {
		if v := c.views[agent]; v != nil {
			found(v)
		}
	}
	return number, call, err
}

// Find returns a pop that is not over, with the parameters of its event.
func (l *Live) Find(id string) (p Pop, params map[string]any, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.calls {
		for _, one := range c.pops {
			if one.ID == id {
				return *one, one.event.Params, true
			}
		}
	}
	return p, nil, false
}
