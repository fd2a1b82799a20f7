package account

import (
	"context"
	"crypto/md5" //nolint:gosec // Vtiger's login wants it; the secret is random
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"ringhook/httpclient"
)

// readTime bounds the expressions of one answer. A busy machine must not lose a session, nor take an answer that says that it
// has ended for another one.
const readTime = 10 * time.Second

func timeoutOf(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// step is a Step that is ready to use.
type step struct {
	method      string
	url, body   *httpclient.Template // body is nil for none
	contentType string
	headers     map[string]*httpclient.Template
	values      map[string]*httpclient.Template
	take        func(*httpclient.Response) (map[string]string, error)
	wanted      []string // the names of what take returns
}

// bodyTypes are the kinds of bodies, as those of lookups.
var bodyTypes = map[string]struct {
	place       httpclient.Place
	contentType string
}{
	"":     {httpclient.PlaceForm, "application/x-www-form-urlencoded"},
	"form": {httpclient.PlaceForm, "application/x-www-form-urlencoded"},
	"json": {httpclient.PlaceJSON, "application/json"},
	"xml":  {httpclient.PlaceXML, "application/xml; charset=utf-8"},
	"text": {httpclient.PlaceText, "text/plain; charset=utf-8"},
}

func newStep(s *Step) (*step, error) {
	out := &step{method: http.MethodGet, headers: map[string]*httpclient.Template{}, values: map[string]*httpclient.Template{}}
	var err error
	if out.url, err = httpclient.ParseTemplate(s.URL, httpclient.PlaceURL); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if s.Body != "" {
		kind, ok := bodyTypes[s.BodyType]
		if !ok {
			return nil, errors.New("body_type must be form, json, xml or text")
		}
		if out.body, err = httpclient.ParseTemplate(s.Body, kind.place); err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
		out.method, out.contentType = http.MethodPost, kind.contentType
	}
	switch {
	case s.Method != "" && s.Method != http.MethodGet && s.Method != http.MethodPost:
		return nil, errors.New("method must be GET or POST")
	case s.Method == http.MethodGet && s.Body != "":
		return nil, errors.New("GET has no body")
	case s.Method != "":
		out.method = s.Method
	}
	for name, value := range s.Headers {
		if err := httpclient.CheckHeader(name, value, "content-type"); err != nil {
			return nil, fmt.Errorf("headers.%s %w", name, err)
		}
		if out.headers[name], err = httpclient.ParseTemplate(value, httpclient.PlaceHeader); err != nil {
			return nil, fmt.Errorf("headers.%s: %w", name, err)
		}
	}
	for name, value := range s.Values {
		if out.values[name], err = httpclient.ParseTemplate(value, httpclient.PlaceText); err != nil {
			return nil, fmt.Errorf("values.%s: %w", name, err)
		}
	}
	if len(s.Take) == 0 {
		return nil, errors.New("take is missing: it names what later requests need, the last one the session")
	}
	out.wanted = slices.Sorted(maps.Keys(s.Take))
	out.take, err = newTaker(s.Take)
	return out, err
}

// names returns the placeholders of the step, and the words behind a percent sign that no other closes.
func (s *step) names() (all, unclosed []string) {
	templates := slices.Concat([]*httpclient.Template{s.url}, slices.Collect(maps.Values(s.headers)), slices.Collect(maps.Values(s.values)))
	if s.body != nil {
		templates = append(templates, s.body)
	}
	for _, t := range templates {
		all, unclosed = append(all, t.Names()...), append(unclosed, t.Unclosed()...)
	}
	return all, unclosed
}

// fill returns the request of the step, and adds its values to those of the login.
func (s *step) fill(values map[string]string) *httpclient.Request {
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		values[name] = string(s.values[name].Append(nil, func(key string) string { return valueOf(values, key) }))
	}
	value := func(key string) string { return valueOf(values, key) }
	req := &httpclient.Request{Method: s.method, URL: string(s.url.Append(nil, value)), ContentType: s.contentType}
	req.Header = append(req.Header, [2]string{"Accept", "application/json"})
	for _, name := range slices.Sorted(maps.Keys(s.headers)) {
		req.Header = append(req.Header, [2]string{name, string(s.headers[name].Append(nil, value))})
	}
	if s.body != nil {
		req.Body = s.body.Append(nil, value)
	}
	return req
}

// valueOf returns a value, or its MD5 in hexadecimal with the format md5.
func valueOf(values map[string]string, key string) string {
	name, format, _ := strings.Cut(key, ":")
	if format == "md5" {
		sum := md5.Sum([]byte(values[name])) //nolint:gosec // as above
		return hex.EncodeToString(sum[:])
	}
	return values[name]
}

// errLogin is the cause of a login that a server has answered without what the next request needs, as Vtiger answers a wrong
// key. Some products lock a user after several of them.
var errLogin = errors.New("are user and key right?")

// login requests a session.
func login(ctx context.Context, steps []*step, client *httpclient.Client) (httpclient.Token, error) {
	deadline, _ := ctx.Deadline()
	values := map[string]string{}
	for i, s := range steps {
		resp, err := client.Do(s.fill(values), deadline)
		if err != nil {
			return httpclient.Token{}, err
		}
		if resp.Status < 200 || resp.Status > 299 {
			return httpclient.Token{}, &httpclient.Error{Class: httpclient.ClassToken, Status: resp.Status, Sent: true,
				Err: &httpclient.RefusedToken{Status: resp.Status}}
		}
		taken, err := s.take(resp)
		if err != nil {
			return httpclient.Token{}, &httpclient.Error{Class: httpclient.ClassToken, Sent: true, Err: fmt.Errorf("login, request %d: %w", i+1, err)}
		}
		for _, name := range s.wanted {
			if taken[name] == "" {
				return httpclient.Token{}, &httpclient.Error{Class: httpclient.ClassToken, Status: resp.Status, Sent: true,
					Err: fmt.Errorf("login, request %d: the answer has no %s: %w", i+1, name, errLogin)}
			}
		}
		maps.Copy(values, taken)
	}
	return httpclient.Token{Access: values[session]}, nil
}
