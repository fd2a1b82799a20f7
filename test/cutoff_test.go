package test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"ringhook/pgstore/pgtest"
	"ringhook/test/wait"
)

// cutReceiver records how often each event came, and which came after a later one of its call.
type cutReceiver struct {
	mu       sync.Mutex
	times    map[string]int // by id
	came     map[string]bool
	last     map[string]int
	disorder int
}

// ServeHTTP receives an event.
func (r *cutReceiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	var ev received
	if json.NewDecoder(req.Body).Decode(&ev) != nil {
		return // ringhook was killed while it sent
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times[ev.ID]++
	r.came[ev.LinkedID+" "+ev.Event] = true
	if r.times[ev.ID] == 1 {
		if ev.Seq < r.last[ev.LinkedID] {
			r.disorder++
		}
		r.last[ev.LinkedID] = max(ev.Seq, r.last[ev.LinkedID])
	}
}

func (r *cutReceiver) repeats() (repeats int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.times {
		repeats += n - 1
	}
	return repeats
}

// TestCutOff cuts ringhook off from PostgreSQL in every way, kills PostgreSQL, and kills ringhook while events wait on its own
// disk, during calls. Every event of a point that was answered OK arrives. One arrives twice only if it was under way when
// ringhook was killed. RINGHOOK_CUTS sets the number of faults.
func TestCutOff(t *testing.T) {
	t.Parallel()
	cuts := setting(t, "RINGHOOK_CUTS", 5)
	server, dsn := engine(t)
	proxy := server.NewProxy(t)
	got := &cutReceiver{times: map[string]int{}, came: map[string]bool{}, last: map[string]int{}}
	receiver := httptest.NewServer(got)
	defer receiver.Close()
	file, agi, web := onEngine(t, proxy.DSN(dsn), "alone_after = \"300ms\"\n"+fmt.Sprintf(allEvents, receiver.URL))
	if code, out := invoke(t, "engine", "init", "-c", file); code != exitOK {
		t.Fatalf("engine init: %d\n%s", code, out)
	}
	ctx := wait.Context(t)
	calls, stop := context.WithCancel(ctx)
	l := newLedger(t)
	var callers sync.WaitGroup
	for n := range 4 {
		callers.Go(func() {
			for i := 0; calls.Err() == nil; i++ {
				l.play(ctx, agi, fmt.Sprintf("%d.%d", n+1, i+1))
			}
		})
	}
	promised := func() int {
		_, n := l.missing()
		return n
	}
	c := spawn(t, file, web)
	defer func() { c.kill() }()
	more := func(some int) {
		until := promised() + some
		wait.Until(t, func() bool { return promised() >= until }, "nothing is promised any more:\n%s", c.log)
	}
	kills := 0
	faults := []pgtest.Fault{pgtest.Cut, pgtest.Silent, pgtest.OneWay, pgtest.Trickles}
	for n := range cuts {
		more(20)
		killServer := n%(len(faults)+1) == len(faults)
		if killServer {
			server.Halt()
		} else {
			proxy.Set(faults[n%(len(faults)+1)])
		}
		more(20) // by this machine
		if n%2 == 0 {
			time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond) // it may deliver by itself or not
		} else {
			c.kill()
			kills++
			c = spawn(t, file, web)
			more(5)
		}
		if killServer {
			if err := server.Resume(); err != nil {
				t.Fatal(err)
			}
		}
		proxy.Set(pgtest.Well)
		c.untilMetric(web, "ringhook_spool_records 0")
	}
	stop()
	callers.Wait()
	c.untilMetric(web, "ringhook_spool_records 0")
	wait.Until(t, func() bool {
		got.mu.Lock()
		defer got.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		for key := range l.promised {
			if !got.came[key] {
				return false
			}
		}
		return true
	}, "promised events are missing:\n%s", c.log)
	repeats, events := got.repeats(), len(got.times)
	t.Logf("%d faults, %d kills: %d events were promised, %d came, all that were promised among them; %d repeats, %d after a later one of their call", cuts, kills, promised(), events, repeats, got.disorder)
	// As many as may be under way at once, or delivered and not stored yet.
	if most := kills * (8 + 512); repeats > most {
		t.Errorf("%d repeats, want at most %d", repeats, most)
	}
	c.stop()
}
