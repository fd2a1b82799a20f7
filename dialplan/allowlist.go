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

// A caller or a CRM that can choose the name of a channel variable controls the PBX:
// live_dangerously does not apply to AGI. Only names of the contract and of the configuration reach
// the channel, and the configuration cannot allow names that control Asterisk.

// callerName is the one dialplan function among the contract's variables.
const callerName = "CALLERID(name)"

// contract holds the variables that any lookup may set.
var contract = map[string]rule{
	callerName:   {param: "callerid_name"},
	"QUEUE_PRIO": {param: "queue_prio", typ: "int", min: 0, max: 999999},
	"call_info":  {param: "call_info", inherited: true},
	"agent_info": {param: "agent_info", inherited: true},
	// Only lookups of the type did answer these; the dialplan may go where they say.
	"did_type":   {param: "did_type", oneOf: []string{"sip", "goto"}},
	"did_target": {param: "did_target", typ: "path", max: 80},
}

// rule is the type and the limits of a variable's value.
type rule struct {
	param     string // the name of the parameter; empty if the variable is none, because only ringhook sets it
	typ       string // text if empty
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
	"path": func(c rune) bool {
		return c < utf8.RuneSelf && (unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("_-.*#+/", c))
	},
}

// keep stores a value as the variable's parameter, if it is one.
func (r rule) keep(c *call, value string) {
	if r.param != "" {
		c.keep(r.param, typed(r.kind(), value))
	}
}

// check returns the value in the form in which it is set; reason says why it is refused, and is empty
// if it is not.
func (r rule) check(value string) (fit, reason string) {
	value = strings.Map(visible, strings.ToValidUTF8(value, "\uFFFD"))
	if value == "" {
		return "", "empty"
	}
	if r.typ == "int" {
		n, err := strconv.ParseInt(whole(value), 10, 64)
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

// whole returns a whole number without the decimals with which programs that know no integers write it, such as 10.0.
func whole(value string) string {
	number, decimals, _ := strings.Cut(value, ".")
	if decimals != "" && strings.Trim(decimals, "0") == "" {
		return number
	}
	return value
}

// visible removes control characters, and marks that reverse or hide text on a display. It keeps the
// plain direction marks U+200E and U+200F.
func visible(c rune) rune {
	switch {
	case isControl(c), c >= 0x202a && c <= 0x202e, c >= 0x2066 && c <= 0x2069, c == 0x200b, c == 0xfeff:
		return -1
	}
	return c
}

// refusal is a refused variable.
type refusal struct{ name, reason string }

// filterAnswer splits the answer of a lookup into variables of the channel and parameters of the
// call. Every well-formed name becomes a parameter. Only names of the contract and of the
// configuration reach the channel.
func (s *settings) filterAnswer(c *call, answer []lookup.Var) (set []fastagi.Variable, refused []refusal) {
	seen := make(map[string]bool, len(answer))
	for _, v := range answer {
		if seen[v.Name] {
			refused = append(refused, refusal{v.Name, "repeated"})
			continue
		}
		seen[v.Name] = true
		r, known := contract[v.Name]
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
			continue // an empty answer must not clear the variable
		}
		if reason != "" {
			refused = append(refused, refusal{v.Name, reason})
			continue
		}
		r.keep(c, cut(value, maxValue))
		name := v.Name
		if r.inherited {
			name = "__" + name
		}
		set = append(set, fastagi.Variable{Name: name, Value: value})
	}
	return set, refused
}

// parameter keeps a value that only events get. It refuses the names of the call's own parameters.
func (s *settings) parameter(c *call, v lookup.Var) bool {
	if !isParameter(v.Name) {
		return false
	}
	value, _ := rule{}.check(v.Value)
	c.keep(v.Name, typed(parameters[v.Name], cut(value, maxValue)))
	return true
}

// isParameter reports whether a lookup may set a parameter of that name.
func isParameter(name string) bool {
	return validName(name) && replaceable(name)
}

// replaceable reports whether a parameter is none of those that only ringhook sets: the facts of a call, such as the
// caller's number, are not what a source says they are.
func replaceable(name string) bool {
	_, ours := parameters[name]
	return !slices.Contains(reservedNames, name) && (!ours || slices.Contains(settableParameters, name))
}

// CheckName returns why a name in an answer can be set neither on the channel nor in events. It
// returns an empty text if it can be, or if the name is malformed.
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
// A name that is not a variable of the channel accepts any value.
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

// settableParameters are the parameters of the contract that a lookup may replace.
var settableParameters = []string{"region_name", "region_time", "callerid_name", "agent_id", "agent_name", "recording_url", "match", "match_count"}

// parseVariables parses [dialplan] variables: name = "int", or name = { type =
// "text", max = 120 }, or name = { one_of = ["gold", "silver"] }.
func parseVariables(config map[string]any, report func(key, problem string)) map[string]rule {
	rules := make(map[string]rule, len(config))
	for _, name := range sortedKeys(config) {
		key := "variables." + name
		if problem := checkVariableName(name); problem != "" {
			report(key, problem)
			continue
		}
		r := rule{param: Parameter(name)}
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

// checkVariableName returns why [dialplan] variables cannot have a name, nil if it can.
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
// These functions change only what is shown or recorded of the call. The function must be in upper
// case and the item in lower case.
func settable(function, item string) bool {
	switch function {
	case "CALLERID", "CONNECTEDLINE", "REDIRECTING":
		return item != "" && item != "all" // name and number in one value, whose parts no rule checks
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

// asterisksOwn are the prefixes of variables that control Asterisk's applications (such as
// MONITOR_EXEC, which runs a command), that they set, or that cannot be set. Names with these
// prefixes are refused, except those in harmless.
var asterisksOwn = []string{
	"AGI", "AMD", "ANSWERED", "ARG", "AST", "ATTENDED", "AUDIO", "BLIND", "BRIDGE", "CALLCOMPLETION", "CALLINGANI", "CALLINGPRES", "CALLINGT",
	"CAMPON", "CBANN", "CDR_", "CHANNEL", "CONFBRIDGE", "CONTEXT", "CURL", "DB_", "DEVICE_STATE", "DIAL", "DUNDI", "DYNAMIC_", "ENTITYID",
	"ENV_", "EPOCH", "EXEC", "EXTEN", "FAX", "FEATURE", "FOLLOWME", "FORWARD", "GOSUB", "GOTO_", "GROUP", "HANGUP", "HINT", "IAX", "JACK",
	"LIMIT_", "LOCAL", "MACRO", "MASTER", "MEETME", "MEMBER", "MESSAGE", "MIXMONITOR", "MONITOR", "ODBC", "ORIGINATE", "OSP", "OUTBOUND_GROUP",
	"PARK", "PBX", "PEER", "PICKUP", "PJSIP", "PLAYBACK", "PRESENCE_STATE", "PRIORITY", "PRIVACY", "PUSH", "QEHOLDTIME", "QEORIGINALPOS", "QUEUE",
	"RECORD", "SENDDTMF", "SHARED", "SIP", "SPYGROUP", "SYSTEM", "TOUCH_", "TRANSFER", "TXT", "UNIQUEID", "USERF", "USER_", "VM_", "VOICEMAIL", "ABANDONED",
}

// harmless are the names with such a prefix that only change the caller's position in a queue, or
// what the agent hears.
var harmless = []string{"QUEUE_MAX_PENALTY", "QUEUE_MIN_PENALTY", "QUEUE_RAISE_PENALTY"}

// controlsAsterisk reports whether a name is a variable of Asterisk that no lookup may set.
// Variables are case-sensitive, and those of Asterisk are in upper case.
func controlsAsterisk(name string) bool {
	if slices.Contains(harmless, name) {
		return false
	}
	return slices.ContainsFunc(asterisksOwn, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// parameterName returns the parameter name of a variable or a function: CDR(userfield) is
// CDR_userfield.
func parameterName(name string) string {
	return strings.TrimSuffix(strings.Replace(name, "(", "_", 1), ")")
}
