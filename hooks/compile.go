package hooks

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"ringhook/httpclient"
)

// hook is a Config that is ready to use, for one of its URLs.
type hook struct {
	cfg         *Config
	name        string // its own: copies for further URLs are numbered
	address     string
	when        *condition // nil without a condition
	url         *httpclient.Template
	method      string
	format      *format
	contentType string
	body        *httpclient.Template // of the format template
	headers     []header
	params      []param
	variants    map[string][]param // the params of events that have some of their own
	zone        *time.Location     // nil leaves times in the zone in which they came
	signers     []signer
	delays      []time.Duration
	mask        *httpclient.Mask
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
	key  string // the placeholder, if the text is nothing else
}

// value keeps the parameter's type if the text is one placeholder and nothing else.
func (p param) value(v view) any {
	if p.key != "" {
		return v.value(p.key)
	}
	return string(p.text.Append(nil, v.text))
}

// problem is a setting that cannot be used, and why.
type problem struct{ key, text string }

// use is a parameter that the key of a configuration names.
type use struct{ key, name string }

// builder makes a hook and records what is wrong with its configuration and which parameters it names.
type builder struct {
	hook     *hook
	problems []problem
	uses     []use
}

// build makes a hook for one of its URLs, of a configuration that Check accepts.
func build(c *Config, n int) (*hook, error) {
	b := compile(c, n)
	var errs []error
	for _, p := range b.problems {
		errs = append(errs, fmt.Errorf("hook %q: %s: %s", b.hook.name, p.key, p.text))
	}
	return b.hook, errors.Join(errs...)
}

// compile makes what needs more than a look at one value: templates, condition, time zone, format, signers, mask. The
// hook is complete only if no problem is recorded.
func compile(c *Config, n int) *builder {
	h := &hook{cfg: c, name: nameOf(c.Name, n), delays: schedules[c.Schedule]}
	b := &builder{hook: h}
	if n < len(c.URL) {
		h.address = c.URL[n]
	}
	h.url = b.template("url", h.address, httpclient.PlaceURL)
	var err error
	if c.When != "" {
		if h.when, err = parseCondition(c.When); err != nil {
			b.report("when", err.Error())
		} else {
			for _, name := range slices.Sorted(maps.Keys(h.when.zero)) {
				b.uses = append(b.uses, use{"when", name})
			}
		}
	}
	if c.TimeZone != "" {
		if h.zone, err = time.LoadLocation(c.TimeZone); err != nil {
			b.report("time_zone", fmt.Sprintf("%q is not a time zone, such as Europe/Moscow", c.TimeZone))
		}
	}
	b.compileFormat()
	b.compileHeaders()
	b.compileParams()
	b.compileSigners()
	h.mask = newMask(c)
	return b
}

func (b *builder) report(key, text string) { b.problems = append(b.problems, problem{key, text}) }

// template reads a template and records what is wrong with it and which parameters it names.
func (b *builder) template(key, text string, place httpclient.Place) *httpclient.Template {
	t, err := httpclient.ParseTemplate(text, place)
	if err != nil {
		b.report(key, err.Error())
		return nil
	}
	for _, name := range t.Names() {
		b.uses = append(b.uses, use{key, name})
	}
	// A format is checked here, so that a mistake in it shows before the first event.
	t.Append(nil, func(placeholder string) string {
		name, format, ok := strings.Cut(placeholder, ":")
		if _, number := decimalPlaces(format); ok && !times[name] && (!number || !isNumber(name)) {
			b.report(key, fmt.Sprintf("%%%s%% has a format that does not fit: times have one such as 15:04:05, numbers 0.0", placeholder))
		}
		return ""
	})
	return t
}

func isNumber(name string) bool { _, ok := zeros[name].(int64); return ok }

func (b *builder) compileFormat() {
	h, c := b.hook, b.hook.cfg
	h.format = formatNamed(c.Format)
	if h.format == nil {
		b.report("format", fmt.Sprintf("%q is not a format: one of %s", c.Format, oneOf(formatNames())))
		return
	}
	h.method, h.contentType = c.Method, h.format.contentType
	switch {
	case c.Method == "":
		h.method = h.format.method()
	case !slices.Contains(methods, c.Method):
		b.report("method", fmt.Sprintf("%q is not a method: one of %s", c.Method, oneOf(methods)))
	case c.Method == http.MethodGet && !h.format.query:
		b.report("method", fmt.Sprintf("GET carries no body for format = %q: use POST, or format = \"query\"", c.Format))
	}
	if h.format.compile != nil {
		h.format.compile(b)
		return
	}
	if c.Body != "" {
		b.report("body", fmt.Sprintf("format = %q has no body of its own: use format = \"template\", or leave it out", c.Format))
	}
	if c.ContentType != "" {
		b.report("content_type", fmt.Sprintf("format = %q has a content type of its own: use format = \"template\", or leave it out", c.Format))
	}
}

func (b *builder) compileHeaders() {
	headers := b.hook.cfg.Headers
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		key, value := "headers."+name, headers[name]
		if err := httpclient.CheckHeader(name, value, "webhook-id", "webhook-timestamp", "webhook-signature"); err != nil {
			b.report(key, err.Error())
		}
		b.hook.headers = append(b.hook.headers, header{name, b.template(key, value, httpclient.PlaceHeader)})
	}
}

func (b *builder) compileParams() {
	h, c := b.hook, b.hook.cfg
	for name := range c.Words {
		b.uses = append(b.uses, use{"words." + name, name})
	}
	h.params = b.compileSet("params", c.Params)
	h.variants = make(map[string][]param)
	for _, event := range slices.Sorted(maps.Keys(c.On)) {
		own, key := c.On[event], "on."+event
		if event == "" || !c.subscribes(event) && !presetHas(c.Preset, event) {
			b.report(key, fmt.Sprintf("the hook does not subscribe to %q", event))
		}
		for name := range own.Words {
			b.uses = append(b.uses, use{key + ".words." + name, name})
		}
		if len(own.Params) == 0 {
			continue
		}
		set := b.compileSet(key+".params", own.Params)
		for _, p := range h.params {
			if _, replaced := own.Params[p.name]; !replaced {
				set = append(set, p)
			}
		}
		slices.SortFunc(set, func(p, q param) int { return strings.Compare(p.name, q.name) })
		h.variants[event] = set
	}
}

// compileSet compiles a table of params, sorted by name.
func (b *builder) compileSet(key string, set map[string]string) []param {
	var params []param
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if !fieldName.MatchString(name) {
			b.report(key, fmt.Sprintf("%q is not a name for a parameter: letters, digits, underscores, hyphens and full stops", name))
		}
		p := param{name: name, text: b.template(key+"."+name, set[name], httpclient.PlaceText)}
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

// subscribes reports whether an event's name is one of the hook's names or fits one of its patterns.
func (c *Config) subscribes(name string) bool {
	return slices.ContainsFunc(c.Events, func(pattern string) bool {
		if strings.HasPrefix(name, ownEvents) && !strings.HasPrefix(pattern, ownEvents) {
			return false
		}
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}
