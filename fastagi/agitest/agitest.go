// Package agitest runs a FastAGI server inside a test, and scripts the odd
// things that a peer may do to it.
package agitest

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/fastagi"
	"ringhook/test/wait"
)

// Serve runs handler after a FastAGI server on a free port of this machine
// and returns its address. The server is shut down when the test ends.
func Serve(t testing.TB, handler fastagi.Handler) string {
	t.Helper()
	addr, _ := Start(t, fastagi.DefaultConfig(), handler, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	return addr
}

// Start is Serve with a configuration, a log and a registry of one's own; it
// also returns the server. The test may shut it down itself.
func Start(t testing.TB, cfg fastagi.Config, handler fastagi.Handler, log *slog.Logger, reg prometheus.Registerer) (string, *fastagi.Server) {
	t.Helper()
	s, err := fastagi.New(cfg, handler, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := fastagi.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(wait.Context(t)); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), s
}

// Peer is a raw connection to a server, for tests of input that Asterisk does not send.
type Peer struct {
	*net.TCPConn
	t testing.TB
}

// Dial connects to a server. The connection is closed when the test ends, and
// nothing on it takes longer than wait.Limit.
func Dial(t testing.TB, addr string) *Peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(wait.Limit))
	t.Cleanup(func() { c.Close() })
	return &Peer{c.(*net.TCPConn), t}
}

// Send writes text in one piece.
func (p *Peer) Send(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatal(err)
	}
}

// Expect reads as many bytes as want has and compares them.
func (p *Peer) Expect(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(p, got)
	if err != nil || string(got) != want {
		p.t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}

// Rest reads until the server closes its half, and returns what it sent. That
// the server has reset the connection counts as its end; time that runs out
// fails the test.
func (p *Peer) Rest() string {
	p.t.Helper()
	got, err := io.ReadAll(p)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Fatalf("server did not close; it sent %q", got)
	}
	return string(got)
}
