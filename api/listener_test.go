package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"ringhook/loglimit"
)

// failingListener fails to accept with each of its errors, then forever with the last.
type failingListener struct {
	net.Listener
	mu     sync.Mutex
	errs   []error
	failed chan struct{} // gets a value for each failure
}

func (l *failingListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errs) == 0 {
		return l.Listener.Accept()
	}
	err := l.errs[0]
	if len(l.errs) > 1 || !errors.Is(err, syscall.EPERM) {
		l.errs = l.errs[1:]
	}
	select {
	case l.failed <- struct{}{}:
	default:
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: err}
}

// TestAcceptFails expects a failed accept to be tried again, and Close to end that.
func TestAcceptFails(t *testing.T) {
	listen := func(errs ...error) (*failingListener, *fairListener) {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f := &failingListener{Listener: tcp, errs: errs, failed: make(chan struct{}, 100)}
		return f, newFairListener(f, 1, slog.New(slog.DiscardHandler))
	}
	_, l := listen(syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM)
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("after failures that pass: %v", err)
	}
	c.Close()
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v, want %v", err, net.ErrClosed)
	}

	failing, l := listen(syscall.EPERM)
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	for range 3 {
		<-failing.failed
	}
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed while it waits: %v, want %v", err, net.ErrClosed)
	}
}

// TestLocalAcceptFails expects the server to outlive failed accepts on the socket of commands, too.
func TestLocalAcceptFails(t *testing.T) {
	socket, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	failing := &failingListener{Listener: socket, errs: []error{syscall.EMFILE, syscall.ENOBUFS}, failed: make(chan struct{}, 2)}
	log := slog.New(slog.DiscardHandler)
	s := &Server{log: log, limited: loglimit.New(log, time.Minute), http: &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) {}}}
	ended := make(chan error, 1)
	go func() { ended <- s.ServeLocal(failing) }()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket.Addr().String())
	}}}
	answered := make(chan error, 1)
	go func() {
		resp, err := client.Get("http://ringhook/")
		if err == nil {
			resp.Body.Close()
		}
		answered <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("the server has ended: %v", err)
	case err := <-answered:
		if err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(s.Shutdown(t.Context()), <-ended); err != nil {
		t.Error(err)
	}
}
