package dialplan

import (
	"maps"
	"slices"
	"time"
)

// Config is the [dialplan] table.
type Config struct {
	// Variables names the channel variables that a lookup may set beyond the
	// four of the contract, each with its type (text, word, digits, e164 or
	// int) or a table of type, min, max and one_of.
	Variables map[string]any `toml:"variables"`
	// NameLimit is the number of characters of CALLERID(name) that the phones show; longer
	// names are cut. 0 is no limit.
	NameLimit int64 `toml:"name_limit"`
	// MaxCall is the time without a report after which the end of a call is presumed:
	// Asterisk may have died without reporting it.
	MaxCall time.Duration `toml:"max_call"`
	// WithheldLookup looks up callers who withhold their number.
	WithheldLookup bool `toml:"withheld_lookup"`
	// WithheldEvents puts withheld numbers and names into events.
	WithheldEvents bool `toml:"withheld_events"`
}

// DefaultConfig is the [dialplan] table of an empty file.
func DefaultConfig() Config { return Config{MaxCall: 12 * time.Hour} }

// Check reports every setting that cannot work.
func (c *Config) Check(report func(key, problem string)) {
	parseVariables(c.Variables, report)
	if c.NameLimit < 0 {
		report("name_limit", "must be a number of characters, or 0 for no limit")
	}
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

// Parameter returns the name of an answer's variable in events and placeholders.
func Parameter(variable string) string {
	if r, ours := contract[variable]; ours {
		return r.param
	}
	return parameterName(variable)
}

// Queue is one [[queue]] table: the name of a queue in events.
type Queue struct {
	ID   string `toml:"id"`   // as the dialplan passes it in queue_id, and Asterisk in QUEUENAME
	Name string `toml:"name"` // shown in events
}

// Check reports every setting that cannot work.
func (q *Queue) Check(report func(key, problem string)) {
	if q.ID == "" {
		report("id", "is missing: give the queue's id as the dialplan has it")
	}
}

// Agent is one [[agent]] table: the agent of a phone.
type Agent struct {
	ID    string `toml:"id"`
	Phone string `toml:"phone"` // as the dialplan passes it in agent_phone
	Name  string `toml:"name"`
	Info  string `toml:"info"` // free text for the CRM, such as an address
}

// Check reports every setting that cannot work.
func (a *Agent) Check(report func(key, problem string)) {
	if a.Phone == "" {
		report("phone", "is missing: give the agent's phone as the dialplan has it, such as 101")
	}
}

// Settings are the settings of the dialplan. Exchange replaces them during calls.
type Settings struct {
	Dialplan Config
	Queues   []Queue
	Agents   []Agent
	Budget   time.Duration // the maximum time that a call waits for a point's answer
}

// settings are the Settings, prepared for the points.
type settings struct {
	budget    time.Duration
	maxCall   time.Duration
	nameLimit int64
	queues    map[string]string // name by id
	agents    map[string]Agent  // by phone
	variables map[string]rule

	withheldLookup, withheldEvents bool
}

func newSettings(from Settings) *settings {
	s := &settings{
		budget:    from.Budget,
		maxCall:   from.Dialplan.MaxCall,
		nameLimit: from.Dialplan.NameLimit,

		withheldLookup: from.Dialplan.WithheldLookup, withheldEvents: from.Dialplan.WithheldEvents,

		queues:    make(map[string]string, len(from.Queues)),
		agents:    make(map[string]Agent, len(from.Agents)),
		variables: parseVariables(from.Dialplan.Variables, func(string, string) {}),
	}
	for _, q := range from.Queues {
		s.queues[q.ID] = q.Name
	}
	for _, a := range from.Agents {
		s.agents[a.Phone] = a
	}
	return s
}

// queueName returns the name of a queue, or its id if the configuration has no name.
func (s *settings) queueName(id string) string {
	if name := s.queues[id]; name != "" {
		return name
	}
	return id
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
