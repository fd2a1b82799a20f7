package hooktest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Request is a request that a receiver got.
type Request struct {
	Method string
	URL    string // path and query, as they came over the wire
	Header http.Header
	Body   string
	Time   time.Time
}

// Step is how a receiver answers one request.
type Step struct {
	Status     int // 200 when zero
	Body       string
	Type       string // of the body; what it looks like when empty
	RetryAfter string
	Location   string
	// Wait, when not nil, holds the answer back until it is closed, or the
	// client is gone, or the receiver closes.
	Wait <-chan struct{}
	// Reset closes the connection without an answer.
	Reset bool
}

// Receiver is an HTTP server on this machine that plays a script and records
// what it gets.
type Receiver struct {
	server *httptest.Server
	closed chan struct{}

	mu       sync.Mutex
	script   []Step
	answer   func(Request) Step
	requests []Request
	changed  chan struct{} // closed and renewed when a request came
}

// NewReceiver starts a receiver that answers 200 to everything, and stops it
// when the test ends.
func NewReceiver(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{closed: make(chan struct{}), changed: make(chan struct{})}
	r.server = httptest.NewServer(r)
	t.Cleanup(func() {
		close(r.closed)
		r.server.Close()
	})
	return r
}

// URL is the receiver's address, as http://host:port.
func (r *Receiver) URL() string { return r.server.URL }

// Play appends to the script; each request takes one step of it.
func (r *Receiver) Play(steps ...Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script = append(r.script, steps...)
}

// Answer makes f answer the requests after the end of the script. It may be called
// from many goroutines at once.
func (r *Receiver) Answer(f func(Request) Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// Requests returns the requests so far, in order.
func (r *Receiver) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// Wait returns the first n requests when they have come.
func (r *Receiver) Wait(ctx context.Context, n int) ([]Request, error) {
	for {
		r.mu.Lock()
		requests, changed := slices.Clone(r.requests), r.changed
		r.mu.Unlock()
		if len(requests) >= n {
			return requests[:n], nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return requests, ctx.Err()
		}
	}
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return
	}
	step := r.record(Request{Method: in.Method, URL: in.RequestURI, Header: in.Header, Body: string(body), Time: time.Now()})
	if step.Wait != nil {
		select {
		case <-step.Wait:
		case <-in.Context().Done():
		case <-r.closed:
		}
	}
	if step.Reset {
		reset(w)
		return
	}
	if step.Type != "" {
		w.Header().Set("Content-Type", step.Type)
	}
	if step.RetryAfter != "" {
		w.Header().Set("Retry-After", step.RetryAfter)
	}
	if step.Location != "" {
		w.Header().Set("Location", step.Location)
	}
	if step.Status != 0 {
		w.WriteHeader(step.Status)
	}
	io.WriteString(w, step.Body)
}

// record stores a request and returns the step that answers it.
func (r *Receiver) record(req Request) Step {
	r.mu.Lock()
	r.requests = append(r.requests, req)
	close(r.changed)
	r.changed = make(chan struct{})
	var step Step
	answer := r.answer
	if len(r.script) > 0 {
		step, r.script = r.script[0], r.script[1:]
		answer = nil
	}
	r.mu.Unlock()
	if answer != nil {
		step = answer(req)
	}
	return step
}

// reset closes the connection so that the client sees it break.
func reset(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}
