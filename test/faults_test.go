package test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/hooks"
	"ringhook/store"
	"ringhook/test/port"
)

// faultCalls is the number of calls of TestFaults, and faultKills the number of times
// that it kills ringhook; make faults runs 10,000.
func faultCalls(t *testing.T) (calls, kills int) {
	text := os.Getenv("RINGHOOK_FAULTS")
	if text == "" {
		return 120, 5
	}
	calls, err := strconv.Atoi(text)
	if err != nil || calls < 1 {
		t.Fatalf("RINGHOOK_FAULTS is %q, want a number of calls", text)
	}
	return calls, 5 + calls/100
}

// wayward are receivers that fail, each in a different way, until they recover. take records the event.
var wayward = map[string]func(w http.ResponseWriter, r *http.Request, n int64, take func()){
	"fails": func(w http.ResponseWriter, _ *http.Request, _ int64, take func()) {
		if rand.IntN(3) == 0 {
			w.WriteHeader([]int{500, 502, 400, 404, 301}[rand.IntN(5)])
			return
		}
		take()
	},
	"hangs": func(_ http.ResponseWriter, r *http.Request, n int64, take func()) {
		take()
		if n%40 == 0 {
			<-r.Context().Done() // ringhook waits no longer
		}
	},
	"limits": func(w http.ResponseWriter, _ *http.Request, n int64, take func()) {
		if n%50 == 0 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		take()
	},
	"resets": func(w http.ResponseWriter, _ *http.Request, n int64, take func()) {
		if n%7 != 0 {
			take()
			return
		}
		if n%2 == 0 {
			take() // it has the event, but ringhook gets no answer
		}
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
	},
	"gone": func(w http.ResponseWriter, _ *http.Request, n int64, take func()) {
		if n > 200 {
			w.WriteHeader(http.StatusGone)
			return
		}
		take()
	},
	"away": func(_ http.ResponseWriter, _ *http.Request, _ int64, take func()) { take() }, // it does not listen
	"good": func(_ http.ResponseWriter, _ *http.Request, _ int64, take func()) { take() },
}

// faults are the receivers of one run, with the events of each.
type faults struct {
	ledgers map[string]*ledger
	urls    map[string]string
	back    func() // makes all of them recover, except the one that answers 410
}

func startFaults(t *testing.T) *faults {
	f := &faults{ledgers: map[string]*ledger{}, urls: map[string]string{}}
	var well atomic.Bool
	away := port.Free(t)
	for name, misbehave := range wayward {
		l := newLedger(t)
		l.remembers = name != "gone"
		var n atomic.Int64
		l.answer = func(w http.ResponseWriter, r *http.Request, take func()) {
			took := take
			take = func() {
				took()
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"id": %q}`, r.Header.Get("webhook-id"))
			}
			if well.Load() && name != "gone" {
				take()
				return
			}
			misbehave(w, r, n.Add(1), take)
		}
		f.ledgers[name] = l
		if name == "away" {
			f.urls[name] = "http://" + away
			continue
		}
		server := httptest.NewServer(l)
		t.Cleanup(server.Close)
		f.urls[name] = server.URL
	}
	f.back = func() {
		well.Store(true)
		at, err := net.Listen("tcp", away)
		if err != nil {
			t.Fatal(err)
		}
		server := &httptest.Server{Listener: at, Config: &http.Server{Handler: f.ledgers["away"]}}
		server.Start()
		t.Cleanup(server.Close)
	}
	return f
}

func (f *faults) config() string {
	var b strings.Builder
	for name, url := range f.urls { // a run may take longer than the usual order_hold
		fmt.Fprintf(&b, "[[hook]]\nname = %q\nevents = [\"*\"]\nurl = %q\nschedule = \"fast\"\ntimeout = \"500ms\"\norder_hold = \"2h\"\n", name, url)
		// A call whose first event a kill took has nothing to remember: its other events are dead.
		fmt.Fprint(&b, "needs = [\"first\"]\nremember = { last = \".id\" }\n[hook.on.queue-dial]\nremember = { first = \".id\" }\n")
	}
	return b.String()
}

// TestFaults checks receivers that fail, hang, answer 410 or 429 with Retry-After, reset the
// connection, or are down and recover, while ringhook is killed many times. Every
// event that was answered OK reaches each of them, in order within its call and with one id, and with
// what the answers to the call's first event and to the one before it left; it is dead if the first was never kept.
// For the receiver that answers 410 it is delivered or dead.
func TestFaults(t *testing.T) {
	t.Parallel()
	calls, kills := faultCalls(t)
	f := startFaults(t)
	file, agi, web := config(t, f.config())
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	book := newLedger(t) // of the events answered OK
	var next, played atomic.Int64
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for n := next.Add(1); n <= int64(calls) && ctx.Err() == nil; n = next.Add(1) {
				// A call that a kill interrupts is followed by another.
				whole := false
				for again := 1; !whole && ctx.Err() == nil; again++ {
					whole = book.play(ctx, agi, fmt.Sprintf("%d.%d", n, again))
				}
				played.Add(1)
			}
		})
	}
	for n := range kills {
		c := spawn(t, file, web)
		tick := time.NewTicker(time.Millisecond)
		for played.Load() < int64(calls*(n+1)/(kills+1)) && ctx.Err() == nil {
			<-tick.C
		}
		tick.Stop()
		c.kill()
	}
	c := spawn(t, file, web)
	defer func() { c.kill() }()
	callers.Wait()
	if !book.play(ctx, agi, withoutFirst, "agent-dial") {
		t.Error("the event of a call without queue-dial is not kept")
	}
	f.back()
	c.kill() // during deliveries
	c = spawn(t, file, web)

	// The test does not wait for the schedule.
	for name := range f.urls {
		var out bytes.Buffer
		if code := run(ctx, []string{"outbox", "retry", "-c", file, "--hook", name, "--state", "pending"}, &out, &out); code != exitOK {
			t.Errorf("ringhook outbox retry ended with %d: %s", code, &out)
		}
	}
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		if metrics := get(t, web+"/metrics"); f.allSettled(metrics) {
			tick.Stop()
			break
		} else if ctx.Err() != nil {
			t.Fatalf("deliveries still wait:\n%s", metrics)
		}
	}
	c.stop()
	f.check(t, book, deadIn(t, filepath.Join(filepath.Dir(file), "data")))
}

// allSettled reports by the metrics whether no delivery waits for any hook.
func (f *faults) allSettled(metrics string) bool {
	for name := range f.urls {
		if !strings.Contains(metrics, fmt.Sprintf("ringhook_hook_pending{hook=%q} 0\n", name)) {
			return false
		}
	}
	return true
}

// withoutFirst is a call of which queue-dial was never kept.
const withoutFirst = "0.1"

// deadIn returns the classes of the dead deliveries of a folder, by hook, and then by call and event.
func deadIn(t *testing.T, folder string) map[string]map[string]string {
	st, err := store.OpenTool(folder, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	list, err := st.Operator().List(store.Filter{States: []hooks.State{hooks.Dead}, Limit: 10_000_000})
	if err != nil {
		t.Fatal(err)
	}
	dead := map[string]map[string]string{}
	for _, d := range list {
		if dead[d.Hook] == nil {
			dead[d.Hook] = map[string]string{}
		}
		dead[d.Hook][d.Event.LinkedID+" "+d.Event.Name] = d.Class
	}
	return dead
}

// check compares the events answered OK with those that arrived or are dead.
func (f *faults) check(t *testing.T, book *ledger, dead map[string]map[string]string) {
	ids := map[string]string{}
	for name, l := range f.ledgers {
		missing := 0
		for key := range book.promised {
			if _, ok := l.came[key]; !ok && dead[name][key] == "" {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("%s: %d of %d promised events neither came nor are dead", name, missing, len(book.promised))
		}
		for key, class := range dead[name] {
			call, _, _ := strings.Cut(key, " ")
			if name != "gone" && (class != "needs" || book.promised[call+" queue-dial"]) {
				t.Errorf("%s: %s is dead: %s", name, key, class)
			}
		}
		if class := dead[name][withoutFirst+" agent-dial"]; name != "gone" && class != "needs" {
			t.Errorf("%s: the event of a call without queue-dial is not dead: %q", name, class)
		}
		if name == "gone" && len(dead[name]) == 0 {
			t.Error("gone has no dead letters")
		}
		for id, key := range l.ids {
			if before, ok := ids[id]; ok && before != key {
				t.Errorf("%s is the id of %s and of %s", id, before, key)
			}
			ids[id] = key
		}
		t.Logf("%s: %d events came, %d are dead; %d were promised", name, len(l.came), len(dead[name]), len(book.promised))
	}
}
