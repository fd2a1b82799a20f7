package lookup

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
	"ringhook/lookup/number"
)

// requestTemplate is the request of an HTTP source with its placeholders.
type requestTemplate struct {
	seed        []byte // what the key covers beside the rendered request
	method      string
	url         *text
	headers     []header
	body        *text // nil if there is none
	contentType string
	settings    map[string]string
	spellings   []string
	placed      []string // the spellings that placeholders name
	bySpelling  bool     // contains %callerid%: one attempt for each spelling
	byNumber    bool     // depends on the caller's number, it or the second request
	byList      bool     // contains all spellings in one request
}

// text is a part of a request with its placeholders, prepared when the configuration is read.
type text struct {
	*httpclient.Template
	holes []hole
}

// hole is what stands between two percent signs.
type hole struct {
	name, spelling string
	setting        *string // the administrator's own value; nil for a parameter
}

// text parses a part of the request and notes what its placeholders need.
func (t *requestTemplate) text(key, source string, place httpclient.Place) (*text, error) {
	template, err := httpclient.ParseTemplate(source, place)
	if err != nil {
		return nil, &answer.KeyError{Key: key, Err: err}
	}
	x := &text{Template: template}
	for _, placeholder := range template.Keys() {
		name, spelling, spelled := strings.Cut(placeholder, ":")
		if spelled && (!number.IsSpelling(spelling) || name == allSpellings) {
			return nil, &answer.KeyError{Key: key, Err: fmt.Errorf("%%%s%% has a format that a lookup does not know: use a spelling such as plus-less, national or last:10, and :escaped, :json or :html", placeholder)}
		}
		h := hole{name: name, spelling: spelling}
		if value, own := t.settings[name]; own {
			h.setting = &value
		}
		x.holes = append(x.holes, h)
		switch name {
		case "callerid":
			t.byNumber = true
			if spelled {
				t.placed = append(t.placed, spelling)
			} else {
				t.bySpelling = true
			}
		case allSpellings:
			t.byNumber, t.byList = true, true
		case "callerid_raw":
			t.byNumber = true
		}
	}
	return x, nil
}

// allSpellings is the placeholder of a number in every spelling of the source.
const allSpellings = "callerid_all"

// header is one that every request has.
type header struct {
	name   string
	value  *text
	secret bool // holds a credential
}

// bodyTypes are the kinds of bodies, each with its place and its Content-Type.
var bodyTypes = map[string]struct {
	place       httpclient.Place
	contentType string
}{
	"form": {httpclient.PlaceForm, "application/x-www-form-urlencoded"},
	"json": {httpclient.PlaceJSON, "application/json"},
	"xml":  {httpclient.PlaceXML, "application/xml; charset=utf-8"},
	"text": {httpclient.PlaceText, "text/plain; charset=utf-8"},
}

func newRequestTemplate(cfg *Config) (*requestTemplate, error) {
	t := &requestTemplate{method: cmp.Or(cfg.Method, "GET"), spellings: cfg.Spellings, settings: cfg.settings()}
	address, err := httpclient.JoinPath(cfg.URL, cfg.Path)
	if err != nil {
		return nil, &answer.KeyError{Key: "path", Err: err}
	}
	if t.url, err = t.text("url", address, httpclient.PlaceURL); err != nil {
		return nil, err
	}
	if cfg.Body != "" {
		kind, ok := bodyTypes[cfg.BodyType]
		if !ok {
			return nil, &answer.KeyError{Key: "body_type", Err: fmt.Errorf("unknown body type %q: use form, json, xml or text", cfg.BodyType)}
		}
		if t.body, err = t.text("body", cfg.Body, kind.place); err != nil {
			return nil, err
		}
		t.method, t.contentType = cmp.Or(cfg.Method, "POST"), kind.contentType
	}
	for name, value := range cfg.Headers {
		h := header{name: name}
		if h.value, err = t.text("headers."+name, value, httpclient.PlaceHeader); err != nil {
			return nil, err
		}
		h.secret = cfg.SecretHeader(name, value, t.settings)
		t.headers = append(t.headers, h)
	}
	slices.SortFunc(t.headers, func(x, y header) int { return strings.Compare(x.name, y.name) })
	t.byNumber = t.byNumber || cfg.thenByNumber()
	// What turns an answer into variables is part of the key: another mapping
	// must not get what this one read. Secrets that change are not part of it.
	t.seed = fmt.Appendf(nil, "%q\x00", []any{
		cfg.Name, t.method, t.contentType, cfg.Username, cfg.OAuth2.ClientID + cfg.Account,
		cfg.Spellings, cfg.Format, cfg.Charset, cfg.Map, cfg.Records, cfg.Variable, cfg.Entities, cfg.Identity, cfg.Nobody, cfg.Ambiguous, t.settings, cfg.Then,
	})
	for _, h := range t.headers {
		t.seed = fmt.Appendf(t.seed, "%q\x00", h.name)
	}
	return t, nil
}

// rendered is a question's requests in one buffer: what is hashed for the key
// is what is sent.
type rendered struct {
	template *requestTemplate
	number   string // of the caller, for a second request
	buffer   []byte
	attempts []attempt
}

// attempt is one of a question's requests. It is made if the one before it
// found no customer. Its parts are the ends of URL, body and headers in the buffer.
type attempt struct {
	begin int
	parts []int
	grade string // of what it finds
}

// render writes the requests of a question. There are none if the number has
// too few digits in each spelling.
func (t *requestTemplate) render(q *Question) rendered {
	r := rendered{template: t, number: q.Number, buffer: append(make([]byte, 0, 512), t.seed...)}
	if t.byNumber {
		// Numbers that one spelling makes equal are different callers: what is kept of
		// one must be found, and forgotten, under its own number.
		r.buffer = append(r.buffer, q.Number...)
		r.buffer = binary.AppendUvarint(r.buffer, uint64(len(q.Number)))
	}
	spelled := number.Variants(q.Number, t.spellings)
	switch {
	case t.byList && len(spelled) > 0:
		used := make([]string, len(spelled))
		for i, v := range spelled {
			used[i] = v.Spelling
		}
		r.add(q, spelled, spelled[0].Text, weakest(used))
	case t.byList:
	case t.bySpelling:
		for _, v := range spelled {
			r.add(q, spelled, v.Text, t.gradeOf(v.Spelling))
		}
	default:
		r.add(q, spelled, q.Number, weakest(t.placed))
	}
	return r
}

// gradeOf returns the grade of a match by a spelling of %callerid%, beside the spellings that placeholders name.
func (t *requestTemplate) gradeOf(spelling string) string {
	if len(t.placed) == 0 {
		return gradeOf(spelling)
	}
	return weakest(append(slices.Clip(t.placed), spelling))
}

// add renders one attempt, with the caller's number in one spelling. It is none if a
// placeholder wants another spelling, of which the number has too few digits.
func (r *rendered) add(q *Question, all []number.Variant, caller, grade string) {
	short := false
	value := func(h *hole) string {
		text := ""
		switch {
		case h.setting != nil:
			return *h.setting
		case h.name == "callerid" && h.spelling != "":
			text = q.Number
		case h.name == "callerid":
			return caller
		case h.name == allSpellings:
			return number.Join(all)
		case q.Param != nil:
			text = q.Param(h.name)
		}
		if h.spelling == "" {
			return text
		}
		spelled, ok := number.Spell(text, h.spelling)
		short = short || !ok && h.name == "callerid"
		return spelled
	}
	t := r.template
	a := attempt{begin: len(r.buffer), grade: grade, parts: make([]int, 0, 2+len(t.headers))}
	part := func(x *text) {
		begin := len(r.buffer)
		if x != nil {
			r.buffer = x.AppendNth(r.buffer, func(n int) string { return value(&x.holes[n]) })
		}
		a.parts = append(a.parts, len(r.buffer))
		// The length after each part makes the buffer unambiguous.
		r.buffer = binary.AppendUvarint(r.buffer, uint64(len(r.buffer)-begin))
	}
	part(t.url)
	part(t.body)
	for _, h := range t.headers {
		part(h.value)
	}
	if short {
		r.buffer = r.buffer[:a.begin]
		return
	}
	r.attempts = append(r.attempts, a)
}

// key is a digest of everything that an answer depends on. It is short and
// reveals no secret of the request.
func (r *rendered) key() string {
	sum := sha256.Sum256(r.buffer)
	var text [24]byte
	base64.RawURLEncoding.Encode(text[:], sum[:18])
	return string(text[:])
}

// request returns an attempt's request.
func (r *rendered) request(a attempt) *httpclient.Request {
	t := r.template
	begin := a.begin
	next := func(i int) []byte {
		part := r.buffer[begin:a.parts[i]:a.parts[i]]
		begin = a.parts[i] + len(binary.AppendUvarint(nil, uint64(len(part))))
		return part
	}
	req := &httpclient.Request{Method: t.method, URL: string(next(0)), ContentType: t.contentType}
	if body := next(1); t.body != nil {
		req.Body = body
	}
	for i, h := range t.headers {
		req.Header = append(req.Header, [2]string{h.name, string(next(2 + i))})
	}
	return req
}
