package hooks

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"ringhook/httpclient"
)

// hook is a Config made ready.
type hook struct {
	cfg      *Config
	name     string // its own, of the copies that the configuration makes of it
	address  string
	when     *condition // nil when there is none
	url      *httpclient.Template
	method   string
	body     *httpclient.Template // of the format template
	headers  []header
	params   []param
	variants map[string][]param // the params of events that have some of their own
	zone     *time.Location     // nil when none is set
	signers  []signer
	delays   []time.Duration
	mask     *strings.Replacer
}

// header is one configured header.
type header struct {
	name  string
	value *httpclient.Template
}

// param is one chosen parameter.
type param struct {
	name string
	text *httpclient.Template
	key  string // of the placeholder that is all of the text
}

// value keeps the parameter's type where nothing is written around it.
func (p param) value(v view) any {
	if p.key != "" {
		return v.value(p.key)
	}
	return string(p.text.Append(nil, v.text))
}

var (
	hookName  = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)
	fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
)

var (
	formats = []string{"query", "form", "json", "xml", "standard", "template"}
	orders  = []string{orderCall, orderStrict, orderNone}
	methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch}
)

// compile makes a hook ready for one of its URLs, and reports what stands against it.
func compile(c *Config, n int, report func(key, problem string)) *hook {
	h := &hook{cfg: c, name: nameOf(c.Name, n), method: c.Method, delays: schedules[c.Schedule]}
	if n < len(c.URL) {
		h.address = c.URL[n]
	}
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			report(key, fmt.Sprintf(format, args...))
		}
	}
	check(hookName.MatchString(c.Name), "name", "%q is not a name for a hook: 1 to 32 small letters, digits, underscores and hyphens", c.Name)
	check(len(c.Events) > 0, "events", "the hook has no events: name some, or \"*\" for all")
	for _, name := range c.Events {
		_, err := path.Match(name, "")
		check(err == nil && name != "", "events", "%q is neither an event's name nor a pattern such as \"agent-*\"", name)
	}
	check(c.Timeout >= 100*time.Millisecond && c.Timeout <= time.Minute, "timeout", "%v is out of range: 100ms to 60s", c.Timeout)
	check(c.GiveUp >= time.Second && c.GiveUp <= 30*24*time.Hour, "give_up", "%v is out of range: 1s to 720h", c.GiveUp)
	check(h.delays != nil, "schedule", "%q is not a schedule: one of %s", c.Schedule, oneOf(slices.Sorted(maps.Keys(schedules))))
	check(slices.Contains(orders, c.Order), "order", "%q is not an order: one of %s", c.Order, oneOf(orders))
	check(c.OrderHold >= time.Second && c.OrderHold <= 30*24*time.Hour, "order_hold", "%v is out of range: 1s to 720h", c.OrderHold)
	check(c.Concurrency >= 1 && c.Concurrency <= 64, "concurrency", "%d is out of range: 1 to 64", c.Concurrency)
	for name := range c.Settings {
		check(fieldName.MatchString(name) && name == strings.ToLower(name), "settings", "%q is not a name: small letters, digits and underscores", name)
	}
	var err error
	if c.When != "" {
		h.when, err = parseCondition(c.When)
		check(err == nil, "when", "%v", err)
	}
	if c.TimeZone != "" {
		h.zone, err = time.LoadLocation(c.TimeZone)
		check(err == nil, "time_zone", "%q is not a time zone, such as Europe/Moscow", c.TimeZone)
	}
	h.url = parse(h.address, httpclient.PlaceURL, "url", report)
	h.compileFormat(report)
	h.compileHeaders(report)
	h.compileParams(report)
	h.compileSigners(report)
	c.Credentials.Check(c.Headers, report)
	h.mask = newMask(c)
	return h
}

// subscribes tells whether one of the hook's names or patterns fits.
func (h *hook) subscribes(name string) bool {
	return slices.ContainsFunc(h.cfg.Events, func(pattern string) bool {
		if strings.HasPrefix(name, ownEvents) && !strings.HasPrefix(pattern, ownEvents) {
			return false
		}
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

// parse reads a template and reports what is wrong with it.
func parse(text string, place httpclient.Place, key string, report func(key, problem string)) *httpclient.Template {
	t, err := httpclient.ParseTemplate(text, place)
	if err != nil {
		report(key, err.Error())
		return nil
	}
	// A format is checked where it stands, so that a mistake in it shows before
	// the first event.
	t.Append(nil, func(placeholder string) string {
		name, format, ok := strings.Cut(placeholder, ":")
		if _, number := decimalPlaces(format); ok && name != "time" && (!number || !isNumber(name)) {
			report(key, fmt.Sprintf("%%%s%% has a format that does not fit: times have one such as 15:04:05, numbers 0.0", placeholder))
		}
		return ""
	})
	return t
}

func isNumber(name string) bool { _, ok := zeros[name].(int64); return ok }

func (h *hook) compileFormat(report func(key, problem string)) {
	c := h.cfg
	if !slices.Contains(formats, c.Format) {
		report("format", fmt.Sprintf("%q is not a format: one of %s", c.Format, oneOf(formats)))
	}
	switch {
	case c.Method == "" && c.Format == "query":
		h.method = http.MethodGet
	case c.Method == "":
		h.method = http.MethodPost
	case !slices.Contains(methods, c.Method):
		report("method", fmt.Sprintf("%q is not a method: one of %s", c.Method, oneOf(methods)))
	case c.Method == http.MethodGet && c.Format != "query":
		report("method", fmt.Sprintf("GET carries no body for format = %q: use POST, or format = \"query\"", c.Format))
	}
	if c.Format != "template" {
		if c.Body != "" {
			report("body", fmt.Sprintf("format = %q has no body of its own: use format = \"template\", or leave it out", c.Format))
		}
		if c.ContentType != "" {
			report("content_type", fmt.Sprintf("format = %q has a content type of its own: use format = \"template\", or leave it out", c.Format))
		}
		return
	}
	if c.Body == "" {
		report("body", "format = \"template\" needs a body")
	}
	place, err := placeOf(c.ContentType)
	if err != nil {
		report("content_type", err.Error())
	}
	h.body = parse(c.Body, place, "body", report)
	if h.body == nil || err != nil || c.Body == "" {
		return
	}
	if err := readable(h.body, place); err != nil {
		report("body", err.Error())
	}
}

// readable proves that a body is what its content type says, with a letter or
// a digit in place of each value.
func readable(body *httpclient.Template, place httpclient.Place) error {
	switch place {
	case httpclient.PlaceJSON:
		var value any
		if err := json.Unmarshal(body.Append(nil, func(string) string { return "1" }), &value); err != nil {
			return fmt.Errorf("body is no JSON: %w", err)
		}
	case httpclient.PlaceXML:
		d := xml.NewDecoder(bytes.NewReader(body.Append(nil, func(string) string { return "x" })))
		d.CharsetReader = func(_ string, text io.Reader) (io.Reader, error) { return text, nil }
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return fmt.Errorf("body is no XML: %w", err)
			}
		}
	}
	return nil
}

// placeOf tells how values are escaped in a body of a content type.
func placeOf(contentType string) (httpclient.Place, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.Contains(media, "/") {
		return httpclient.PlaceText, fmt.Errorf("%q is not a content type, such as application/json", contentType)
	}
	switch {
	case strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json"):
		return httpclient.PlaceJSON, nil
	case strings.HasSuffix(media, "/xml") || strings.HasSuffix(media, "+xml"):
		return httpclient.PlaceXML, nil
	case media == "application/x-www-form-urlencoded":
		return httpclient.PlaceForm, nil
	case media == "text/plain":
		return httpclient.PlaceText, nil
	}
	return httpclient.PlaceText, errors.New("content type is one whose escaping is not known: use one of JSON, XML or forms, or text/plain")
}

func (h *hook) compileHeaders(report func(key, problem string)) {
	for _, name := range slices.Sorted(maps.Keys(h.cfg.Headers)) {
		key, value := "headers."+name, h.cfg.Headers[name]
		if err := httpclient.CheckHeader(name, value, "webhook-id", "webhook-timestamp", "webhook-signature"); err != nil {
			report(key, err.Error())
		}
		h.headers = append(h.headers, header{name, parse(value, httpclient.PlaceHeader, key, report)})
	}
}

func (h *hook) compileParams(report func(key, problem string)) {
	h.params = h.compileSet("params", h.cfg.Params, report)
	h.variants = make(map[string][]param)
	for event, own := range h.cfg.On {
		key := "on." + event
		if event == "" || !h.subscribes(event) && !presetHas(h.cfg.Preset, event) {
			report(key, fmt.Sprintf("the hook does not subscribe to %q", event))
		}
		if len(own.Params) == 0 {
			continue
		}
		all := maps.Clone(h.cfg.Params)
		if all == nil {
			all = make(map[string]string)
		}
		maps.Copy(all, own.Params)
		h.variants[event] = h.compileSet(key+".params", all, report)
	}
}

func (h *hook) compileSet(key string, set map[string]string, report func(key, problem string)) []param {
	var params []param
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if !fieldName.MatchString(name) {
			report(key, fmt.Sprintf("%q is not a name for a parameter: letters, digits, underscores, hyphens and full stops", name))
		}
		p := param{name: name, text: parse(set[name], httpclient.PlaceText, key, report)}
		if p.text == nil {
			continue
		}
		var keys []string
		around := p.text.Append(nil, func(key string) string {
			keys = append(keys, key)
			return ""
		})
		if len(keys) == 1 && len(around) == 0 {
			p.key = keys[0]
		}
		params = append(params, p)
	}
	return params
}

// oneOf lists what may be chosen.
func oneOf(words []string) string { return strings.Join(words, ", ") }
