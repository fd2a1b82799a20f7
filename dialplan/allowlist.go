package dialplan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"ringhook/fastagi"
	"ringhook/lookup"
)

// Anyone who can choose a variable's name owns the PBX: live_dangerously does not
// bind AGI. So names come from the contract and the configuration, never from
// an answer as it stands, and what reaches the system is refused even there.

// callerName is the one dialplan function among the contract's variables.
const callerName = "CALLERID(name)"

// contract holds the variables that any lookup may set.
var contract = map[string]rule{
	callerName:   {param: "callerid_name"},
	"QUEUE_PRIO": {param: "queue_prio", typ: "int", min: 0, max: 999999},
	"call_info":  {param: "call_info", inherited: true},
	"agent_info": {param: "agent_info", inherited: true},
}

// rule says what a variable's value must be.
type rule struct {
	param     string // its name among the call's parameters
	typ       string // text where empty
	inherited bool
	oneOf     []string
	min, max  int64 // of an int; max is characters for the others, 0 for no limit
}

func (r rule) kind() kind {
	if r.typ == "int" {
		return integer
	}
	return text
}

// valueTypes are the types that [dialplan] variables may name.
var valueTypes = map[string]func(rune) bool{
	"text": func(rune) bool { return true },
	"word": func(c rune) bool {
		return unicode.In(c, unicode.L, unicode.M, unicode.N) || strings.ContainsRune("_-.", c)
	},
	"digits": func(c rune) bool { return c >= '0' && c <= '9' },
	"e164":   func(c rune) bool { return c >= '0' && c <= '9' || c == '+' },
	"int":    func(c rune) bool { return c >= '0' && c <= '9' || c == '-' },
}

// check checks a value and makes it fit; reason says why it is refused.
func (r rule) check(value string) (fit, reason string) {
	value = strings.Map(visible, strings.ToValidUTF8(value, "\uFFFD"))
	if value == "" {
		return "", "empty"
	}
	if r.typ == "int" {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || (r.max > 0 || r.min > 0) && (n < r.min || n > r.max) {
			return "", "value"
		}
		return strconv.FormatInt(n, 10), ""
	}
	if r.typ != "" && strings.IndexFunc(value, func(c rune) bool { return !valueTypes[r.typ](c) }) >= 0 {
		return "", "value"
	}
	if r.typ == "e164" && (value[0] != '+' || strings.LastIndexByte(value, '+') > 0) {
		return "", "value"
	}
	if len(r.oneOf) > 0 && !slices.Contains(r.oneOf, value) {
		return "", "value"
	}
	if r.max > 0 && int64(utf8.RuneCountInString(value)) > r.max {
		value = string([]rune(value)[:r.max])
	}
	return value, ""
}

// visible drops what must not reach a display: control characters, and marks
// that turn round or hide what an agent reads. The plain marks of direction,
// U+200E and U+200F, stay.
func visible(c rune) rune {
	switch {
	case isControl(c), c >= 0x202a && c <= 0x202e, c >= 0x2066 && c <= 0x2069, c == 0x200b, c == 0xfeff:
		return -1
	}
	return c
}

// refusal is a variable that was refused.
type refusal struct{ name, reason string }

// filterAnswer sorts what a lookup answered into the channel's variables and the
// call's parameters. Every well-formed name becomes a parameter; only
// those of the contract and of the configuration reach the channel.
func (s *settings) filterAnswer(c *call, answer []lookup.Var) (set []fastagi.Variable, refused []refusal) {
	seen := make(map[string]bool, len(answer))
	for _, v := range answer {
		if seen[v.Name] {
			refused = append(refused, refusal{v.Name, "repeated"})
			continue
		}
		seen[v.Name] = true
		r, known := contract[v.Name]
		if v.Name == callerName {
			r.max = s.nameLimit
		}
		if !known {
			r, known = s.variables[v.Name]
		}
		if !known {
			if !s.parameter(c, v) {
				refused = append(refused, refusal{v.Name, "name"})
			}
			continue
		}
		value, reason := r.check(v.Value)
		if reason == "empty" {
			continue // nothing known is no reason to wipe out what is there
		}
		if reason != "" {
			refused = append(refused, refusal{v.Name, reason})
			continue
		}
		c.keep(r.param, typed(r.kind(), cut(value, maxValue)))
		name := v.Name
		if r.inherited {
			name = "__" + name
		}
		set = append(set, fastagi.Variable{Name: name, Value: value})
	}
	return set, refused
}

// parameter keeps a name that the channel does not get; it may not pass
// itself off as one of the call's own.
func (s *settings) parameter(c *call, v lookup.Var) bool {
	if !isParameter(v.Name) {
		return false
	}
	value, _ := rule{}.check(v.Value)
	c.keep(v.Name, typed(parameters[v.Name], cut(value, maxValue)))
	return true
}

// isParameter reports whether a lookup may name a parameter so.
func isParameter(name string) bool {
	_, ours := parameters[name]
	return validName(name) && !slices.Contains(reservedNames, name) && (!ours || slices.Contains(settableParameters, name))
}

// CheckName returns why a name may be set neither to the channel nor to the
// events, empty where it lets it pass or where it is no name at all. An answer's
// names can be checked so beforehand.
func (c *Config) CheckName(name string) string {
	_, ours := contract[name]
	_, listed := c.Variables[name]
	switch {
	case ours, listed, isParameter(name):
		return ""
	case strings.Contains(name, "("):
		return "is a dialplan function that [dialplan] variables does not list"
	case validName(name):
		return "is a parameter that no answer may set"
	}
	return ""
}

// CheckValue returns why calls would not get a variable's value, empty if they do.
// A name that is no variable of the channel takes any value.
func (c *Config) CheckValue(name, value string) string {
	r, known := contract[name]
	if !known {
		var wrong string
		rules := parseVariables(c.Variables, func(key, _ string) { wrong = key })
		if r, known = rules[name]; !known || wrong != "" {
			return ""
		}
	}
	if _, reason := r.check(value); reason != "value" {
		return ""
	}
	if r.typ == "int" && (r.max > 0 || r.min > 0) {
		return fmt.Sprintf("%.40q is not a whole number from %d to %d", value, r.min, r.max)
	}
	return fmt.Sprintf("%.40q does not have its type", value)
}

// settableParameters are the contract's parameters that a lookup may know better.
var settableParameters = []string{"region_name", "region_time", "callerid_name", "agent_id", "agent_name", "recording_url", "match", "match_count"}

// parseVariables reads [dialplan] variables: name = "int", or name = { type =
// "text", max = 120 }, or name = { one_of = ["gold", "silver"] }.
func parseVariables(config map[string]any, report func(key, problem string)) map[string]rule {
	rules := make(map[string]rule, len(config))
	for _, name := range sortedKeys(config) {
		key := "variables." + name
		if problem := checkVariableName(name); problem != "" {
			report(key, problem)
			continue
		}
		r := rule{param: parameterName(name)}
		if problem := r.read(config[name]); problem != "" {
			report(key, problem)
			continue
		}
		rules[name] = r
	}
	return rules
}

func (r *rule) read(v any) (problem string) {
	fields, ok := v.(map[string]any)
	if !ok {
		fields = map[string]any{"type": v}
	}
	for _, name := range sortedKeys(fields) {
		switch v := fields[name].(type) {
		case string:
			if name == "type" {
				if _, known := valueTypes[v]; !known {
					return fmt.Sprintf("unknown type %q: use %s", v, strings.Join(sortedKeys(valueTypes), ", "))
				}
				r.typ = v
				continue
			}
		case int64:
			if name == "max" && v > 0 {
				r.max = v
				continue
			}
			if name == "min" {
				r.min = v
				continue
			}
		case []any:
			if name == "one_of" && len(v) > 0 {
				for _, word := range v {
					s, ok := word.(string)
					if !ok {
						return "one_of must be a list of strings"
					}
					r.oneOf = append(r.oneOf, s)
				}
				continue
			}
		}
		return fmt.Sprintf(`%s = %v is not understood: write "int", { type = "text", max = 120 } or { one_of = ["gold", "silver"] }`, name, fields[name])
	}
	return ""
}

// checkVariableName says why a name cannot stand in [dialplan] variables.
func checkVariableName(name string) string {
	if _, ours := contract[name]; ours {
		return "is always allowed: take it off the list"
	}
	function, argument, isFunction := strings.Cut(name, "(")
	if !validName(function) || strings.Contains(function, "-") {
		return "is no variable's name: use letters, digits and _, a letter first"
	}
	if strings.HasPrefix(strings.ToUpper(function), "RINGHOOK_") {
		return "is one of ringhook's own variables"
	}
	if slices.Contains(reservedNames, parameterName(name)) {
		return "is a name that only ringhook sets"
	}
	if !isFunction {
		if controlsAsterisk(name) {
			return "is a variable of Asterisk's own: choose another name, and have the dialplan set it from that"
		}
		return ""
	}
	inner, closed := strings.CutSuffix(argument, ")")
	if !closed || strings.ContainsAny(inner, "()${}\"\\,") {
		return "is no function that ringhook can set: write NAME(item)"
	}
	if !settable(strings.ToUpper(function), strings.ToLower(inner)) {
		return "is no dialplan function that ringhook sets: use CALLERID, CONNECTEDLINE, REDIRECTING, CDR or CHANNEL(language), or have the dialplan set it from a variable"
	}
	return ""
}

// settable reports whether a lookup may be allowed to set an item of a dialplan function.
// Only functions are listed that change nothing but what is shown or recorded of the
// call; an upper-case function and a lower-case item are expected.
func settable(function, item string) bool {
	switch function {
	case "CALLERID", "CONNECTEDLINE", "REDIRECTING":
		return item != "" && item != "all" // both names and numbers at once: nothing checks the parts
	case "CDR":
		return item != "" && !slices.Contains(fixedCDR, item)
	case "CHANNEL":
		return slices.Contains([]string{"language", "musicclass", "accountcode", "userfield", "tonezone"}, item)
	}
	return false
}

// fixedCDR are the fields of CDR() that cannot be set.
var fixedCDR = []string{
	"clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer", "end", "duration", "billsec",
	"disposition", "uniqueid", "linkedid", "sequence",
}

// asterisksOwn are the beginnings of the variables with which Asterisk's applications are
// controlled (such as MONITOR_EXEC, which runs a command) or which they set, and of those
// that cannot be set. A name that begins so is refused, except those of harmless.
var asterisksOwn = []string{
	"AGI", "AMD", "ANSWERED", "ARG", "AST", "ATTENDED", "AUDIO", "BLIND", "BRIDGE", "CALLCOMPLETION", "CALLINGANI", "CALLINGPRES", "CALLINGT",
	"CAMPON", "CBANN", "CDR_", "CHANNEL", "CONFBRIDGE", "CONTEXT", "CURL", "DB_", "DEVICE_STATE", "DIAL", "DUNDI", "DYNAMIC_", "ENTITYID",
	"ENV_", "EPOCH", "EXEC", "EXTEN", "FAX", "FEATURE", "FOLLOWME", "FORWARD", "GOSUB", "GOTO_", "GROUP", "HANGUP", "HINT", "IAX", "JACK",
	"LIMIT_", "LOCAL", "MACRO", "MASTER", "MEETME", "MEMBER", "MESSAGE", "MIXMONITOR", "MONITOR", "ODBC", "ORIGINATE", "OSP", "OUTBOUND_GROUP",
	"PARK", "PBX", "PEER", "PICKUP", "PJSIP", "PLAYBACK", "PRESENCE_STATE", "PRIORITY", "PRIVACY", "PUSH", "QEHOLDTIME", "QEORIGINALPOS", "QUEUE",
	"RECORD", "SENDDTMF", "SHARED", "SIP", "SPYGROUP", "SYSTEM", "TOUCH_", "TRANSFER", "TXT", "UNIQUEID", "USERF", "USER_", "VM_", "VOICEMAIL", "ABANDONED",
}

// harmless are the variables that begin so and only change the caller's place in a queue,
// or what the agent hears.
var harmless = []string{"QUEUE_MAX_PENALTY", "QUEUE_MIN_PENALTY", "QUEUE_RAISE_PENALTY"}

// controlsAsterisk reports whether a variable is one of Asterisk's own that no lookup may
// set. Asterisk's variables are case-sensitive, and all of its own are upper case.
func controlsAsterisk(name string) bool {
	if slices.Contains(harmless, name) {
		return false
	}
	return slices.ContainsFunc(asterisksOwn, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// parameterName makes a parameter's name of a variable's, which may be a
// function's: CDR(userfield) is CDR_userfield.
func parameterName(name string) string {
	return strings.TrimSuffix(strings.Replace(name, "(", "_", 1), ")")
}
