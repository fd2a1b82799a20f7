package api

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/control"
	"ringhook/store"
)

// F38: a panic ends its own request only.
func TestAPIPanics(t *testing.T) {
	const path, token = "/v1/panic", "0123456789abcdef"
	known := routes
	defer func() { routes = known }()
	routes = append(slices.Clone(known), route{"POST", path, func(*API, context.Context, *settings, *request) (any, error) { panic("out of cheese") }})
	log, registry := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	st, err := store.Open(store.Config{Folder: t.TempDir()}, log, registry)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := New(log, st, control.New(log, registry), l.Addr())
	a.Exchange(token, nil, nil)
	server := NewServer(a, MaxConnections, registry, func() string { return "" }, log)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	web := "http://" + l.Addr().String()
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
	http.DefaultClient.CloseIdleConnections()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
