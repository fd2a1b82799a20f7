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
	then     *second // nil if there is no second request
	grader   grader
	parse    func(ctx context.Context, body []byte, contentType string) (answer.Result, error)
	client   *httpclient.Client
	tokens   *httpclient.Tokens // nil if none are needed
	own      bool               // tokens are of this lookup alone
	mask     *httpclient.Mask   // for texts that people see
	answers  *httpclient.Mask   // for what calls get
}

func openHTTP(cfg *Config, r resources) (backend, error) {
	urls := []string{cfg.URL, cfg.Path, cfg.Then.URL, cfg.Then.Path}
	named := []map[string]string{cfg.Settings}
	b := &httpBackend{
		cfg: cfg, grader: newGrader(cfg), mask: httpclient.MaskOf(&cfg.Credentials, urls, cfg.Headers, named),
		answers: httpclient.MaskAnswers(&cfg.Credentials, urls, cfg.Headers, named),
	}
	var err error
	if b.template, err = newRequestTemplate(cfg); err != nil {
		return nil, err
	}
	if b.then, err = newSecond(cfg); err != nil {
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
	if b.tokens, b.own, err = cfg.Tokens(r.accounts, b.client); err != nil {
		return nil, err
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

// clean replaces the secrets that the source repeats in its answer: a variable goes to the channel, to
// events and so to other receivers, and is stored. It removes the variables that no source over HTTP may answer.
func (b *httpBackend) clean(r *result) {
	r.vars = slices.DeleteFunc(r.vars, func(v Var) bool {
		own := v.Name == didTypeVariable || v.Name == didTargetVariable
		if own {
			r.notes = append(r.notes, v.Name+" is left out: only lookups of the type did answer it")
		}
		return own
	})
	for i, v := range r.vars {
		value := v.Value
		if b.tokens != nil {
			value = b.tokens.MaskAnswer(value)
		}
		if value = b.answers.Replace(value); value != v.Value {
			r.vars[i].Value = value
			r.notes = append(r.notes, v.Name+" repeats a secret of the request, which is replaced")
		}
	}
}

// Close closes the connections. No request is in flight by then.
func (b *httpBackend) Close() {
	if b.own {
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
	req.ask = func(deadline time.Time) result { return b.fetch(&r, deadline, req) }
	if b.template.byNumber {
		req.number = q.Number
	}
	return req
}

// fetch makes one attempt after the other until one finds a customer.
func (b *httpBackend) fetch(r *rendered, deadline time.Time, asked *request) (res result) {
	start := time.Now()
	for _, a := range r.attempts {
		req := r.request(a)
		req.KeepHeader = asked.forPeople
		resp, err := b.send(req, false, start, deadline)
		if err != nil {
			res = failure(err)
		} else {
			res = b.read(resp, a.grade, deadline)
		}
		res.sent, res.response = req.Method+" "+httpclient.MaskURL(req.URL), resp
		if asked.forPeople && resp != nil {
			res.text = answer.Text(resp.Body, resp.ContentType, b.cfg.Charset)
		}
		if res.outcome != Missing || res.count > 0 {
			break
		}
	}
	b.follow(&res, r, start, deadline, asked.early)
	return res
}

// send makes one request. It makes it a second time if the server closed the
// connection without an answer, which is most often one that it had kept idle
// too long, or if it does not accept the token any more; both only while
// a call still has the time. A request that is apart carries no credentials.
func (b *httpBackend) send(req *httpclient.Request, apart bool, start, deadline time.Time) (*httpclient.Response, error) {
	out := *req
	token := ""
	tokens, auth := b.tokens, b.cfg.Basic()
	if apart {
		tokens, auth = nil, ""
	}
	if auth != "" {
		out.Header = append(slices.Clip(out.Header), [2]string{"Authorization", auth})
	}
	plain := out
	// A request whose turn comes only after the call has stopped waiting would take the turn of another call.
	turn := func() error { return tokens.Quota().WaitForCall(earlier(start.Add(b.cfg.Timeout), deadline)) }
	if tokens != nil {
		var err error
		if token, err = tokens.Get(deadline); err != nil {
			return nil, err
		}
		tokens.Authorize(&out, token)
		if err = turn(); err != nil {
			return nil, err
		}
	}
	resp, err := b.client.Do(&out, deadline)
	var e *httpclient.Error
	if errors.As(err, &e) && !e.Sent {
		tokens.Quota().Return(1) // no request was made
	}
	refused := token != "" && tokens.Refused(resp)
	if refused {
		tokens.Forget(token)
	}
	late := time.Since(start) >= b.cfg.Timeout*6/10
	switch {
	case late && refused && resp.Status < 400:
		return nil, errSession
	case late:
		return resp, err
	case errors.As(err, &e) && e.Class == httpclient.ClassReset:
		out.Fresh = true
	case refused:
		if token, err = tokens.Get(deadline); err != nil {
			return nil, err
		}
		if err = turn(); err != nil {
			return nil, err
		}
		out = plain
		tokens.Authorize(&out, token)
		if resp, err = b.client.Do(&out, deadline); tokens.Refused(resp) && resp.Status < 400 {
			return nil, errSession
		}
		return resp, err
	default:
		return resp, err
	}
	return b.client.Do(&out, deadline)
}

// earlier returns the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// errSession is the error of an answer which says, with a status of success, that the session has ended.
var errSession = &fault{reason: reasonStatus, err: errors.New("the answer says that the session has ended")}

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
	b.clean(&r)
	return r
}

// canLookUp reports whether a source can know a number: a withheld number, an
// extension and a service code belong to no customer, and without digits there is
// nothing to ask about.
func canLookUp(caller string, minLength int) bool {
	return !number.IsAnonymous(caller) && number.CountDigits(caller) >= max(1, minLength)
}

// httpTemplates reports the parts of a request that contain parameters.
func httpTemplates(c *Config, report func(key string, t *httpclient.Template)) {
	t, err := newRequestTemplate(c)
	if err != nil {
		return
	}
	report("url", t.url.Template)
	if t.body != nil {
		report("body", t.body.Template)
	}
	for _, h := range t.headers {
		report("headers."+h.name, h.value.Template)
	}
}

// checkHTTP reports mistakes in the keys of a request and of its answer.
func checkHTTP(c *Config, report func(key, problem string)) {
	c.checkRequest(report)
	c.checkFormat(report)
}
