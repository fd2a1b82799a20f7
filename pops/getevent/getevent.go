// Package getevent answers programs that poll for the call of a phone, as the CTI client of Divalto does:
// a request names the phone, and the answer is the number that rings there, in JSON or XML. Answer is a
// plain function of a request, so that any HTTP server can serve it.
package getevent

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/number"
)

// Phones reports which phones ring.
type Phones interface {
	// Poll returns the number of the call that rings at a phone, or rang there within hold.
	Poll(phone string, hold time.Duration) (number string, rings bool)
}

// Service answers requests. It is immutable.
type Service struct {
	cfg    Config
	token  [sha256.Size]byte // its digest
	allow  []netip.Prefix
	phones Phones
}

// New returns a service of a configuration that Check accepts.
func New(cfg Config, phones Phones) *Service {
	s := &Service{cfg: cfg, token: sha256.Sum256([]byte(cfg.Token)), phones: phones}
	for _, text := range cfg.Allow {
		if p, err := parsePrefix(text); err == nil {
			s.allow = append(s.allow, p)
		}
	}
	return s
}

// Path returns the path of the requests, empty if getevent is off.
func (s *Service) Path() string { return s.cfg.Path }

// Request is one poll.
type Request struct {
	Query  string // of the URL
	Body   string // of a POST: a form or JSON
	Accept string // header
	Bearer string // token of the header Authorization
	XToken string // header X-Token
	From   netip.Addr
}

// Response is the answer to a poll.
type Response struct {
	Status int
	Type   string // content type
	Body   []byte
	// Guess reports that the request had a wrong token.
	Guess bool
}

// Answer answers a poll.
func (s *Service) Answer(r *Request) Response {
	values := valuesOf(r)
	if admitted, guess := s.admits(r, values.Get("ident")); !admitted {
		return Response{Status: http.StatusUnauthorized, Type: "text/plain; charset=utf-8", Body: []byte("the token is missing or wrong\n"), Guess: guess}
	}
	phone := strings.TrimSpace(values.Get("telorg"))
	if phone == "" {
		return Response{Status: http.StatusBadRequest, Type: "text/plain; charset=utf-8", Body: []byte("telorg is missing: the phone of the agent\n")}
	}
	tel, event := "", ""
	if number, rings := s.phones.Poll(phone, s.cfg.Hold); rings {
		tel, event = s.spell(number), "ring"
	}
	if s.wantsXML(r, values) {
		return Response{Status: http.StatusOK, Type: "application/xml; charset=utf-8", Body: s.xml(tel, event)}
	}
	return Response{Status: http.StatusOK, Type: "application/json", Body: s.json(tel, event)}
}

// valuesOf returns the values of the query and of the body. Those of the query win.
func valuesOf(r *Request) url.Values {
	values, err := url.ParseQuery(r.Query)
	if err != nil {
		values = url.Values{} // a query that cannot be read names no phone
	}
	more := url.Values{}
	if body := strings.TrimSpace(r.Body); strings.HasPrefix(body, "{") {
		var fields map[string]any
		decoder := json.NewDecoder(strings.NewReader(body))
		decoder.UseNumber() // a phone may stand without quotes
		if decoder.Decode(&fields) == nil {
			for name, v := range fields {
				switch v := v.(type) {
				case string:
					more.Set(name, v)
				case json.Number:
					more.Set(name, v.String())
				}
			}
		}
	} else if form, err := url.ParseQuery(body); err == nil {
		more = form
	}
	for _, name := range []string{"ident", "telorg", "type"} {
		if values.Get(name) == "" {
			values.Set(name, more.Get(name))
		}
	}
	return values
}

// admits reports whether a request may be answered, and whether it has a wrong token.
func (s *Service) admits(r *Request, ident string) (admitted, guess bool) {
	for _, token := range []string{r.Bearer, r.XToken, ident} {
		if token == "" || s.cfg.Token == "" {
			continue
		}
		sum := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1 {
			return true, false
		}
		guess = true
	}
	from := r.From.Unmap().WithZone("")
	for _, p := range s.allow {
		if p.Contains(from) {
			return true, false
		}
	}
	return false, guess
}

// wantsXML reports whether the answer is to be in XML: by type= in the query, else by the header Accept.
func (s *Service) wantsXML(r *Request, values url.Values) bool {
	switch strings.ToLower(values.Get("type")) {
	case "xml":
		return true
	case "json":
		return false
	}
	accept := strings.ToLower(r.Accept)
	return strings.Contains(accept, "xml") && !strings.Contains(accept, "json")
}

func (s *Service) spell(n string) string {
	spelled, ok := number.Spell(n, s.cfg.Tel)
	if !ok {
		return n
	}
	return spelled
}

func (s *Service) json(tel, event string) []byte {
	b := httpclient.AppendJSON([]byte{'{'}, s.cfg.JSON.Tel)
	b = httpclient.AppendJSON(append(b, ':'), tel)
	b = httpclient.AppendJSON(append(b, ','), s.cfg.JSON.Event)
	b = httpclient.AppendJSON(append(b, ':'), event)
	return append(b, "}\n"...)
}

func (s *Service) xml(tel, event string) []byte {
	x := s.cfg.XML
	b := append([]byte(`<?xml version="1.0" encoding="UTF-8"?>`), "\n<"+x.Root...)
	if x.Attributes {
		b = httpclient.AppendXML(append(b, " "+x.Tel+`="`...), tel)
		b = httpclient.AppendXML(append(b, `" `+x.Event+`="`...), event)
		return append(b, "\"/>\n"...)
	}
	b = httpclient.AppendXML(append(b, "><"+x.Tel+">"...), tel)
	b = httpclient.AppendXML(append(b, "</"+x.Tel+"><"+x.Event+">"...), event)
	return append(b, "</"+x.Event+"></"+x.Root+">\n"...)
}
