package control

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"ringhook/control/account"
	"ringhook/control/campaign"
	"ringhook/control/switching"
	"ringhook/dialplan"
	"ringhook/lookup/number"
)

// PauseReason is one [[pause]] table.
type PauseReason struct {
	Name string `toml:"name"` // as Asterisk stores it
	// Text is the reason for people, by language.
	Text map[string]string `toml:"text"`
	// Longest is the maximum length of the pause; 0 is no limit.
	Longest time.Duration `toml:"longest"`
	// Ends is what happens after Longest: warn or resume.
	Ends string `toml:"ends"`
	// By is who may give this reason: agent or supervisor.
	By string `toml:"by"`
}

// DefaultPauseReason returns the settings of a table that sets none.
func DefaultPauseReason() PauseReason { return PauseReason{Ends: "warn", By: dialplan.RoleAgent} }

// reasonPattern matches a reason of a pause: any text without what has a meaning elsewhere.
var reasonPattern = regexp.MustCompile(`^[^\pC,;|&$"'\\<>()\x{2028}\x{2029}]{1,80}$`)

// Check reports every setting that cannot work.
func (p *PauseReason) Check(report func(key, problem string)) {
	if !reasonPattern.MatchString(p.Name) {
		report("name", `must have 1 to 80 characters, without control characters and ,;|&$"'\<>()`)
	}
	if p.Longest < 0 {
		report("longest", "must not be negative")
	}
	if p.Ends != "warn" && p.Ends != "resume" {
		report("ends", fmt.Sprintf("%q is not known; use warn or resume", p.Ends))
	}
	if p.Ends == "resume" && p.Longest == 0 {
		report("ends", "needs longest")
	}
	if p.By != dialplan.RoleAgent && p.By != dialplan.RoleSupervisor {
		report("by", fmt.Sprintf("%q is not known; use agent or supervisor", p.By))
	}
}

// Settings are the tables of the configuration that commands use.
type Settings struct {
	Agents []dialplan.Agent
	Queues []dialplan.Queue
	Pauses []PauseReason
	Dials  []switching.Rule
	Click  ClickConfig
	// Campaign is the [campaign] table, and Reader knows the regions of its numbers.
	Campaign campaign.Config
	Reader   *number.Reader
	Accounts account.Config
	// ShowWithheld shows numbers and names that callers withhold: [dialplan] withheld_events.
	ShowWithheld bool

	numbers *switching.Numbers
}

// agent returns the agent of an id.
func (s *Settings) agent(id string) (*dialplan.Agent, error) {
	i := slices.IndexFunc(s.Agents, func(a dialplan.Agent) bool { return a.ID == id && id != "" })
	if i < 0 {
		return nil, errorf(Unknown, "the configuration has no [[agent]] with the id %q", id)
	}
	return &s.Agents[i], nil
}

// isAgent reports whether a phone is that of an agent.
func (s *Settings) isAgent(phone string) bool {
	return phone != "" && slices.ContainsFunc(s.Agents, func(a dialplan.Agent) bool { return a.Phone == phone })
}

// memberOf returns an agent's interface in queues, "" for an agent without a phone.
func memberOf(a *dialplan.Agent) string {
	if a.Interface == "" && a.Phone != "" {
		return "PJSIP/" + a.Phone
	}
	return a.Interface
}

// deviceOf returns the device of an agent's phone. Its state is that of the member: Asterisk does not know
// that the phone of a Local member is busy.
func deviceOf(a *dialplan.Agent) string {
	iface := memberOf(a)
	if iface != "" && !slices.ContainsFunc(phones, func(tech string) bool { return strings.HasPrefix(iface, tech) }) {
		return "PJSIP/" + a.Phone
	}
	return iface
}

// agentOf returns the id of the agent who is a member of a queue or has a device, "" if none is.
func (s *Settings) agentOf(interfaces ...string) string {
	for i := range s.Agents {
		a := &s.Agents[i]
		if a.ID != "" && a.Phone != "" && (slices.Contains(interfaces, memberOf(a)) || slices.Contains(interfaces, deviceOf(a))) {
			return a.ID
		}
	}
	return ""
}

// reason returns the [[pause]] table of a reason. Without tables every text is a reason.
func (s *Settings) reason(name string, who Actor) (*PauseReason, error) {
	if name != "" && !reasonPattern.MatchString(name) {
		return nil, errorf(BadRequest, "reason has a character that is not allowed, or more than 80")
	}
	none := DefaultPauseReason()
	if len(s.Pauses) == 0 || name == "" {
		return &none, nil
	}
	i := slices.IndexFunc(s.Pauses, func(p PauseReason) bool { return p.Name == name })
	if i < 0 {
		names := make([]string, len(s.Pauses))
		for n := range s.Pauses {
			names[n] = s.Pauses[n].Name
		}
		return nil, errorf(BadRequest, "there is no reason %q; there are %s", name, strings.Join(names, ", "))
	}
	if s.Pauses[i].By == dialplan.RoleSupervisor && who.Role == dialplan.RoleAgent {
		return nil, errorf(Forbidden, "only a supervisor may give the reason %q", name)
	}
	return &s.Pauses[i], nil
}

// context returns the context to which callers of a queue may be moved, "" for their own.
func (s *Settings) context(queue string) string {
	for i := range s.Queues {
		if s.Queues[i].ID == queue {
			return s.Queues[i].Context
		}
	}
	return ""
}
