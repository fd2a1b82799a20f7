package directory

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
)

const (
	maxPages = 100
	maxUsers = 10_000 // of all pages
	maxBody  = 1 << 20
	maxValue = 200 // of an id or a value to find it by, in bytes
	// readTime bounds the expressions of a page: no call waits for it, and the machine may be busy.
	readTime = 10 * time.Second
)

// fetcher fetches one list.
type fetcher struct {
	cfg    *Config
	url    *httpclient.Template
	users  *answer.Reader
	next   *answer.Reader // nil for lists of one page
	client *httpclient.Client
	tokens *httpclient.Tokens // nil if none are needed
	mask   *httpclient.Mask
}

func newFetcher(cfg *Config, accounts httpclient.Accounts) (*fetcher, error) {
	f := &fetcher{cfg: cfg, mask: httpclient.MaskOf(cfg.credentials(), []string{cfg.URL}, cfg.Headers, nil)}
	wrap := func(err error) error { return fmt.Errorf("[[agents]] %s: %w", cfg.Name, err) }
	var err error
	if f.url, err = httpclient.ParseTemplate(cfg.URL, httpclient.PlaceURL); err != nil {
		return nil, wrap(err)
	}
	if f.users, err = answer.NewReader(answer.Config{Format: "json", Map: cfg.Map, Records: cfg.Records, MaxRecords: maxUsers, Time: readTime}); err != nil {
		return nil, wrap(err)
	}
	if cfg.Next != "" {
		if f.next, err = answer.NewReader(answer.Config{Format: "json", Map: map[string]string{"next": cfg.Next}, Time: readTime}); err != nil {
			return nil, wrap(err)
		}
	}
	trust, err := cfg.credentials().TLS()
	if err != nil {
		return nil, wrap(err)
	}
	if f.client, err = httpclient.NewClient(httpclient.ClientConfig{MaxConns: 1, MaxBody: maxBody, MaxDecoded: 4 * maxBody, TLS: trust}); err != nil {
		return nil, wrap(err)
	}
	if f.tokens, _, err = cfg.credentials().Tokens(accounts, f.client); err != nil {
		return nil, wrap(err)
	}
	return f, nil
}

// hide replaces the secrets of the list's request in a text.
func (f *fetcher) hide(text string) string {
	if f.tokens != nil {
		text = f.tokens.Mask(text)
	}
	return f.mask.Replace(text)
}

// all fetches all pages. users is the number of users with an id and a value to find it by.
func (f *fetcher) all(ctx context.Context) (ids []AgentID, users int, err error) {
	next := ""
	for range maxPages {
		resp, err := f.page(ctx, next)
		if err != nil {
			return nil, 0, err
		}
		page, found, err := f.read(ctx, resp)
		if err != nil {
			return nil, 0, err
		}
		if ids, users = append(ids, page...), users+found; users > maxUsers {
			return nil, 0, fmt.Errorf("the list has more than %d users", maxUsers)
		}
		before := next
		if next, err = f.following(ctx, resp); err != nil || next == "" {
			return ids, users, err
		}
		if next == before {
			return nil, 0, errors.New("a page names itself as the next one")
		}
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
	}
	return nil, 0, fmt.Errorf("the list has more than %d pages", maxPages)
}

// address returns the URL of a page. A whole URL that a page names must be on the host of the list: the credentials are
// for that one.
func (f *fetcher) address(next string) (string, error) {
	first := string(f.url.Append(nil, func(string) string { return next }))
	if !strings.HasPrefix(next, "https://") && !strings.HasPrefix(next, "http://") {
		return first, nil
	}
	here, err1 := url.Parse(first)
	there, err2 := url.Parse(next)
	if err1 != nil || err2 != nil || here.Scheme != there.Scheme || here.Host != there.Host {
		return "", errors.New("the next page is on another host")
	}
	return next, nil
}

// page requests one page, a second time if the token is not accepted any more.
func (f *fetcher) page(ctx context.Context, next string) (*httpclient.Response, error) {
	address, err := f.address(next)
	if err != nil {
		return nil, err
	}
	for again := true; ; again = false {
		if err := f.tokens.Quota().Wait(ctx); err != nil {
			return nil, err
		}
		deadline := time.Now().Add(f.cfg.Timeout)
		req := &httpclient.Request{URL: address}
		for name, value := range f.cfg.Headers {
			req.Header = append(req.Header, [2]string{name, value})
		}
		token := ""
		if f.tokens != nil {
			if token, err = f.tokens.Get(deadline); err != nil {
				f.tokens.Quota().Return(1)
				return nil, err
			}
			f.tokens.Authorize(req, token)
		}
		resp, err := f.client.Do(req, deadline)
		if err != nil {
			return nil, err
		}
		if token != "" && f.tokens.Refused(resp) {
			if f.tokens.Forget(token); again {
				continue
			}
			return nil, fmt.Errorf("status %d: the token is not accepted", resp.Status)
		}
		if resp.Status < 200 || resp.Status > 299 {
			return nil, errors.New(resp.StatusText())
		}
		return resp, nil
	}
}

// read returns the ids of a page, and the number of its users who have one. It copies them: a value that the reader
// returns may be a part of a long text of the answer, which would stay in memory for as long as the list.
func (f *fetcher) read(ctx context.Context, resp *httpclient.Response) (ids []AgentID, users int, err error) {
	result, err := f.users.Read(ctx, resp.Body, resp.ContentType)
	if err != nil {
		return nil, 0, err
	}
	for _, user := range result.Records {
		id := user.Value("id")
		if id == "" || len(id) > maxValue {
			continue
		}
		id = strings.Clone(id)
		before := len(ids)
		for _, field := range fields {
			if value := user.Value(field); value != "" && len(value) <= maxValue {
				ids = append(ids, AgentID{Field: field, Value: strings.Clone(value), ID: id})
			}
		}
		if len(ids) > before {
			users++
		}
	}
	return ids, users, nil
}

// following returns what the next page needs, empty after the last one.
func (f *fetcher) following(ctx context.Context, resp *httpclient.Response) (string, error) {
	if f.next == nil {
		return "", nil
	}
	result, err := f.next.Read(ctx, resp.Body, resp.ContentType)
	if err != nil || len(result.Records) == 0 {
		return "", err
	}
	return result.Records[0].Value("next"), nil
}
