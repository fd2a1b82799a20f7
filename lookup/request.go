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
	url         *httpclient.Template
	headers     []header
	body        *httpclient.Template // nil if there is none
	contentType string
	spellings   []string
	names       []string // of the placeholders
	bySpelling  bool     // contains %callerid%: one attempt for each spelling
	byNumber    bool     // depends on the caller's number
	byList      bool     // contains all spellings in one request
}

// allSpellings is the placeholder of a number in every spelling of the source.
const allSpellings = "callerid_all"

// header is one that every request has.
type header struct {
	name  string
	value *httpclient.Template
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
	t := &requestTemplate{method: cmp.Or(cfg.Method, "GET"), spellings: cfg.Spellings}
	var err error
	if t.url, err = httpclient.ParseTemplate(cfg.URL, httpclient.PlaceURL); err != nil {
		return nil, &answer.KeyError{Key: "url", Err: err}
	}
	names := t.url.Names()
	if cfg.Body != "" {
		kind, ok := bodyTypes[cfg.BodyType]
		if !ok {
			return nil, &answer.KeyError{Key: "body_type", Err: fmt.Errorf("unknown body type %q: use form, json, xml or text", cfg.BodyType)}
		}
		if t.body, err = httpclient.ParseTemplate(cfg.Body, kind.place); err != nil {
			return nil, &answer.KeyError{Key: "body", Err: err}
		}
		t.method, t.contentType = cmp.Or(cfg.Method, "POST"), kind.contentType
		names = append(names, t.body.Names()...)
	}
	for name, value := range cfg.Headers {
		h := header{name: name}
		if h.value, err = httpclient.ParseTemplate(value, httpclient.PlaceHeader); err != nil {
			return nil, &answer.KeyError{Key: "headers." + name, Err: err}
		}
		names = append(names, h.value.Names()...)
		t.headers = append(t.headers, h)
	}
	slices.SortFunc(t.headers, func(x, y header) int { return strings.Compare(x.name, y.name) })
	t.names = names
	t.byList = slices.Contains(names, allSpellings)
	t.bySpelling = slices.Contains(names, "callerid")
	t.byNumber = t.byList || t.bySpelling || slices.Contains(names, "callerid_raw")
	// What turns an answer into variables is part of the key: another mapping
	// must not get what this one read. Secrets that change are not part of it.
	t.seed = fmt.Appendf(nil, "%q\x00", []any{
		cfg.Name, t.method, t.contentType, cfg.Username, cfg.OAuth2.ClientID,
		cfg.Spellings, cfg.Format, cfg.Charset, cfg.Map, cfg.Records, cfg.Variable, cfg.Entities, cfg.Identity, cfg.Nobody, cfg.Ambiguous,
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
	r := rendered{template: t, buffer: append(make([]byte, 0, 512), t.seed...)}
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
			r.add(q, spelled, v.Text, gradeOf(v.Spelling))
		}
	default:
		r.add(q, spelled, q.Number, matchExact)
	}
	return r
}

// add renders one attempt, with the caller's number in one spelling.
func (r *rendered) add(q *Question, all []number.Variant, caller, grade string) {
	value := func(key string) string {
		name, format, formatted := strings.Cut(key, ":")
		switch {
		case name == "callerid" && formatted && number.IsSpelling(format):
			spelled, _ := number.Spell(q.Number, format)
			return spelled
		case key == "callerid":
			return caller
		case key == allSpellings:
			return number.Join(all)
		case q.Param == nil:
			return ""
		}
		return q.Param(key)
	}
	t := r.template
	a := attempt{begin: len(r.buffer), grade: grade, parts: make([]int, 0, 2+len(t.headers))}
	part := func(template *httpclient.Template) {
		begin := len(r.buffer)
		if template != nil {
			r.buffer = template.Append(r.buffer, value)
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
