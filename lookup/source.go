package lookup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
)

const (
	// maxBody and maxDecoded bound an answer on the wire and decompressed.
	maxBody    = 256 << 10
	maxDecoded = 1 << 20
	// patience is how long a request may go on that no call waits for any
	// more, to fill the cache.
	patience = 10 * time.Second
	// longestRead is for the expressions that take an answer apart. What they cost
	// depends on the answer.
	longestRead = 500 * time.Millisecond
)

// source is one lookup at work.
type source struct {
	*asking
	cfg     Config
	parse   func(ctx context.Context, body []byte, contentType string) ([]answer.Record, error)
	client  *httpclient.Client
	tokens  *httpclient.Tokens // nil where none are needed
	cache   Cache
	book    Phonebook // nil where it is asked over HTTP
	log     *slog.Logger
	metrics gauges
	breaker *breaker
	now     func() time.Time

	mu      sync.Mutex
	flights map[string]*flight
	closed  bool
	failing int // requests in a row that gave no answer
	under   sync.WaitGroup
}

func newSource(cfg Config, cache Cache, book Phonebook, log *slog.Logger, m *metrics) (*source, error) {
	s := &source{
		cfg: cfg, cache: cache, metrics: m.of(cfg.Name, cfg.Shadow), now: time.Now,
		log: log.With("lookup", cfg.Name), flights: make(map[string]*flight),
	}
	if cfg.Type == typePhonebook {
		s.book, s.asking = book, &asking{byNum: true}
		return s, nil
	}
	var err error
	if s.asking, err = newAsking(&cfg); err != nil {
		return nil, err
	}
	reader, err := answer.NewReader(cfg.answer())
	if err != nil {
		return nil, err
	}
	s.parse = reader.Read
	trust, err := cfg.TLS()
	if err != nil {
		return nil, err
	}
	s.breaker = newBreaker(cfg.Concurrency, s.log)
	s.client, err = httpclient.NewClient(httpclient.ClientConfig{
		MaxConns: cfg.Concurrency, MaxBody: maxBody, MaxDecoded: maxDecoded, TLS: trust,
	})
	if err == nil && cfg.OAuth2.TokenURL != "" {
		s.tokens = httpclient.NewTokens(cfg.OAuth2, s.client)
	}
	return s, err
}

// result is what a source brought.
type result struct {
	outcome Outcome // Found, Missing, Timeout or Failed
	vars    []Var
	count   int    // of customers
	fault   *fault // why there is none, where outcome is Timeout or Failed
}

func failure(err error) result {
	f := asFault(err)
	if f.reason == httpclient.ClassTimeout {
		return result{outcome: Timeout, fault: f}
	}
	return result{outcome: Failed, fault: f}
}

// fetch asks the source until an attempt finds someone. It gives the last
// attempt and its response too, which is nil where there was none.
func (s *source) fetch(attempts []attempt, deadline time.Time) (last attempt, resp *httpclient.Response, r result) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("bug: reading an answer panicked", "err", fmt.Sprint(p))
			r = failure(&fault{reason: reasonPanic, err: errors.New("reading the answer panicked")})
		}
	}()
	start := time.Now()
	for _, last = range attempts {
		var err error
		resp, err = s.send(last.Request, start, deadline)
		if err != nil {
			return last, nil, failure(err)
		}
		if r = s.read(resp, last.by, deadline); r.outcome != Missing || r.count > 0 {
			break
		}
	}
	return last, resp, r
}

// send makes one request. It makes it a second time where the server closed
// the connection without a word, which is most often one that it had kept idle
// for too long, or does not take a token any more; both where a call still has
// the time.
func (s *source) send(req *httpclient.Request, start, deadline time.Time) (*httpclient.Response, error) {
	out := *req
	token := ""
	if auth := s.cfg.Basic(); auth != "" {
		out.Header = append(slices.Clip(out.Header), [2]string{"Authorization", auth})
	}
	if s.tokens != nil {
		var err error
		if token, err = s.tokens.Get(deadline); err != nil {
			return nil, err
		}
		out.Header = append(slices.Clip(out.Header), [2]string{"Authorization", "Bearer " + token})
	}
	resp, err := s.client.Do(&out, deadline)
	if time.Since(start) >= s.cfg.Timeout*6/10 {
		return resp, err
	}
	var e *httpclient.Error
	switch {
	case errors.As(err, &e) && e.Class == httpclient.ClassReset:
		out.Fresh = true
	case token != "" && err == nil && resp.Status == 401:
		s.tokens.Forget(token)
		if token, err = s.tokens.Get(deadline); err != nil {
			return nil, err
		}
		out.Header[len(out.Header)-1][1] = "Bearer " + token
	default:
		return resp, err
	}
	return s.client.Do(&out, deadline)
}

// read turns a response into a result.
func (s *source) read(resp *httpclient.Response, by string, deadline time.Time) result {
	switch {
	case resp.Status == 404 || resp.Status == 204:
		return s.grade(nil, by)
	case resp.Status < 200 || resp.Status > 299:
		down := resp.Status >= 500 || resp.Status == 429
		return failure(&fault{reason: reasonStatus, down: down, err: fmt.Errorf("status %d", resp.Status)})
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(time.Until(deadline), longestRead))
	defer cancel()
	records, err := s.parse(ctx, resp.Body, resp.ContentType)
	if err != nil && ctx.Err() != nil && time.Now().Before(deadline) {
		err = &fault{reason: answer.ReasonLimit, err: fmt.Errorf("the expressions of the mapping took longer than %v", longestRead)}
	}
	if err != nil {
		return failure(err)
	}
	return s.grade(records, by)
}
