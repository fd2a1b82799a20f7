package importer

import (
	"regexp"
	"slices"
	"strings"
)

// callType matches a comparison of the type of call, known one that leaves out callers without an entity, and enabled one
// that leaves out all calls while reports are switched off. choice matches [IIf(condition,then,else)].
var (
	callType = regexp.MustCompile(`^\[CallType\](==|!=)["']?([A-Za-z]+)["']?$`)
	known    = regexp.MustCompile(`^\[EntityId\]==(""|'')$`)
	enabled  = regexp.MustCompile(`(?i)^\[ReportCallEnabled\](!=["']?true|==["']?false)["']?$`)
	choice   = regexp.MustCompile(`(?i)^\[IIf\((.*)\)\]$`)
)

// maxCondition is the maximum length of a condition that is read, in bytes.
const maxCondition = 1000

// journal converts a scenario that reports calls, to one hook for each direction of those that it reports.
func (x *threeCX) journal(s *element) {
	id := s.attr("Id")
	skip := s.child("Request").attr("SkipIf")
	types, ofKnown, whole := reported(strings.ReplaceAll(skip, " ", ""))
	if !whole {
		x.left("scenario %s: its condition %.*s is not carried over, and all calls are reported: check when of its hooks", id, maxCondition, skip)
	}
	for _, name := range types {
		if !slices.ContainsFunc(directions[:], func(d direction) bool { return d.answered == name || d.missed == name }) {
			x.left("scenario %s: the type of calls %s", id, name)
		}
	}
	if ofKnown && !x.customer {
		x.left("scenario %s: callers who are not known are reported too, because the lookup answers no customer_id", id)
	}
	var when []string
	for _, d := range directions {
		switch answered, missed := slices.Contains(types, d.answered), slices.Contains(types, d.missed); {
		case answered && missed:
			when = append(when, d.when)
		case answered:
			when = append(when, d.when+" and status == 'answer'")
		case missed:
			when = append(when, d.when+" and status != 'answer'")
		}
	}
	for _, w := range when {
		outgoing, suffix := strings.HasPrefix(w, directions[1].when), ""
		if len(when) > 1 {
			suffix = map[bool]string{false: "-in", true: "-out"}[outgoing]
		}
		x.hook(s, id+suffix, outgoing, w, ofKnown)
	}
}

// direction has the types of calls of one direction, as 3CX names them in small letters.
type direction struct{ when, answered, missed string }

var directions = [2]direction{{"direction == 'incoming'", "inbound", "missed"}, {"direction == 'outgoing'", "outbound", "notanswered"}}

// reported returns the types of calls that remain after a condition has left calls out, and whether it leaves out unknown
// callers. The condition has no blanks. whole reports whether it could be read; if not, all calls are reported.
func reported(skip string) (types []string, ofKnown, whole bool) {
	for _, d := range directions {
		types = append(types, d.answered, d.missed)
	}
	if skip == "" {
		return types, false, true
	}
	if len(skip) > maxCondition {
		return types, false, false
	}
	var left, kept []string
	for _, part := range alternatives(skip) {
		switch {
		case enabled.MatchString(part):
			continue
		case known.MatchString(part):
			ofKnown = true
			continue
		}
		operator, names := comparisons(part)
		switch {
		case operator == "!=" && kept == nil:
			kept = names
		case operator == "==" && len(names) == 1:
			left = append(left, names[0])
		default:
			return types, false, false
		}
	}
	switch {
	case kept == nil:
		return slices.DeleteFunc(types, func(name string) bool { return slices.Contains(left, name) }), ofKnown, true
	case left == nil:
		return kept, ofKnown, true
	}
	return types, false, false
}

// alternatives returns the conditions of which one is enough for a condition to hold. One that cannot be read is its only
// alternative.
func alternatives(condition string) (list []string) {
	condition = unwrapped(condition)
	parts := split(condition, "||")
	if m := choice.FindStringSubmatch(condition); m != nil && len(parts) == 1 {
		if parts = split(m[1], ","); len(parts) != 3 || !strings.EqualFold(parts[1], "true") {
			return []string{condition}
		}
		if parts = []string{parts[0], parts[2]}; strings.EqualFold(parts[1], "false") {
			parts = parts[:1]
		}
	} else if len(parts) == 1 {
		return parts
	}
	for _, part := range parts {
		list = append(list, alternatives(part)...)
	}
	return list
}

// comparisons returns the types of calls that a condition compares with one operator, joined by &&. operator is empty if it
// is another condition.
func comparisons(condition string) (operator string, names []string) {
	for _, part := range split(condition, "&&") {
		m := callType.FindStringSubmatch(unwrapped(part))
		if m == nil || operator != "" && m[1] != operator {
			return "", nil
		}
		operator, names = m[1], append(names, strings.ToLower(m[2]))
	}
	return operator, names
}

// split cuts a condition at a separator that stands outside all brackets. One with unpaired brackets is not cut.
func split(condition, separator string) (parts []string) {
	depth, from := 0, 0
	for i, c := range condition {
		switch {
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			if depth--; depth < 0 {
				return []string{condition}
			}
		case depth == 0 && i >= from && strings.HasPrefix(condition[i:], separator):
			parts = append(parts, condition[from:i])
			from = i + len(separator)
		}
	}
	if depth != 0 {
		return []string{condition}
	}
	return append(parts, condition[from:])
}

// unwrapped returns a condition without the parentheses around it.
func unwrapped(condition string) string {
	for strings.HasPrefix(condition, "(") && strings.HasSuffix(condition, ")") {
		inner := condition[1 : len(condition)-1]
		if depth := 0; strings.IndexFunc(inner, func(c rune) bool {
			depth += map[rune]int{'(': 1, ')': -1}[c]
			return depth < 0
		}) >= 0 {
			return condition
		}
		condition = inner
	}
	return condition
}

func (x *threeCX) hook(s *element, id string, outgoing bool, when string, ofKnown bool) {
	if ofKnown && x.customer {
		when += " and customer_id != ''"
	}
	t := x.add(hookTable, "scenario "+s.attr("Id"))
	t.set("name", tableNames(x.Name, id))
	t.set("events", []string{"call-hangup"})
	t.set("when", when)
	if !x.request(t, s, func(name string) (string, bool) { return x.call(name, outgoing) }, "scenario "+s.attr("Id")) {
		x.tables = x.tables[:len(x.tables)-1]
		return
	}
	x.auth(t)
	answered, missed := "Inbound", "Missed"
	if outgoing {
		answered, missed = "Outbound", "Notanswered"
	}
	t.set("words.status", map[string]string{"answer": answered, "*": missed})
	t.set("time_zone", "UTC")
	if next := s.child("Outputs").attr("Next"); next != "" && !strings.HasPrefix(next, "ReportCall") {
		x.left("the scenario %s that follows %s", next, s.attr("Id"))
	}
}

// calls are the variables of a call, as placeholders.
var calls = map[string]string{
	"CallType": "%status%", "Agent": "%agent_phone%", "AgentFirstName": "%agent_name%", "AgentLastName": "", "AgentEmail": "%agent_info%",
	"Duration": "%talk_time%", "DurationTimespan": "%talk_time%", "DateTime": "%started:2006-01-02 15:04:05%", "Name": "%callerid_name%",
	"EntityId": "%customer_id%", "EntityType": "%customer_type%", "QueueExtension": "%queue_id%",
	"CallStartTimeLocal": "%started:2006-01-02T15:04:05%", "CallStartTimeUTC": "%started:2006-01-02T15:04:05%", "CallStartTimeLocalMillis": "%started:unix-ms%", "CallStartTimeUTCMillis": "%started:unix-ms%",
	"CallEstablishedTimeLocal": "%answered:2006-01-02T15:04:05%", "CallEstablishedTimeUTC": "%answered:2006-01-02T15:04:05%", "CallEstablishedTimeLocalMillis": "%answered:unix-ms%", "CallEstablishedTimeUTCMillis": "%answered:unix-ms%",
	"CallEndTimeLocal": "%ended:2006-01-02T15:04:05%", "CallEndTimeUTC": "%ended:2006-01-02T15:04:05%", "CallEndTimeLocalMillis": "%ended:unix-ms%", "CallEndTimeUTCMillis": "%ended:unix-ms%",
}

// call returns the placeholder of a variable of a call.
func (x *threeCX) call(name string, outgoing bool) (string, bool) {
	switch name {
	case "Number":
		if outgoing {
			return "%dialed%", true
		}
		return "%callerid%", true
	case "CallDirection":
		if outgoing {
			return "Outbound", true
		}
		return "Inbound", true
	case "Duration":
		x.left("Duration is sent in seconds, where 3CX sends hh:mm:ss")
	case "AgentEmail":
		x.left("AgentEmail is agent_info: set info of each [[agent]] to the address")
	case "AgentLastName":
		x.left("AgentFirstName has the whole name of the agent, AgentLastName is empty")
	}
	if strings.HasSuffix(name, "Local") || strings.HasSuffix(name, "LocalMillis") || name == "DateTime" {
		if _, ok := calls[name]; ok {
			x.left("%s is in UTC: set time_zone of the hooks to that of the company", name)
		}
	}
	if strings.HasPrefix(name, "Entity") && !x.customer {
		x.left("%s is empty, because the lookup answers none", name)
	}
	value, ok := calls[name]
	return value, ok
}
