package lookup

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
	"ringhook/lookup/number"
)

// asking is how a source is asked: the templates of its request.
type asking struct {
	seed        []byte
	method      string
	url         *httpclient.Template
	headers     []header
	body        *httpclient.Template // nil where there is none
	contentType string
	spellings   []string
	byNum       bool // by the caller's number
	byList      bool // by all spellings of it in one request
}

// allSpellings is the placeholder of a number in every spelling of the source.
const allSpellings = "callerid_all"

// header is one that goes with each request.
type header struct {
	name    string
	value   *httpclient.Template
	differs bool // from question to question
}

// attempt is one request, and the grade of what it finds.
type attempt struct {
	*httpclient.Request
	by string
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

func newAsking(cfg *Config) (*asking, error) {
	a := &asking{method: cmp.Or(cfg.Method, "GET"), spellings: cfg.Spellings}
	var err error
	if a.url, err = httpclient.ParseTemplate(cfg.URL, httpclient.PlaceURL); err != nil {
		return nil, &answer.KeyError{Key: "url", Err: err}
	}
	names := a.url.Names()
	if cfg.Body != "" {
		kind, ok := bodyTypes[cfg.BodyType]
		if !ok {
			return nil, &answer.KeyError{Key: "body_type", Err: fmt.Errorf("%q is unknown", cfg.BodyType)}
		}
		if a.body, err = httpclient.ParseTemplate(cfg.Body, kind.place); err != nil {
			return nil, &answer.KeyError{Key: "body", Err: err}
		}
		a.method, a.contentType = cmp.Or(cfg.Method, "POST"), kind.contentType
		names = append(names, a.body.Names()...)
	}
	for name, value := range cfg.Headers {
		h := header{name: name}
		if h.value, err = httpclient.ParseTemplate(value, httpclient.PlaceHeader); err != nil {
			return nil, &answer.KeyError{Key: "headers." + name, Err: err}
		}
		h.differs = len(h.value.Names()) > 0
		names = append(names, h.value.Names()...)
		a.headers = append(a.headers, h)
	}
	slices.SortFunc(a.headers, func(x, y header) int { return strings.Compare(x.name, y.name) })
	a.byList = slices.Contains(names, allSpellings)
	a.byNum = a.byList || slices.Contains(names, "callerid")
	// What turns an answer into variables is part of their cache key: a
	// changed mapping must not be given what the old one read.
	a.seed = fmt.Appendf(nil, "%q\x00", []any{
		cfg.Name, a.method, cfg.Spellings, cfg.Format, cfg.Charset, cfg.Map, cfg.Records, cfg.Variable, cfg.Identity, cfg.Nobody, cfg.Ambiguous,
	})
	return a, nil
}

// values gives what the placeholders of a question stand for, with the
// caller's number in one of its spellings.
func (a *asking) values(q *Question, number string) func(name string) string {
	return func(name string) string {
		switch {
		case name == "callerid":
			return number
		case name == allSpellings:
			return strings.Join(a.spelled(q.Number), ",")
		case q.Param == nil:
			return ""
		}
		return q.Param(name)
	}
}

// spelled gives a number in every spelling of the source, each once.
func (a *asking) spelled(caller string) []string {
	var list []string
	for _, spelling := range a.spellings {
		if s := number.Spell(caller, spelling); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// key is a digest of everything that an answer depends on. It is short,
// whatever the request is, and tells nothing of a secret in its URL.
func (a *asking) key(q *Question) string {
	value := a.values(q, number.Spell(q.Number, a.spellings[0]))
	buf := buffers.Get().(*[]byte)
	b := append((*buf)[:0], a.seed...)
	b = a.url.Append(b, value)
	if a.body != nil {
		b = append(b, 0)
		b = a.body.Append(b, value)
	}
	for _, h := range a.headers {
		if h.differs {
			b = append(b, 0)
			b = h.value.Append(b, value)
		}
	}
	sum := sha256.Sum256(b)
	*buf = b
	buffers.Put(buf)
	var text [24]byte
	base64.RawURLEncoding.Encode(text[:], sum[:18])
	return string(text[:])
}

// attempts gives the requests that answer a question, the next to be made
// where the one before it found nobody.
func (a *asking) attempts(q *Question) []attempt {
	if a.byList || !a.byNum {
		by := matchExact
		if a.byList {
			by = weakest(a.spellings)
		}
		return []attempt{{a.request(a.values(q, number.Spell(q.Number, a.spellings[0]))), by}}
	}
	var list []attempt
	var tried []string
	for _, spelling := range a.spellings {
		spelled := number.Spell(q.Number, spelling)
		if !slices.Contains(tried, spelled) {
			tried = append(tried, spelled)
			list = append(list, attempt{a.request(a.values(q, spelled)), gradeOf(spelling)})
		}
	}
	return list
}

func (a *asking) request(value func(string) string) *httpclient.Request {
	req := &httpclient.Request{Method: a.method, URL: string(a.url.Append(nil, value)), ContentType: a.contentType}
	for _, h := range a.headers {
		req.Header = append(req.Header, [2]string{h.name, string(h.value.Append(nil, value))})
	}
	if a.body != nil {
		req.Body = a.body.Append(nil, value)
	}
	return req
}
