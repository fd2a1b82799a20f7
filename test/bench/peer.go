package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// answer is the CRM's answer for every number: the constants of aginull.
const answer = "CALLERID(name)=Muster+GmbH&QUEUE_PRIO=10&call_info=customer+4711%2C+contract+gold"

// peerStats counts the requests to a peer.
type peerStats struct {
	Asked  int64             `json:"asked"` // /who and /after/
	Taken  int64             `json:"taken"` // /event and /flaky
	First  time.Time         `json:"first"` // when the first event came
	URI    string            `json:"uri"`
	Header map[string]string `json:"header"` // of the first event
	Body   []byte            `json:"body"`
}

// peer is the CRM and receiver of events, in a process of its own.
type peer struct {
	asked, taken atomic.Int64
	mu           sync.Mutex
	stats        peerStats // guarded by mu
}

// servePeer serves on a free port, which it prints, until it is ended:
//
//	/who         answers a lookup, at once
//	/after/20ms  answers a lookup after a while
//	/never       never answers
//	/event       takes an event
//	/flaky       takes an event; every tenth fails
//	/stats       returns peerStats
//	/reset       resets them
func servePeer() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "peer: on", l.Addr())
	return (&fasthttp.Server{Handler: new(peer).serve}).Serve(l)
}

func (p *peer) serve(ctx *fasthttp.RequestCtx) {
	path := string(ctx.Path())
	switch {
	case path == "/who":
		p.asked.Add(1)
		say(ctx)
	case strings.HasPrefix(path, "/after/"):
		p.asked.Add(1)
		if d, err := time.ParseDuration(path[len("/after/"):]); err == nil {
			time.Sleep(d)
		}
		say(ctx)
	case path == "/never":
		select {}
	case path == "/event":
		p.take(ctx)
	case path == "/flaky":
		if p.take(ctx)%10 == 0 {
			ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		}
	case path == "/stats":
		p.mu.Lock()
		p.stats.Asked, p.stats.Taken = p.asked.Load(), p.taken.Load()
		text, err := json.Marshal(p.stats)
		p.mu.Unlock()
		if err != nil {
			ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
			return
		}
		ctx.SetBody(text)
	case path == "/reset":
		p.mu.Lock()
		p.asked.Store(0)
		p.taken.Store(0)
		p.stats = peerStats{}
		p.mu.Unlock()
	default:
		ctx.NotFound()
	}
}

func say(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/x-www-form-urlencoded")
	ctx.SetBodyString(answer)
}

// take counts an event, and keeps the first.
func (p *peer) take(ctx *fasthttp.RequestCtx) int64 {
	n := p.taken.Add(1)
	if n == 1 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stats.First, p.stats.URI, p.stats.Body = time.Now(), string(ctx.RequestURI()), bytes.Clone(ctx.PostBody())
		p.stats.Header = map[string]string{}
		for name, value := range ctx.Request.Header.All() {
			p.stats.Header[string(name)] = string(value)
		}
	}
	return n
}

// url returns the URL of a path.
func (s *server) url(path string) string { return "http://" + s.addr + path }

// seen returns the statistics of a peer.
func (s *server) seen() (st peerStats, err error) {
	_, text, err := fasthttp.Get(nil, s.url("/stats"))
	if err == nil {
		err = json.Unmarshal(text, &st)
	}
	return st, err
}

// reset resets the statistics of a peer.
func (s *server) reset() error {
	_, _, err := fasthttp.Get(nil, s.url("/reset"))
	return err
}

// awaitTaken waits until a peer has taken that many events.
func (s *server) awaitTaken(ctx context.Context, n int) error {
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		st, err := s.seen()
		if err != nil || st.Taken >= int64(n) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
