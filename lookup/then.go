package lookup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
	"ringhook/lookup/number"
)

// Then is a second request, about the customer whom the first one found.
type Then struct {
	// URL is requested, or Path at the URL of the lookup; %name% takes a variable of the first answer, a setting, or the
	// number, %callerid%.
	URL  string `toml:"url"`
	Path string `toml:"path"`
	// Map has the expressions of further variables. It does not replace values of the first answer.
	Map map[string]string `toml:"map"`
}

// thenLeast is the time that must be left of the lookup's timeout for a second request.
const thenLeast = 200 * time.Millisecond

// second is a Then that is ready to use.
type second struct {
	url   *text
	apart bool // the credentials of the lookup do not belong to its server
	parse func(ctx context.Context, body []byte, contentType string) (answer.Result, error)
}

// isZero reports whether there is no second request.
func (t *Then) isZero() bool { return t.URL == "" && t.Path == "" && len(t.Map) == 0 }

// thenAddress returns the address of the second request and the key that has it.
func (c *Config) thenAddress() (key, address string, err error) {
	base, key := c.URL, "then.path"
	if c.Then.URL != "" {
		base, key = c.Then.URL, "then.url"
	}
	address, err = httpclient.JoinPath(base, c.Then.Path)
	return key, address, err
}

// thenByNumber reports whether the second request contains the caller's number. The answer then belongs to that caller, also
// if the first request is the same for every caller.
func (c *Config) thenByNumber() bool {
	if c.Then.isZero() {
		return false
	}
	_, address, err := c.thenAddress()
	if err != nil {
		return false
	}
	template, err := httpclient.ParseTemplate(address, httpclient.PlaceURL)
	return err == nil && slices.Contains(template.Names(), "callerid")
}

// mapped reports whether the variables of an answer are those of expressions.
func (c *Config) mapped() bool { return c.Format == "json" || c.Format == "xml" }

// mayAnswer reports whether the first answer may have a variable.
func (c *Config) mayAnswer(name string) bool {
	_, mapped := c.Map[name]
	return mapped || c.Format == "text" && name == c.Variable || strings.HasPrefix(c.Format, "pairs")
}

// newSecond prepares the second request of a lookup, nil if it has none. The error is a *answer.KeyError.
func newSecond(cfg *Config) (*second, error) {
	if cfg.Then.isZero() {
		return nil, nil
	}
	key, address, err := cfg.thenAddress()
	if cfg.Then.URL == "" && cfg.Then.Path == "" {
		return nil, &answer.KeyError{Key: key, Err: errors.New("is missing: set path or url of the second request")}
	}
	if err != nil {
		return nil, &answer.KeyError{Key: key, Err: err}
	}
	t := &requestTemplate{settings: cfg.settings()}
	s := &second{apart: cfg.Then.URL != "" && httpclient.Apart(cfg.URL, cfg.Then.URL)}
	if s.url, err = t.text(key, address, httpclient.PlaceURL); err != nil {
		return nil, err
	}
	for _, h := range s.url.holes {
		if !cfg.mayAnswer(h.name) && h.setting == nil && h.name != "callerid" {
			return nil, &answer.KeyError{Key: key, Err: fmt.Errorf("%%%s%% is neither a variable of map nor a setting", h.name)}
		}
	}
	if !cfg.mapped() && len(cfg.Then.Map) > 0 {
		return nil, &answer.KeyError{Key: "then.map", Err: errors.New("is for the formats json and xml: leave it out, or change format")}
	}
	settings := cfg.answer()
	settings.Map, settings.Records = cfg.Then.Map, ""
	reader, err := answer.NewReader(settings)
	if wrong := answer.KeyErrors(err); len(wrong) > 0 {
		return nil, &answer.KeyError{Key: "then." + wrong[0].Key, Err: wrong[0].Err}
	}
	s.parse = reader.Read
	return s, nil
}

// follow makes the second request and adds its variables. If it fails, the first answer stays as it is. Calls whose time
// ends before that use what early gets.
func (b *httpBackend) follow(res *result, r *rendered, start, deadline time.Time, early func(result)) {
	if b.then == nil || res.outcome != Found || res.count != 1 {
		return
	}
	if end := start.Add(b.cfg.Timeout); end.Before(deadline) {
		deadline = end
	}
	if time.Until(deadline) < thenLeast {
		res.partial = true
		res.lack(fmt.Sprintf("not made, less than %v of timeout were left", thenLeast))
		return
	}
	short := false
	address := b.then.url.AppendNth(nil, func(n int) string {
		value, ok := b.then.url.holes[n].of(res.vars, r.number)
		short = short || !ok
		return value
	})
	if short {
		res.lack("not made, the number has too few digits for its spelling")
		return
	}
	// The headers are those of the first request.
	req := &httpclient.Request{Method: "GET", URL: string(address)}
	for i, h := range r.request(r.attempts[0]).Header {
		if !b.then.apart || !r.template.headers[i].secret {
			req.Header = append(req.Header, h)
		}
	}
	if early != nil {
		first := *res
		first.lack("not answered in time")
		early(first)
	}
	resp, err := b.send(req, b.then.apart, start, deadline)
	if err == nil && (resp.Status < 200 || resp.Status > 299) {
		err = errors.New(resp.StatusText())
	}
	var read answer.Result
	if err == nil {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		read, err = b.then.parse(ctx, resp.Body, resp.ContentType)
	}
	if err != nil {
		res.partial = resp == nil || resp.Status != 404 // which says that nothing more is known
		res.lack(b.hide(err.Error()))
		return
	}
	more := result{notes: read.Refused}
	if len(read.Records) > 0 {
		for _, v := range read.Records[0] {
			more.vars = append(more.vars, Var{Name: strings.Clone(v.Name), Value: strings.Clone(cut(v.Value))})
		}
	}
	b.clean(&more)
	res.notes = append(res.notes, more.notes...)
	all := fill(res.vars, more.vars)
	if err := checkSize(all); err != nil {
		res.lack(err.Error())
		return
	}
	res.vars = all
}

// lack notes why the answer has no variables of the second request.
func (r *result) lack(why string) {
	r.lacks = "second request: " + why
	r.notes = append(slices.Clip(r.notes), r.lacks)
}

// of returns the value of a placeholder of the second request. It reports false if the caller's number has too few digits
// for the spelling.
func (h *hole) of(vars []Var, caller string) (string, bool) {
	value := answer.Record(vars).Value(h.name)
	switch {
	case h.setting != nil:
		return *h.setting, true
	case h.name == "callerid":
		value = caller
	}
	if h.spelling == "" {
		return value, true
	}
	spelled, ok := number.Spell(value, h.spelling)
	return spelled, ok || h.name != "callerid"
}
