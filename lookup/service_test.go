package lookup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestClose checks lookups during and after Close.
func TestClose(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	b := start(t, crm(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		io.WriteString(w, "name=Anna")
	}))
	p := b.Ask(ask(anna))
	<-arrived
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Close(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("Close while a request is under way: %v", err)
	}
	if got := await(b.Ask(ask(boris))); got.Outcome != Failed {
		t.Errorf("after Close: %+v, want error", got)
	}
	close(release)
	if err := b.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if got := await(p); got.value("name") != "Anna" {
		t.Errorf("the request in progress: %+v", got)
	}
	if got := await(b.Ask(ask(anna))); got.Outcome != Found {
		t.Errorf("from the cache after Close: %+v", got)
	}
}

// TestRefused checks a source that refuses connections: its breaker opens, and the log has one line for the
// first failure and one for the breaker (F1).
func TestRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := crm(t, nil)
	cfg.URL = "http://" + ln.Addr().String() + "/?token=s3cret&phone=%callerid%"
	ln.Close()
	b := start(t, cfg)
	for range 50 {
		if got := await(b.Ask(ask(anna))); got.Outcome != Failed {
			t.Errorf("answer = %+v, want error", got)
		}
	}
	for reason, want := range map[string]float64{"connect": tripRow, "open": 50 - tripRow} {
		if n := b.count(t, "ringhook_lookup_errors_total", "crm", reason); n != want {
			t.Errorf("%v errors counted as %s, want %v", n, reason, want)
		}
	}
	if n := b.count(t, "ringhook_lookup_duration_seconds", "crm", "open"); n != 50-tripRow {
		t.Errorf("%v lookups measured as open, want %v", n, 50-tripRow)
	}
	text := b.log.text()
	if strings.Count(text, "level=WARN") != 2 {
		t.Errorf("log = %s, want the failure and the open breaker", text)
	}
	for _, secret := range []string{"s3cret", anna, anna[1:]} {
		if strings.Contains(text, secret) {
			t.Errorf("the log contains %s: %s", secret, text)
		}
	}
}

// TestFlapping checks that a source which fails at every other request fills the log neither with its failures nor
// with its answers between them.
func TestFlapping(t *testing.T) {
	requests := 0 // one at a time
	cfg := crm(t, func(w http.ResponseWriter, _ *http.Request) {
		if requests++; requests%2 == 0 {
			io.WriteString(w, "not a pair")
			return
		}
		io.WriteString(w, "name=Anna")
	})
	b := start(t, cfg)
	for i := range 50 {
		await(b.Ask(ask(fmt.Sprintf("+7495%07d", i))))
	}
	if n := b.count(t, "ringhook_lookup_errors_total", "crm", "syntax"); n != 25 {
		t.Fatalf("%v errors counted, want 25", n)
	}
	for _, line := range []string{"lookup fails", "lookup answers again"} {
		if text := b.log.text(); strings.Count(text, line) != 1 {
			t.Errorf("the log has not one line %q: %s", line, text)
		}
	}
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if text := b.log.text(); strings.Count(text, "repeated=24") != 1 || strings.Count(text, "repeated=23") != 1 {
		t.Errorf("the other lines are not counted at the end: %s", text)
	}
}

// TestReload checks that the metrics continue after a reload, which creates a second service.
func TestReload(t *testing.T) {
	cfg := crm(t, answers("name=Anna"))
	cfg.Points = []string{"p"}
	b := start(t, cfg)
	await(b.Ask(ask(anna)))
	next, err := New([]Config{cfg}, newMemory(), Own{}, slog.New(slog.NewTextHandler(b.log, nil)), b.reg)
	if err != nil {
		t.Fatal(err)
	}
	await(next.Ask(ask(anna)))
	if err := next.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if n := b.count(t, "ringhook_lookup_duration_seconds", "crm", "found"); n != 2 {
		t.Errorf("%v lookups counted across a reload, want 2", n)
	}
}
