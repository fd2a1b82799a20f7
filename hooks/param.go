package hooks

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// param returns a parameter by its name in the contract.
func (ev *Event) param(name string) (any, bool) {
	if v, ok := ev.Params[name]; ok {
		return v, true
	}
	switch name {
	case "event":
		return ev.Name, true
	case "event_id":
		return ev.ID, true
	case "linkedid":
		return ev.LinkedID, true
	case "seq":
		return int64(ev.Seq), true
	case "final":
		return ev.Final, true
	case "time":
		return ev.Time.Format(time.RFC3339), true
	}
	return nil, false
}

// names returns the names of the event's parameters, sorted.
func (ev *Event) names() []string {
	names := []string{"event", "event_id", "linkedid", "seq", "final", "time"}
	names = slices.AppendSeq(names, maps.Keys(ev.Params))
	slices.Sort(names)
	return slices.Compact(names)
}

// textOf writes a value as text.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	default:
		return fmt.Sprint(v)
	}
}

// view is an event as one hook sees it.
type view struct {
	hook  *hook
	event *Event
}

// text returns the value of a placeholder as text.
func (v view) text(key string) string { return textOf(v.value(key)) }

// value returns the value of a placeholder in its own type, nil if it has none: a
// setting, or a parameter in the words of the receiver.
func (v view) value(key string) any {
	name, format, _ := strings.Cut(key, ":")
	return v.named(name, format)
}

func (v view) named(name, format string) any {
	if s, ok := v.hook.cfg.Settings[name]; ok {
		return s
	}
	if times[name] {
		return v.time(name, format)
	}
	value, ok := v.event.param(name)
	if !ok {
		return v.missing(name, format)
	}
	if word, ok := v.word(name, textOf(value)); ok {
		return word
	}
	if n, ok := value.(int64); ok {
		return formatNumber(n, format)
	}
	return value
}

// missing returns the value of a parameter that the event does not have: 0 for a number with a format, as a receiver that
// wants a number expects it, unless empty parameters are left out.
func (v view) missing(name, format string) any {
	if format == "" || !isNumber(name) || v.hook.cfg.OmitEmpty {
		return nil
	}
	return formatNumber(0, format)
}

// formatNumber writes a number with the decimal places of a format. Without any it stays a number.
func formatNumber(n int64, format string) any {
	if decimals, ok := decimalPlaces(format); ok && decimals > 0 {
		return strconv.FormatFloat(float64(n), 'f', decimals, 64)
	}
	return n
}

// word translates a value, by the event's own words before the hook's.
func (v view) word(name, value string) (string, bool) {
	for _, words := range []map[string]map[string]string{v.hook.cfg.On[v.event.Name].Words, v.hook.cfg.Words} {
		if word, ok := words[name][value]; ok {
			return word, true
		}
		if word, ok := words[name]["*"]; ok {
			return word, true
		}
	}
	return "", false
}

// times are the parameters of the contract that are times.
var times = map[string]bool{"time": true, "started": true, "answered": true, "ended": true, "ring_started": true}

// time returns a time in a format, nil if the event does not have it. Without a format and a zone it is as it came.
func (v view) time(name, format string) any {
	text, _ := v.event.Params[name].(string)
	t := v.event.Time
	if name != "time" {
		var err error
		if t, err = time.Parse(time.RFC3339, text); err != nil {
			return v.nonEmpty(text)
		}
	}
	if format == "" {
		format = v.hook.cfg.TimeFormat
	}
	switch {
	case v.hook.zone != nil:
		t = t.In(v.hook.zone)
	case format == "" && text != "":
		return text
	default:
		t = t.In(v.event.Time.Location())
	}
	switch format {
	case "":
		return t.Format(time.RFC3339)
	case "unix":
		return t.Unix()
	case "unix-ms":
		return t.UnixMilli()
	}
	return t.Format(format)
}

// nonEmpty is nil for a parameter that is not there.
func (view) nonEmpty(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// decimalPlaces reads the format of a number: 0, 0.0, 0.00 and so on.
func decimalPlaces(format string) (n int, ok bool) {
	rest, ok := strings.CutPrefix(format, "0")
	if !ok || strings.Trim(rest, "0") != "." && rest != "" {
		return 0, false
	}
	return max(len(rest)-1, 0), true
}

// field is one parameter as it is sent.
type field struct {
	name  string
	value any // nil where it has no value
}

// params returns the chosen parameters of the event, sorted by name.
func (v view) params() []param {
	if own, ok := v.hook.variants[v.event.Name]; ok {
		return own
	}
	return v.hook.params
}

// fields lists what is sent, sorted by name.
func (v view) fields() []field {
	params := v.params()
	if len(params) == 0 {
		names := v.event.names()
		all := make([]field, len(names))
		for i, name := range names {
			all[i] = field{name, v.named(name, "")}
		}
		return all
	}
	chosen := make([]field, 0, len(params))
	for _, p := range params {
		f := field{p.name, p.value(v)}
		if v.hook.cfg.OmitEmpty && (f.value == nil || f.value == "") {
			continue
		}
		chosen = append(chosen, f)
	}
	return chosen
}
