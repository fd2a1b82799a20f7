package desk

import (
	"errors"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// failingListener fails to accept with each of its errors, before it accepts.
type failingListener struct {
	net.Listener
	errs []error
}

func (l *failingListener) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		return l.Listener.Accept()
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: err}
}

// TestAcceptFails expects the desk to outlive failed accepts.
func TestAcceptFails(t *testing.T) {
	st := newStore(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Listen, cfg.URL = tcp.Addr().String(), "http://"+tcp.Addr().String()
	desk, live := newDesk(t, st, cfg, testRules(t, nil))
	defer live.Close()
	ended := make(chan error, 1)
	go func() {
		ended <- desk.Serve(&failingListener{tcp, []error{syscall.EMFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM}})
	}()
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Get(cfg.URL + "/healthz")
	if err != nil {
		select {
		case ended := <-ended:
			err = errors.Join(err, ended)
		default:
		}
		t.Fatal(err)
	}
	resp.Body.Close()
	client.CloseIdleConnections()
	if err := errors.Join(desk.Shutdown(t.Context()), <-ended); err != nil {
		t.Error(err)
	}
}
