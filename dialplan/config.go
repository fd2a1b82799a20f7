package dialplan

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config is the [dialplan] table.
type Config struct {
	// Variables names the channel variables that a lookup may set beyond the
	// four of the contract, each with its type (text, word, digits, e164, path or
	// int) or a table of type, min, max and one_of.
	Variables map[string]any `toml:"variables"`
	// NameLimit is the number of characters of CALLERID(name) that the phones show; longer
	// names are cut. 0 is no limit.
	NameLimit int64 `toml:"name_limit"`
	// NameBytes is the same in bytes, for a PBX or phones that count bytes. 0 is no limit.
	NameBytes int64 `toml:"name_bytes"`
	// NameScript is the script in which the phones show names: utf-8, latin (transliterated) or ascii.
	NameScript string `toml:"name_script"`
	// MaxCall is the time without a report after which the end of a call is presumed:
	// Asterisk may have died without reporting it.
	MaxCall time.Duration `toml:"max_call"`
	// WithheldLookup looks up callers who withhold their number.
	WithheldLookup bool `toml:"withheld_lookup"`
	// WithheldEvents puts withheld numbers and names into events, and shows them in the live state.
	WithheldEvents bool `toml:"withheld_events"`
}

// DefaultConfig is the [dialplan] table of an empty file.
func DefaultConfig() Config { return Config{NameScript: scriptUTF8, MaxCall: 12 * time.Hour} }

// Check reports every setting that cannot work.
func (c *Config) Check(report func(key, problem string)) {
	parseVariables(c.Variables, report)
	if c.NameLimit < 0 {
		report("name_limit", "must be a number of characters, or 0 for no limit")
	}
	checkNames(c.NameScript, c.NameBytes, report)
	if c.MaxCall < time.Minute {
		report("max_call", `must be at least "1m", and longer than any call`)
	}
}

// ExtraVariables returns the variables beyond the contract that a lookup may set. They are also
// arguments. The value reports whether the variable accepts any text.
func (c *Config) ExtraVariables() map[string]bool {
	names := make(map[string]bool, len(c.Variables))
	for name, r := range parseVariables(c.Variables, func(string, string) {}) {
		names[name] = (r.typ == "" || r.typ == "text") && len(r.oneOf) == 0
	}
	return names
}

// Parameter returns the name of an answer's variable in events and placeholders. It is empty if only ringhook sets that
// parameter: [dialplan] variables may name such a variable for the channel alone.
func Parameter(variable string) string {
	if r, ours := contract[variable]; ours {
		return r.param
	}
	if name := parameterName(variable); replaceable(name) {
		return name
	}
	return ""
}

// Queue is one [[queue]] table.
type Queue struct {
	ID   string `toml:"id"`   // as the dialplan passes it in queue_id, and Asterisk in QUEUENAME
	Name string `toml:"name"` // shown in events
	// NameScript and NameBytes override those of [dialplan] for callers of this queue.
	NameScript string `toml:"name_script"`
	NameBytes  int64  `toml:"name_bytes"`
	// Context has the extensions to which a waiting caller may be moved by a command. Empty is the
	// context in which the caller's channel is.
	Context string `toml:"context"`
}

// These match the names of queues, contexts and members that commands use.
var (
	queuePattern     = regexp.MustCompile(`^[^\x00-\x20\x7f,|&;"'\\()$]{1,79}$`)
	contextPattern   = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,79}$`)
	productPattern   = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)
	interfacePattern = regexp.MustCompile(`^[A-Za-z0-9]{1,16}/[A-Za-z0-9_.@/+-]{1,79}$`)
)

// Check reports every setting that cannot work.
func (q *Queue) Check(report func(key, problem string)) {
	if q.ID == "" {
		report("id", "is missing: give the queue's id as the dialplan has it")
	} else if problem := unmatched(q.ID); problem != "" {
		report("id", fmt.Sprintf("%q %s", cut(q.ID, 80), problem))
	}
	checkNames(q.NameScript, q.NameBytes, report)
	if q.Context != "" && !contextPattern.MatchString(q.Context) {
		report("context", fmt.Sprintf("%q is not the name of a context: letters, digits, _, . and -", q.Context))
	}
}

// The values of Agent.Role and Agent.Hold.
const (
	RoleAgent         = "agent"
	RoleSupervisor    = "supervisor"
	RoleAdministrator = "administrator"

	HoldPBX    = "pbx"
	HoldNotify = "notify"
)

// Agent is one [[agent]] table: a person, and the phone at which this person answers.
type Agent struct {
	ID    string `toml:"id"`
	Phone string `toml:"phone"` // as agent_phone of events has it, see Plain; empty for one who answers no calls
	Name  string `toml:"name"`
	Info  string `toml:"info"` // free text for the CRM, such as an address
	// IDs are the agent's ids in other products, by product: agent_id_PRODUCT in events.
	IDs map[string]string `toml:"ids"`
	// NameScript and NameBytes override those of the queue, for what this phone shows.
	NameScript string `toml:"name_script"`
	NameBytes  int64  `toml:"name_bytes"`
	// Role decides whom the agent may command: agent (only the own phone and calls), supervisor (also the
	// queues of Supervises, their members and callers) or administrator (everything).
	Role       string   `toml:"role"`
	Supervises []string `toml:"supervises"` // queues
	Queues     []string `toml:"queues"`     // that the agent may log in to
	// Interface is the agent as a member of queues, such as Local/101@agents/n. Empty is PJSIP/ and the phone.
	Interface string `toml:"interface"`
	// Hold is the way in which a command puts the agent's call on hold: pbx or notify.
	Hold string `toml:"hold"`
}

// DefaultAgent returns the settings of a table that sets none.
func DefaultAgent() Agent { return Agent{Role: RoleAgent, Hold: HoldPBX} }

// Plain writes the phone as events have it: 101 for PJSIP/101. What it was written as is the interface then, if none is set.
func (a *Agent) Plain() {
	if _, ok := cutTechnology(a.Phone); ok && a.Interface == "" && interfacePattern.MatchString(a.Phone) {
		a.Interface = a.Phone
	}
	a.Phone = Phone(a.Phone, nil)
}

// unmatched returns why no point can have a text as an argument, empty if one can.
func unmatched(text string) string {
	switch {
	case text == strings.Trim(clean(text), " "):
		return ""
	case len(text) > maxValue:
		return fmt.Sprintf("is longer than %d bytes: arguments of points are cut there", maxValue)
	}
	return "has a blank at an end, or a control character: arguments of points never have them, so write it without"
}

// Check reports every setting that cannot work. Plain must have been called.
func (a *Agent) Check(report func(key, problem string)) {
	switch a.Role {
	case RoleAgent:
		if a.Phone == "" {
			report("phone", "is missing: give the agent's phone as the dialplan has it, such as 101")
		}
	case RoleSupervisor, RoleAdministrator:
		if a.ID == "" {
			report("id", "is missing: a supervisor or administrator is named by it")
		}
	default:
		report("role", fmt.Sprintf("%q is not a role; use agent, supervisor or administrator", a.Role))
	}
	if problem := unmatched(a.Phone); problem != "" {
		report("phone", fmt.Sprintf("%q %s", cut(a.Phone, 80), problem))
	}
	if a.Role == RoleSupervisor && len(a.Supervises) == 0 {
		report("supervises", "is missing: give the queues of this supervisor")
	}
	if a.Role == RoleAgent && len(a.Supervises) > 0 {
		report("supervises", `is used only with role = "supervisor"`)
	}
	for _, product := range sortedKeys(a.IDs) {
		if !productPattern.MatchString(product) {
			report("ids", fmt.Sprintf("%q is not a name of a product: 1 to 32 small letters, digits and underscores", product))
		}
		if len(a.IDs[product]) > 200 {
			report("ids", product+" is longer than 200 bytes")
		}
	}
	if len(a.Queues) > 0 && (a.ID == "" || a.Phone == "") {
		report("queues", "needs id and phone")
	}
	for key, names := range map[string][]string{"queues": a.Queues, "supervises": a.Supervises} {
		for _, name := range names {
			if !queuePattern.MatchString(name) {
				report(key, fmt.Sprintf("%q cannot be the name of a queue", name))
			}
		}
	}
	if a.Interface != "" && !interfacePattern.MatchString(a.Interface) {
		report("interface", fmt.Sprintf("%q is not a member of a queue; write it as in queues.conf, such as PJSIP/101", a.Interface))
	}
	if a.Hold != HoldPBX && a.Hold != HoldNotify {
		report("hold", fmt.Sprintf("%q is not known; use pbx or notify", a.Hold))
	}
	checkNames(a.NameScript, a.NameBytes, report)
}

// Settings are the settings of the dialplan. Exchange replaces them during calls.
type Settings struct {
	Dialplan Config
	Queues   []Queue
	Agents   []Agent
	Budget   time.Duration // the maximum time that a call waits for a point's answer
	// IDs returns the ids of the agent of a phone in other products, by product. If it is nil, the agent has those of
	// the configuration.
	IDs func(phone string) map[string]string
	// RecordingURL returns the link to a recording of a call, empty if there is none. It may be nil.
	RecordingURL func(file, linkedid string) string
}

// settings are the Settings, prepared for the points.
type settings struct {
	budget    time.Duration
	maxCall   time.Duration
	names     nameForm
	queues    map[string]Queue // by id
	agents    map[string]Agent // by phone
	variables map[string]rule
	ids       func(phone string) map[string]string
	recording func(file, linkedid string) string

	withheldLookup, withheldEvents bool
}

func newSettings(from Settings) *settings {
	s := &settings{
		budget:  from.Budget,
		maxCall: from.Dialplan.MaxCall,
		names:   nameForm{from.Dialplan.NameScript, from.Dialplan.NameLimit, from.Dialplan.NameBytes},

		withheldLookup: from.Dialplan.WithheldLookup, withheldEvents: from.Dialplan.WithheldEvents,

		queues:    make(map[string]Queue, len(from.Queues)),
		agents:    make(map[string]Agent, len(from.Agents)),
		variables: parseVariables(from.Dialplan.Variables, func(string, string) {}),
	}
	if s.recording = from.RecordingURL; s.recording == nil {
		s.recording = func(string, string) string { return "" }
	}
	if s.ids = from.IDs; s.ids == nil {
		s.ids = func(phone string) map[string]string { return s.agents[phone].IDs }
	}
	for _, q := range from.Queues {
		s.queues[q.ID] = q
	}
	for _, a := range from.Agents {
		if a.Phone != "" {
			s.agents[a.Phone] = a
		}
	}
	return s
}

// isAgent reports whether a phone is that of an agent.
func (s *settings) isAgent(phone string) bool {
	_, agent := s.agents[phone]
	return agent
}

// queueName returns the name of a queue, or its id if the configuration has no name.
func (s *settings) queueName(id string) string {
	if name := s.queues[id].Name; name != "" {
		return name
	}
	return id
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
