package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/api/yemot"
	"ringhook/control"
	"ringhook/store"
	"ringhook/store/desk"
)

// port is a server of the port without an Asterisk, until the test ends.
type port struct {
	*API
	store *store.Store
	web   string // its address
}

// servePort serves a store of its own. The test calls Exchange before its first request.
func servePort(t *testing.T) port {
	t.Helper()
	return serveLogged(t, io.Discard)
}

// serveLogged is servePort with a log.
func serveLogged(t *testing.T, lines io.Writer) port {
	t.Helper()
	log, registry := slog.New(slog.NewTextHandler(lines, nil)), prometheus.NewRegistry()
	st, err := store.Open(store.Config{Folder: t.TempDir()}, log, registry)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := New(log, st.Desk(), st.Cache(), st.Browse(), control.New(log, registry), l.Addr())
	server := NewServer(a, MaxConnections, registry, func() (string, bool) { return "", true }, log)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := errors.Join(server.Shutdown(context.Background()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
	return port{a, st, "http://" + l.Addr().String()}
}

// logged counts the lines of a log about failed requests.
type logged struct{ lines atomic.Int64 }

// Write takes one line.
func (l *logged) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("API request failed")) {
		l.lines.Add(1)
	}
	return len(line), nil
}

// TestFailuresAreCounted sends made-up tokens while desk.db cannot be read: the log has the first failure, not one
// line for each request of a stranger.
func TestFailuresAreCounted(t *testing.T) {
	log := &logged{}
	p := serveLogged(t, log)
	p.Exchange("", yemot.Config{}, nil, nil, nil)
	p.desk = desk.Broken(errors.New("disk is lost"))
	for range 100 {
		req, err := http.NewRequest("GET", p.web+"/v1/agents", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer rh_made-up")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
	if n := log.lines.Load(); n != 1 {
		t.Errorf("%d lines, want 1", n)
	}
}

// TestPathOfID checks that an id with slashes and dots in a path of the API leads to no other page of the port: the request
// needs a token.
func TestPathOfID(t *testing.T) {
	p := servePort(t)
	p.Exchange("0123456789abcdef", yemot.Config{}, nil, nil, nil)
	for path, want := range map[string]int{
		"/healthz":                                         http.StatusOK,
		"/v1/calls/pb%2F..%2F..%2F..%2Fhealthz":            http.StatusUnauthorized,
		"/v1/calls/pb/../../../metrics":                    http.StatusUnauthorized,
		"/v1/queues/%2E%2E%2F%2E%2E%2Fmetrics":             http.StatusUnauthorized,
		"/v1/agents/7/calls/%2F..%2F..%2F..%2F..%2Freadyz": http.StatusUnauthorized,
		"/metrics/..%2Fv1%2Fhooks":                         http.StatusNotFound,
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.web, "http://")) // net/http would clean some of the paths
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		conn.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// F38: a panic ends its own request only.
func TestAPIPanics(t *testing.T) {
	const path, token = "/v1/panic", "0123456789abcdef"
	known := routes
	defer func() { routes = known }()
	routes = append(slices.Clone(known), route{method: "POST", path: path, do: func(*API, context.Context, *settings, *request) (any, error) { panic("out of cheese") }})
	p := servePort(t)
	p.Exchange(token, yemot.Config{}, nil, nil, nil)
	web := p.web
	req, err := http.NewRequest(http.MethodPost, web+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	said := func(resp *http.Response, err error) (status int, text string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if status, answer := said(http.DefaultClient.Do(req)); status != 500 || strings.Contains(answer, "cheese") {
		t.Errorf("got %d %s, want 500 and no word of why", status, answer)
	}
	if _, metrics := said(http.Get(web + "/metrics")); !strings.Contains(metrics, "ringhook_http_panics_total 1\n") {
		t.Errorf("the panic is not counted:\n%s", metrics)
	}
}
