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

	"golang.org/x/time/rate"

	"ringhook/hooks/reply"
	"ringhook/httpclient"
)

// hook is a Config that is ready to use, for one of its URLs.
type hook struct {
	cfg      *Config
	name     string // its own: copies for further URLs are numbered
	address  string
	when     *condition          // nil without a condition
	general  *request            // of the events that have none of their own
	requests map[string]*request // of the events that have one of their own, by name
	zone     *time.Location      // nil leaves times in the zone in which they came
	signers  []signer
	delays   []time.Duration
	mask     *httpclient.Mask // for what is shown and stored
	answers  *httpclient.Mask // for remembered values
	// remembers reports whether answers leave values for later deliveries of their call.
	remembers bool
	limiter   *rate.Limiter // of attempts, nil without a limit
}

// of returns the request of an event.
func (h *hook) of(event string) *request {
	if r := h.requests[event]; r != nil {
		return r
	}
	return h.general
}

// request is what a hook sends for an event, with its templates prepared.
type request struct {
	hook        *hook
	cfg         *Config    // with what the event overrides
	when        *condition // of the event alone, nil without one
	url         *text
	method      string
	format      *format
	contentType string
	body        *text            // of the format template
	place       httpclient.Place // of values in the body
	headers     []header
	params      []param
	reply       *reply.Reader // nil if nothing is read of answers
	needs       []string
	apart       bool // the credentials of the hook do not belong to its server
}

// header is one configured header.
type header struct {
	name  string
	value *text
}

// param is one chosen parameter.
type param struct {
	name string
	text *text
	// alone reports that the text is one placeholder and nothing else.
	alone bool
}

// value keeps the parameter's type if the text is one placeholder and nothing else.
func (p *param) value(v view) any {
	if p.alone {
		return v.value(&p.text.holes[0])
	}
	return string(p.text.append(nil, v))
}

// problem is a setting that cannot be used, and why.
type problem struct{ key, text string }

// use is a parameter that the key of a configuration names.
type use struct{ key, name string }

// builder makes a hook and records what is wrong with its configuration and which parameters it names.
type builder struct {
	hook     *hook
	request  *request
	event    string   // of the request, empty for the general one
	own      *Variant // what the event overrides, nil for the general request
	problems []problem
	uses     []use
	unclosed []use // names behind a percent sign that no other closes
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

// compile makes what needs more than a look at one value: templates, conditions, time zone, formats, signers, mask. The
// hook is complete only if no problem is recorded.
func compile(c *Config, n int) *builder {
	h := &hook{cfg: c, name: nameOf(c.Name, n), delays: schedules[c.Schedule], requests: make(map[string]*request)}
	b := &builder{hook: h}
	if n < len(c.URL) {
		h.address = c.URL[n]
	}
	h.when = b.condition("when", c.When)
	var err error
	if c.TimeZone != "" {
		if h.zone, err = time.LoadLocation(c.TimeZone); err != nil {
			b.report("time_zone", fmt.Sprintf("%q is not a time zone, such as Europe/Moscow", c.TimeZone))
		}
	}
	for name := range c.Words {
		b.uses = append(b.uses, use{"words." + name, name})
	}
	b.compileGeneral()
	for _, event := range slices.Sorted(maps.Keys(c.On)) {
		own := c.On[event]
		if event == "" || !c.subscribes(event) && !presetHas(c.Preset, event) {
			b.report("on."+event, fmt.Sprintf("the hook does not subscribe to %q", event))
		}
		for name := range own.Words {
			b.uses = append(b.uses, use{"on." + event + ".words." + name, name})
		}
		h.requests[event] = b.compileRequest(c.with(&own), event, &own)
	}
	b.compileSigners()
	h.limiter = b.compileRate()
	h.mask, h.answers = newMasks(c)
	return b
}

// compileGeneral compiles the request of the events that have none of their own. If every event has its own, what is
// missing in this one is no mistake.
func (b *builder) compileGeneral() {
	c := b.hook.cfg
	before := len(b.problems)
	b.hook.general = b.compileRequest(c, "", nil)
	incomplete := len(b.problems) > before
	if incomplete && len(c.Events) > 0 && !slices.ContainsFunc(c.Events, func(name string) bool { _, own := c.On[name]; return !own }) {
		b.problems = slices.DeleteFunc(b.problems, func(p problem) bool { return p.key == "body" && p.text == bodyMissing })
		if len(b.problems) == before {
			b.hook.general = nil
		}
	}
}

// with returns the configuration of an event.
func (c *Config) with(own *Variant) *Config {
	merged := *c
	if own.URL != "" {
		merged.URL, merged.Path = Addresses{own.URL}, ""
	}
	for _, key := range []struct {
		to   *string
		from string
	}{
		{&merged.Path, own.Path}, {&merged.Method, own.Method}, {&merged.ContentType, own.ContentType}, {&merged.Body, own.Body},
		{&merged.File, own.File}, {&merged.Without, own.Without},
	} {
		if key.from != "" {
			*key.to = key.from
		}
	}
	if own.Format != "" && own.Format != c.Format {
		merged.Format = own.Format
		if own.Format != templateFormat.name {
			merged.Body, merged.ContentType = own.Body, own.ContentType
		}
		merged.File = own.File
	}
	if own.Needs != nil {
		merged.Needs = own.Needs
	}
	merged.Params, merged.Remember = overlay(c.Params, own.Params), overlay(c.Remember, own.Remember)
	merged.Words = overlay(c.Words, nil)
	for name, words := range own.Words {
		if _, all := words["*"]; all {
			merged.Words[name] = words
			continue
		}
		merged.Words[name] = overlay(merged.Words[name], words)
	}
	return &merged
}

// overlay returns a table with the names of another one laid over it.
func overlay[V any](table, over map[string]V) map[string]V {
	both := make(map[string]V, len(table)+len(over))
	maps.Copy(both, table)
	maps.Copy(both, over)
	return both
}

// compileRequest compiles the request of an event, whose configuration has what the event overrides.
func (b *builder) compileRequest(c *Config, event string, own *Variant) *request {
	b.request, b.event, b.own = &request{hook: b.hook, cfg: c}, event, own
	r := b.request
	if own != nil {
		r.when = b.condition("when", own.When)
	}
	address := b.hook.address
	if own != nil && own.URL != "" {
		r.apart = httpclient.Apart(address, own.URL)
		address = own.URL
		if len(b.hook.cfg.URL) > 1 {
			b.report("url", "the hook has several URLs, which this one would replace all: use path")
		}
	}
	address, err := httpclient.JoinPath(address, c.Path)
	if inherited := own != nil && own.URL == "" && b.hook.cfg.Path != ""; err != nil && !inherited {
		b.report("path", err.Error())
	}
	r.params = b.compileSet(c.Params)
	r.url = b.text("url", address, httpclient.PlaceURL)
	b.compileFormat()
	b.compileHeaders()
	b.compileReply()
	b.request, b.event, b.own = nil, "", nil
	return r
}

// at returns where a key of the request stands in the configuration.
func (b *builder) at(key string) string {
	if b.own == nil {
		return key
	}
	own := b.own
	table, name, _ := strings.Cut(key, ".")
	here := false
	switch table {
	case "when":
		here = true
	case "url", "path":
		if own.URL != "" {
			table, here = "url", true
		} else if own.Path != "" {
			table, here = "path", true
		}
		key = table
	case "method":
		here = own.Method != ""
	case "format":
		here = own.Format != ""
	case "content_type":
		here = own.ContentType != ""
	case "body":
		here = own.Body != "" || own.Format != ""
	case "file":
		here = own.File != "" || own.Format != ""
	case "params":
		_, here = own.Params[name]
	case "remember":
		_, here = own.Remember[name]
	case "needs":
		here = own.Needs != nil
	case "without":
		here = own.Without != ""
	}
	if here {
		return "on." + b.event + "." + key
	}
	return key
}

// report records a problem with a key of the hook or of the request that is compiled, once.
func (b *builder) report(key, text string) {
	if p := (problem{b.at(key), text}); !slices.Contains(b.problems, p) {
		b.problems = append(b.problems, p)
	}
}

// condition compiles a condition and records which parameters it names.
func (b *builder) condition(key, source string) *condition {
	if source == "" {
		return nil
	}
	c, err := parseCondition(source)
	if err != nil {
		b.report(key, err.Error())
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(c.zero)) {
		b.uses = append(b.uses, use{b.at(key), name})
	}
	return c
}

// text prepares a template and records what is wrong with it and which parameters it names.
func (b *builder) text(key, source string, place httpclient.Place) *text {
	t, err := httpclient.ParseTemplate(source, place)
	if err != nil {
		b.report(key, err.Error())
		return nil
	}
	for _, name := range t.Names() {
		b.uses = append(b.uses, use{b.at(key), name})
	}
	for _, name := range t.Unclosed() {
		b.unclosed = append(b.unclosed, use{b.at(key), name})
	}
	x := &text{Template: t}
	for _, placeholder := range t.Keys() {
		hole, err := b.request.hole(placeholder)
		if err != nil {
			b.report(key, err.Error())
		}
		x.holes = append(x.holes, hole)
	}
	return x
}

func (b *builder) compileFormat() {
	r, c := b.request, b.request.cfg
	r.format = formatNamed(c.Format)
	if r.format == nil {
		b.report("format", fmt.Sprintf("%q is not a format: one of %s", c.Format, oneOf(formatNames())))
		return
	}
	r.method, r.contentType = c.Method, r.format.contentType
	switch {
	case c.Method == "":
		r.method = r.format.method()
	case !slices.Contains(methods, c.Method):
		b.report("method", fmt.Sprintf("%q is not a method: one of %s", c.Method, oneOf(methods)))
	case c.Method == http.MethodGet && !r.format.query:
		b.report("method", fmt.Sprintf("GET carries no body for format = %q: use POST, or format = \"query\"", c.Format))
	}
	switch {
	case c.File == "":
	case r.format.file:
		compileFile(b)
	default:
		b.report("file", fmt.Sprintf("format = %q sends no recording: use format = \"multipart\" or \"json\", or leave it out", c.Format))
	}
	if r.format.compile != nil {
		r.format.compile(b)
	}
	if r.format == &templateFormat {
		return
	}
	if r.format == &xmlFormat {
		for _, p := range r.params {
			if !fieldName.MatchString(p.name) && paramName.MatchString(p.name) {
				b.report("params."+p.name, "is no name of an XML element: brackets are for forms and queries")
			}
		}
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
		text := b.text(key, value, httpclient.PlaceHeader)
		if b.request.apart && b.hook.cfg.SecretHeader(name, value, b.hook.cfg.Settings) {
			continue
		}
		b.request.headers = append(b.request.headers, header{name, text})
	}
}

// What becomes of an event whose needs no answer has met.
const (
	withoutDead = "dead" // the default
	withoutDrop = "drop"
	withoutSend = "send"
)

// compileReply prepares what is read of answers, and what must have been read before.
func (b *builder) compileReply() {
	r, c := b.request, b.request.cfg
	reader, problems := reply.New(reply.Config{Taken: c.Taken, Remember: c.Remember, XML: strings.Contains(r.contentType, "xml")})
	for _, p := range problems {
		b.report(p.Key, p.Text)
	}
	r.reply = reader
	b.hook.remembers = b.hook.remembers || len(c.Remember) > 0 || c.RememberedBy != ""
	if c.RememberedBy != "" && len(c.Remember) > 0 {
		b.report("remember", "has no effect beside remembered_by: leave one of the two out")
	}
	for _, name := range c.Needs {
		if !reply.Name.MatchString(name) {
			b.report("needs", fmt.Sprintf("%q is not the name of a remembered value", name))
		}
		if _, always := b.hook.cfg.Remember[name]; always {
			b.report("needs", fmt.Sprintf("%q has no effect: remember of the hook fetches it with every event, and none waits for what it fetches; name it in on.EVENT.remember of the event whose answer has it", name))
		}
		if _, fetches := c.Remember[name]; !fetches { // a delivery does not wait for what it fetches
			r.needs = append(r.needs, name)
		}
	}
	if len(c.Needs) > 0 && c.Order == orderNone && c.RememberedBy == "" {
		b.report("needs", "cannot be met without order: an event would not wait for the one whose answer it needs; leave order out")
	}
	if !slices.Contains([]string{"", withoutDead, withoutDrop, withoutSend}, c.Without) {
		b.report("without", fmt.Sprintf("%q is none of dead, drop, send", c.Without))
	}
}

// compileSet compiles a table of params, sorted by name.
func (b *builder) compileSet(set map[string]string) []param {
	var params []param
	for _, name := range slices.Sorted(maps.Keys(set)) {
		key := "params." + name
		if !paramName.MatchString(name) {
			// The table is the place: such a name may be cut at a full stop.
			table := strings.TrimSuffix(b.at(key), "."+name)
			b.problems = append(b.problems, problem{table, fmt.Sprintf("%q is not a name for a parameter: letters, digits, underscores, hyphens and full stops, and parts in brackets such as user[]", name)})
		}
		p := param{name: name, text: b.text(key, set[name], httpclient.PlaceText)}
		if p.text == nil {
			continue
		}
		p.alone = p.text.isAlone()
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
