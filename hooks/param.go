package hooks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/number"
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

// identity are the parameters that every event has, also if they are not in Params.
var identity = []string{"event", "event_id", "linkedid", "seq", "final", "time"}

// names returns the names of the event's parameters, sorted.
func (ev *Event) names() []string {
	names := make([]string, 0, len(identity)+len(ev.Params))
	for name := range ev.Params {
		names = append(names, name)
	}
	for _, name := range identity {
		if _, ok := ev.Params[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
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

// text is a template whose placeholders were prepared when the configuration was read.
type text struct {
	*httpclient.Template
	holes []placeholder
}

// append appends the text with the values of an event.
func (t *text) append(dst []byte, v view) []byte {
	return t.AppendNth(dst, func(n int) string { return textOf(v.value(&t.holes[n])) })
}

// isAlone reports whether the text is one placeholder and nothing else.
func (t *text) isAlone() bool {
	return len(t.holes) == 1 && string(t.Append(nil, func(string) string { return "x" })) == "x" && !t.Nested()
}

// placeholder is what stands between two percent signs.
type placeholder struct {
	name     string
	setting  *string           // the administrator's own value; nil for a parameter
	param    *param            // in a body, one of the chosen params
	words    map[string]string // the receiver's words for its values
	isTime   bool
	layout   string // of a time
	number   numberFormat
	spelling string // of a telephone number
}

// numberFormat writes a whole number. Nil is none.
type numberFormat func(n int64) any

// numberFormats are the units of a number of seconds.
var numberFormats = map[string]numberFormat{
	"ms":    func(n int64) any { return n * 1000 },
	"min":   func(n int64) any { return (n + 59) / 60 },
	"mm:ss": func(n int64) any { return fmt.Sprintf("%02d:%02d", n/60, n%60) },
}

// numberFormatNamed returns a unit, or the decimal places 0, 0.0, 0.00 and so on; nil if it is neither.
func numberFormatNamed(name string) numberFormat {
	if f := numberFormats[name]; f != nil {
		return f
	}
	rest, ok := strings.CutPrefix(name, "0")
	if !ok || strings.Trim(rest, "0") != "." && rest != "" {
		return nil
	}
	if decimals := len(rest) - 1; decimals > 0 {
		return func(n int64) any { return strconv.FormatFloat(float64(n), 'f', decimals, 64) }
	}
	return func(n int64) any { return n }
}

func isNumber(name string) bool { _, ok := zeros[name].(int64); return ok }

// hole prepares a placeholder. The error describes a format that does not fit.
func (r *request) hole(key string) (placeholder, error) {
	name, format, formatted := strings.Cut(key, ":")
	p := r.parameter(name)
	switch {
	case !formatted:
	case p.isTime:
		p.layout = format
	case isNumber(name):
		if p.number = numberFormatNamed(format); p.number == nil {
			return p, fmt.Errorf("%%%s%% has a format that does not fit: a number has decimal places such as 0.0, or a unit, ms, min or mm:ss", key)
		}
	case number.IsSpelling(format):
		p.spelling = format
	default:
		return p, fmt.Errorf("%%%s%% has a format that does not fit: times have one such as 15:04:05, numbers 0.0, ms, min or mm:ss, telephone numbers a spelling such as plus-less, national or last:10", key)
	}
	return p, nil
}

// parameter prepares a placeholder without a format.
func (r *request) parameter(name string) placeholder {
	p := placeholder{name: name, words: r.words(name), isTime: times[name]}
	if s, ok := r.cfg.Settings[name]; ok {
		p.setting = new(s)
	}
	return p
}

// words returns the receiver's words for the values of a parameter, with the settings that they name filled in.
func (r *request) words(name string) map[string]string {
	words := r.cfg.Words[name]
	for value, word := range words {
		if !strings.Contains(word, "%") {
			continue
		}
		for setting, own := range r.cfg.Settings {
			word = strings.ReplaceAll(word, "%"+setting+"%", own)
		}
		if word != words[value] {
			words = overlay(words, map[string]string{value: word})
		}
	}
	return words
}

// view is an event as one request of a hook sees it.
type view struct {
	request *request
	event   *Event
}

// named returns the value of a parameter that no placeholder names.
func (v view) named(name string) any {
	if c := v.request.cfg; len(c.Words) == 0 && len(c.Settings) == 0 && !times[name] { // as most hooks have it
		value, _ := v.event.param(name)
		return value
	}
	p := v.request.parameter(name)
	return v.value(&p)
}

// value returns the value of a placeholder in its own type, nil if it has none: a
// setting, or a parameter in the words of the receiver.
func (v view) value(p *placeholder) any {
	switch {
	case p.param != nil:
		return p.param.value(v)
	case p.setting != nil:
		return *p.setting
	case p.isTime:
		return v.time(p.name, p.layout)
	}
	value, ok := v.event.param(p.name)
	if !ok {
		return v.missing(p)
	}
	if p.words != nil {
		if word, ok := wordFor(p.words, textOf(value)); ok {
			return word
		}
	}
	switch value := value.(type) {
	case int64:
		if p.number != nil {
			return p.number(value)
		}
	case string:
		if p.spelling != "" {
			spelled, _ := number.Spell(value, p.spelling)
			return spelled
		}
	}
	return value
}

// missing returns the value of a parameter that the event does not have: the receiver's word for an empty one, or 0 for a
// number with a format, as a receiver that wants a number expects it, unless empty parameters are left out.
func (v view) missing(p *placeholder) any {
	if word, ok := p.words[""]; ok {
		return word
	}
	if p.number == nil || v.request.cfg.OmitEmpty {
		return nil
	}
	return p.number(0)
}

// wordFor returns the receiver's word for a value.
func wordFor(words map[string]string, value string) (string, bool) {
	word, ok := words[value]
	if !ok {
		word, ok = words["*"]
	}
	return word, ok
}

// times are the parameters of the contract that are times.
var times = map[string]bool{"time": true, "started": true, "answered": true, "ended": true, "ring_started": true}

// time returns a time in a format, nil if the event does not have it. Without a format and a zone it is as it came.
func (v view) time(name, format string) any {
	if format == "" {
		format = v.request.cfg.TimeFormat
	}
	zone := v.request.hook.zone
	text, _ := v.event.Params[name].(string)
	if format == "" && zone == nil && (text != "" || name != "time") {
		return v.nonEmpty(text)
	}
	t := v.event.Time
	if name != "time" {
		var err error
		if t, err = time.Parse(time.RFC3339, text); err != nil {
			return v.nonEmpty(text)
		}
	}
	if zone == nil {
		zone = v.event.Time.Location()
	}
	t = t.In(zone)
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

// field is one parameter as it is sent.
type field struct {
	name  string
	value any // nil where it has no value
}

// fields lists what is sent, sorted by name.
func (v view) fields() []field {
	params := v.request.params
	if len(params) == 0 {
		names := v.event.names()
		all := make([]field, len(names))
		for i, name := range names {
			all[i] = field{name, v.named(name)}
		}
		return all
	}
	chosen := make([]field, 0, len(params))
	for i := range params {
		f := field{params[i].name, params[i].value(v)}
		if v.request.cfg.OmitEmpty && (f.value == nil || f.value == "") {
			continue
		}
		chosen = append(chosen, f)
	}
	return chosen
}
