package lookup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
	"ringhook/lookup/number"
)

const typeHTTP = "http"

const (
	// maxBody and maxDecoded are the maximum size of an answer on the wire and
	// decompressed, in bytes.
	maxBody    = 256 << 10
	maxDecoded = 1 << 20
)

// httpBackend asks a source over HTTP.
type httpBackend struct {
	cfg      *Config
	template *requestTemplate
	grader   grader
	parse    func(ctx context.Context, body []byte, contentType string) (answer.Result, error)
	client   *httpclient.Client
	tokens   *httpclient.Tokens // nil if none are needed
	mask     *httpclient.Mask
}

func openHTTP(cfg *Config, _ resources) (backend, error) {
	b := &httpBackend{cfg: cfg, grader: newGrader(cfg), mask: httpclient.MaskOf(&cfg.Credentials, []string{cfg.URL}, cfg.Headers, nil)}
	var err error
	if b.template, err = newRequestTemplate(cfg); err != nil {
		return nil, err
	}
	reader, err := answer.NewReader(cfg.answer())
	if err != nil {
		return nil, err
	}
	b.parse = reader.Read
	trust, err := cfg.TLS()
	if err != nil {
		return nil, err
	}
	b.client, err = httpclient.NewClient(httpclient.ClientConfig{
		MaxConns: cfg.Concurrency, MaxBody: maxBody, MaxDecoded: maxDecoded, TLS: trust,
	})
	if err != nil {
		return nil, err
	}
	if cfg.OAuth2.TokenURL != "" {
		b.tokens = httpclient.NewTokens(cfg.OAuth2, b.client)
	}
	return b, nil
}

// hide replaces the secrets of the source in a text.
func (b *httpBackend) hide(text string) string {
	if b.tokens != nil {
		text = b.tokens.Mask(text)
	}
	return b.mask.Replace(text)
}

// Close closes the connections. No request is in flight by then.
func (b *httpBackend) Close() {
	if b.tokens != nil {
		b.tokens.Close()
	}
	b.client.Close()
}

func (b *httpBackend) prepare(q *Question) *request {
	if b.template.byNumber && !canLookUp(q.Number, b.cfg.MinLength) {
		return nil
	}
	r := b.template.render(q)
	if len(r.attempts) == 0 {
		return nil
	}
	req := &request{key: r.key()}
	req.ask = func(deadline time.Time) result { return b.fetch(&r, deadline, req.forPeople) }
	if b.template.byNumber {
		req.number = q.Number
	}
	return req
}

// fetch makes one attempt after the other until one finds a customer.
func (b *httpBackend) fetch(r *rendered, deadline time.Time, forPeople bool) (res result) {
	start := time.Now()
	for _, a := range r.attempts {
		req := r.request(a)
		req.KeepHeader = forPeople
		resp, err := b.send(req, start, deadline)
		if err != nil {
			res = failure(err)
		} else {
			res = b.read(resp, a.grade, deadline)
		}
		res.sent, res.response = req.Method+" "+httpclient.MaskURL(req.URL), resp
		if forPeople && resp != nil {
			res.text = answer.Text(resp.Body, resp.ContentType, b.cfg.Charset)
		}
		if res.outcome != Missing || res.count > 0 {
			break
		}
	}
	return res
}

// send makes one request. It makes it a second time if the server closed the
// connection without an answer, which is most often one that it had kept idle
// too long, or if it does not accept the token any more; both only while
// a call still has the time.
func (b *httpBackend) send(req *httpclient.Request, start, deadline time.Time) (*httpclient.Response, error) {
	out := *req
	token := ""
	if auth := b.cfg.Basic(); auth != "" {
		out.Header = append(slices.Clip(out.Header), [2]string{"Authorization", auth})
	}
	if b.tokens != nil {
		var err error
		if token, err = b.tokens.Get(deadline); err != nil {
			return nil, err
		}
		out.Header = append(slices.Clip(out.Header), [2]string{"Authorization", "Bearer " + token})
	}
	resp, err := b.client.Do(&out, deadline)
	if time.Since(start) >= b.cfg.Timeout*6/10 {
		return resp, err
	}
	var e *httpclient.Error
	switch {
	case errors.As(err, &e) && e.Class == httpclient.ClassReset:
		out.Fresh = true
	case token != "" && err == nil && resp.Status == 401:
		b.tokens.Forget(token)
		if token, err = b.tokens.Get(deadline); err != nil {
			return nil, err
		}
		out.Header[len(out.Header)-1][1] = "Bearer " + token
	default:
		return resp, err
	}
	return b.client.Do(&out, deadline)
}

// read turns a response into a result.
func (b *httpBackend) read(resp *httpclient.Response, grade string, deadline time.Time) result {
	switch {
	case resp.Status == 404 || resp.Status == 204:
		return b.grader.grade(nil, grade)
	case resp.Status < 200 || resp.Status > 299:
		down := resp.Status >= 500 || resp.Status == 429
		return failure(&fault{reason: reasonStatus, down: down, err: fmt.Errorf("status %d", resp.Status)})
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	read, err := b.parse(ctx, resp.Body, resp.ContentType)
	if err != nil {
		return failure(err)
	}
	r := b.grader.grade(read.Records, grade)
	r.notes = read.Refused
	return r
}

// canLookUp reports whether a source can know a number: a withheld number, an
// extension and a service code belong to no customer, and without digits there is
// nothing to ask about.
func canLookUp(caller string, minLength int) bool {
	return !number.IsAnonymous(caller) && number.CountDigits(caller) >= max(1, minLength)
}

// httpParameters reports the parameters that a request contains.
func httpParameters(c *Config, report func(key, name string)) {
	t, err := newRequestTemplate(c)
	if err != nil {
		return
	}
	each := func(key string, names []string) {
		for _, name := range names {
			if name != allSpellings {
				report(key, name)
			}
		}
	}
	each("url", t.url.Names())
	if t.body != nil {
		each("body", t.body.Names())
	}
	for _, h := range t.headers {
		each("headers."+h.name, h.value.Names())
	}
}

// checkHTTP reports mistakes in the keys of a request and of its answer.
func checkHTTP(c *Config, report func(key, problem string)) {
	c.checkRequest(report)
	c.checkFormat(report)
}
