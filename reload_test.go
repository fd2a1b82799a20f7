package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/conf"
)

// reloads is how often TestReloads reads the configuration; RINGHOOK_MANY asks for
// more.
func reloads(t *testing.T) int {
	n := 60
	if text := os.Getenv("RINGHOOK_MANY"); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestReloads is F30: the configuration is read over and over under load, every
// second time a wrong one. What was acknowledged comes, in order; each wrong one
// is told by the metric and changes nothing; the deliveries of a hook that is
// taken out are kept, and go on when it is back; nothing is left behind.
func TestReloads(t *testing.T) {
	kept, back := newLedger(t), newLedger(t)
	var well atomic.Bool
	back.answer = func(w http.ResponseWriter, _ *http.Request, take func()) {
		if !well.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		take()
	}
	var open atomic.Int64 // connections to the receiver
	receiver := httptest.NewUnstartedServer(kept)
	receiver.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
	receiver.Start()
	defer receiver.Close()
	second := httptest.NewServer(back)
	defer second.Close()

	const table = "[[hook]]\nname = %q\nevents = [\"*\"]\nurl = %q\nschedule = \"fast\"\n"
	journal := fmt.Sprintf(table, "journal", receiver.URL)
	file, agi, _ := config(t, journal)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	without := string(text)
	with := without + fmt.Sprintf(table, "second", second.URL)
	wrong := []string{
		without + "colour = \"red\"\n",                         // of no key
		strings.Replace(without, agi, "127.0.0.1:1", 1),        // what needs a restart
		without + "ca_file = \"/nonexistent/authorities.pem\"", // what cannot be had
	}
	parse := func(text string) (*conf.Config, error) {
		return conf.Parse("ringhook.toml", []byte(text), os.LookupEnv)
	}

	first, err := parse(with)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newApp(first, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var next string // what the file says
	hup, ended := make(chan os.Signal), make(chan error, 1)
	serving, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { ended <- a.serve(serving, hup, func() (*conf.Config, error) { return parse(next) }) }()
	// A reload is over when the metric has changed: good and wrong ones take turns.
	reload := func(text string, successful float64) {
		t.Helper()
		next = text
		hup <- syscall.SIGHUP
		until(t, "reload", func() bool { return testutil.ToFloat64(a.reloads.ok) == successful })
	}
	waiting := func() (n int) {
		t.Helper()
		tallies, err := a.store.Outbox().Tallies()
		if err != nil {
			t.Fatal(err)
		}
		for _, tally := range tallies {
			if tally.Hook == "second" {
				n = tally.Pending
			}
		}
		return n
	}

	ctx := t.Context()
	back.play(ctx, agi, "1.1")
	goroutines := runtime.NumGoroutine()
	reload(wrong[0], 0)
	reload(without, 1)
	pending := waiting()
	if pending == 0 {
		t.Fatal("nothing waits for the hook that is taken out")
	}

	load, rest := context.WithCancel(ctx)
	var callers sync.WaitGroup
	for n := range 4 {
		callers.Go(func() {
			for i := 0; load.Err() == nil; i++ {
				kept.play(ctx, agi, fmt.Sprintf("%d.%d", n+2, i+1))
			}
		})
	}
	for i := range reloads(t) / 2 {
		reload(wrong[i%len(wrong)], 0)
		reload(without, 1)
	}
	rest()
	callers.Wait()
	if n := waiting(); n != pending {
		t.Errorf("%d deliveries wait for the hook that was taken out, want %d", n, pending)
	}
	well.Store(true)
	reload(wrong[0], 0)
	reload(with, 1)
	for name, l := range map[string]*ledger{"journal": kept, "second": back} {
		until(t, "deliveries to "+name, func() bool { missing, promised := l.missing(); return len(missing) == 0 && promised > 0 })
	}
	until(t, "the end of old connections", func() bool { return open.Load() == 0 })
	until(t, "the end of old goroutines", func() bool { return runtime.NumGoroutine() <= goroutines+10 })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
