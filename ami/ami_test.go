package ami

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/ami/amitest"
)

// watcher records what a client delivers.
type watcher struct {
	client    *Client
	mu        sync.Mutex
	log       []string // guarded by mu
	connected func(ctx context.Context) error
	event     func(m Message)
	refused   int32 // connections that are refused before the first that is accepted
}

func (w *watcher) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, what)
}

func (w *watcher) said() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.log)
}

func (w *watcher) Connected(ctx context.Context) error {
	w.note("connected")
	if w.connected != nil {
		return w.connected(ctx)
	}
	return nil
}

func (w *watcher) Event(_ context.Context, m Message) {
	w.note(m.Event() + " " + m.Get("Channel"))
	if w.event != nil {
		w.event(m)
	}
}

func (w *watcher) Tick(context.Context) { w.note("tick") }
func (w *watcher) Disconnected()        { w.note("disconnected") }

// bench is a client of a fake Asterisk, in a bubble of fake time.
type bench struct {
	*watcher
	server  *amitest.Server
	metrics *Metrics
	logged  *strings.Builder
	dials   atomic.Int32
	stop    func()
}

// newBench makes the client and runs it until the test ends.
func newBench(t *testing.T, server *amitest.Server, w *watcher) *bench {
	t.Helper()
	b := &bench{watcher: w, server: server, metrics: NewMetrics(prometheus.NewRegistry()), logged: &strings.Builder{}}
	cfg := Config{Name: "pbx", Address: "pbx.example:5038", Username: amitest.Username, Secret: amitest.Secret}
	log := slog.New(slog.NewTextHandler(&locked{b: b.logged}, nil))
	c, err := New(cfg, []string{"Hangup", "Newchannel", "OriginateResponse"}, log, b.metrics)
	if err != nil {
		t.Fatal(err)
	}
	c.dial = func(context.Context) (net.Conn, error) {
		if b.dials.Add(1) <= w.refused {
			return nil, syscall.ECONNREFUSED
		}
		return server.Pipe(), nil
	}
	w.client = c
	ctx, cancel := context.WithCancel(t.Context())
	done := c.Start(ctx, w)
	b.stop = func() {
		cancel()
		<-done
		server.Close()
	}
	synctest.Wait()
	return b
}

// locked is a log that goroutines share.
type locked struct {
	mu sync.Mutex
	b  *strings.Builder
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func TestConnectAndEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, amitest.New(), &watcher{})
		b.server.Send(amitest.Text("Event: Hangup", "Privilege: call,all", "Channel: PJSIP/101-00000001") +
			amitest.Text("Event: Unknown", "Channel: x") + "\r\n" + // the stray line of Park
			amitest.Text("Event: Newchannel", "Privilege: call,all", "Channel: PJSIP/102-00000002"))
		synctest.Wait()
		if got := testutil.ToFloat64(b.metrics.connected.WithLabelValues("pbx")); got != 1 || !b.client.Connected() {
			t.Errorf("connected is %v", got)
		}
		b.stop()
		want := []string{"connected", "Hangup PJSIP/101-00000001", "Newchannel PJSIP/102-00000002", "disconnected"}
		if got := b.said(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := testutil.ToFloat64(b.metrics.events.WithLabelValues("pbx", "Hangup")); got != 1 {
			t.Errorf("%v Hangup events are counted, want 1", got)
		}
		if got := testutil.ToFloat64(b.metrics.connected.WithLabelValues("pbx")); got != 0 || b.client.Connected() {
			t.Errorf("connected is %v after the end", got)
		}
	})
}

// The secret is hashed, and never sent or logged.
func TestRefusedLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := amitest.New()
		server.Secret = "another"
		b := newBench(t, server, &watcher{})
		time.Sleep(10*refusedPause + time.Second)
		synctest.Wait()
		b.stop()
		if got := b.dials.Load(); got != 11 {
			t.Errorf("a wrong secret was tried %d times in 10 minutes, want 11", got)
		}
		logged := b.logged.String()
		if strings.Count(logged, "user name or secret not accepted") != 1 || strings.Contains(logged, amitest.Secret) {
			t.Errorf("logged %s", logged)
		}
	})
}

func TestLoginFails(t *testing.T) {
	f := func(name string, change func(*amitest.Server), want string) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := amitest.New()
				change(server)
				b := newBench(t, server, &watcher{})
				time.Sleep(2 * bootTime)
				b.stop()
				if got := b.said(); len(got) > 0 {
					t.Errorf("got %q", got)
				}
				if !strings.Contains(b.logged.String(), want) {
					t.Errorf("logged %s\nwant %q", b.logged, want)
				}
			})
		})
	}
	f("another service", func(s *amitest.Server) { s.Greeting = "220 mail.example ESMTP" }, "not Asterisk's manager interface")
	f("endless greeting", func(s *amitest.Server) { s.Greeting = strings.Repeat("x", 1<<20) }, "read greeting")
	f("no read=system", func(s *amitest.Server) { s.NoBoot = true }, "read=system")
}

// Asterisk is not there at start: the client is away, says so once, and connects when Asterisk comes.
func TestAwayAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, amitest.New(), &watcher{refused: 5})
		if _, err := b.client.Do(t.Context(), Action{Name: "Ping"}); !errors.Is(err, ErrAway) || b.client.Connected() {
			t.Errorf("connected %v, got %v, want ErrAway", b.client.Connected(), err)
		}
		time.Sleep(6 * longPause)
		synctest.Wait()
		connected := b.client.Connected()
		b.stop()
		if got := slices.DeleteFunc(b.said(), func(s string) bool { return s == "tick" }); !connected || !slices.Equal(got, []string{"connected", "disconnected"}) {
			t.Errorf("connected %v, got %q", connected, got)
		}
		if n := strings.Count(b.logged.String(), "no connection to the manager interface"); n != 1 || b.dials.Load() != b.refused+2 { // events, and actions
			t.Errorf("%d dials are logged %d times:\n%s", b.dials.Load(), n, b.logged)
		}
	})
}

// The connection is closed by the other side, in the middle of an event, again and again: the pauses grow, the half event
// is not delivered, and the state is read again each time.
func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, amitest.New(), &watcher{})
		for range 3 {
			b.server.Send("Event: Hangup\r\nChannel: PJSIP/101-0000")
			synctest.Wait()
			b.server.Drop()
			synctest.Wait()
			if _, err := b.client.Do(t.Context(), Action{Name: "Ping"}); !errors.Is(err, ErrAway) {
				t.Errorf("got %v, want ErrAway", err)
			}
			time.Sleep(2*longPause + 2*stableAfter)
			synctest.Wait()
		}
		b.stop()
		if n := strings.Count(b.logged.String(), "no connection to the manager interface"); n != 3 {
			t.Errorf("3 losses are logged %d times:\n%s", n, b.logged)
		}
		want := []string{"connected", "disconnected", "connected", "disconnected", "connected", "disconnected", "connected", "disconnected"}
		got := slices.DeleteFunc(b.said(), func(s string) bool { return s == "tick" })
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A watcher that cannot read the state has the client connect again.
func TestConnectedFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := true
		b := newBench(t, amitest.New(), &watcher{connected: func(context.Context) error {
			if failing {
				failing = false
				return errors.New("no list")
			}
			return nil
		}})
		time.Sleep(longPause)
		synctest.Wait()
		connected := b.client.Connected()
		b.stop()
		got := slices.DeleteFunc(b.said(), func(s string) bool { return s == "tick" })
		if want := []string{"connected", "disconnected", "connected", "disconnected"}; !slices.Equal(got, want) || !connected {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A peer that keeps the connection open and says nothing more is noticed by a Ping.
func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, amitest.New(), &watcher{})
		b.server.Answer("Ping", "")
		time.Sleep(pingEvery + pingTime + time.Millisecond)
		synctest.Wait()
		connected := b.client.Connected()
		b.stop()
		if connected || !strings.Contains(b.logged.String(), "no response to a Ping") {
			t.Errorf("connected %v; logged %s", connected, b.logged)
		}
	})
}

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := amitest.New()
		s.AnswerFunc("Originate", func(*amitest.Request) string {
			s.Send(amitest.Text("Event: OriginateResponse", "Privilege: call,all", "ActionID: {id}", "Response: Failure", "Channel: early"))
			return amitest.Text("Event: OriginateResponse", "ActionID: {id}", "Response: Failure", "Channel: forged") +
				amitest.Text("Response: Success", "ActionID: {id}", "Message: Originate successfully queued") +
				amitest.Text("Response: Error", "ActionID: {id}", "Message: a second one")
		})
		s.Answer("Redirect", amitest.Text("Response: Error", "ActionID: {id}", "Message: Channel does not exist: x"))
		b := newBench(t, s, &watcher{})
		m, err := b.client.Do(t.Context(), Action{"Originate", []Field{{"Channel", "PJSIP/101"}, {"Async", "true"}}})
		if err != nil || m.Get("Message") != "Originate successfully queued" {
			t.Errorf("got %q, %v", m, err)
		}
		var rejected *RejectedError
		if _, err = b.client.Do(t.Context(), Action{Name: "Redirect"}); !errors.As(err, &rejected) || rejected.Message != "Channel does not exist: x" {
			t.Errorf("got %v", err)
		}
		if _, err = b.client.Do(t.Context(), Action{"Redirect", []Field{{"Channel", "x\nAction: Originate"}}}); !errors.Is(err, ErrInvalid) {
			t.Errorf("got %v", err)
		}
		s.Answer("Redirect", "")
		if _, err = b.client.Do(t.Context(), Action{Name: "Redirect"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		s.AnswerFunc("Redirect", func(*amitest.Request) string { go s.Drop(); return "" })
		if _, err = b.client.Do(t.Context(), Action{Name: "Redirect"}); !errors.Is(err, ErrLost) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if _, err = b.client.Do(t.Context(), Action{Name: "Redirect"}); !errors.Is(err, ErrAway) {
			t.Errorf("got %v", err)
		}
		b.stop()
		for _, outcome := range []string{"ok", "rejected", "invalid", "timeout", "lost", "away"} {
			action := "Redirect"
			if outcome == "ok" {
				action = "Originate"
			}
			if got := testutil.ToFloat64(b.metrics.actions.WithLabelValues(action, outcome)); got != 1 {
				t.Errorf("%v actions with outcome %s, want 1", got, outcome)
			}
		}
	})
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := amitest.New()
		s.AnswerFunc("QueueStatus", func(r *amitest.Request) string {
			list := amitest.List("QueueStatus", amitest.Text("Event: QueueParams", "Queue: 500"), amitest.Text("Event: QueueMember", "Queue: 500"))
			live := amitest.Text("Event: QueueMember", "ActionID: "+r.ID+"0", "Queue: of another") + amitest.Text("Event: QueueMember", "Queue: live")
			return strings.Replace(list, "Event: QueueMember", live+"Event: QueueMember", 1)
		})
		s.Answer("CoreShowChannels", strings.Replace(amitest.List("CoreShowChannels", amitest.Text("Event: CoreShowChannel")), "ListItems: 1", "ListItems: 2", 1))
		s.Answer("ParkedCalls", amitest.Text("Response: Error", "ActionID: {id}", "Message: Permission denied"))
		b := newBench(t, s, &watcher{})
		items, err := b.client.List(t.Context(), Action{Name: "QueueStatus"})
		if err != nil || len(items) != 2 || items[0].Event() != "QueueParams" || items[1].Get("Queue") != "500" {
			t.Errorf("got %q, %v", items, err)
		}
		if _, err = b.client.List(t.Context(), Action{Name: "CoreShowChannels"}); err == nil || !strings.Contains(err.Error(), "1 instead of 2") {
			t.Errorf("got %v", err)
		}
		var rejected *RejectedError
		if _, err = b.client.List(t.Context(), Action{Name: "ParkedCalls"}); !errors.As(err, &rejected) {
			t.Errorf("got %v", err)
		}
		if items, err = b.client.List(t.Context(), Action{Name: "DeviceStateList"}); err != nil || len(items) > 0 {
			t.Errorf("got %q, %v", items, err)
		}
		b.stop()
	})
}

// A watcher that is slower than the events loses some, knows it, and goes on with the next ones.
func TestOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		first := true
		b := newBench(t, amitest.New(), &watcher{event: func(Message) {
			if first {
				first = false
				<-gate
			}
		}})
		const more = 10
		for n := range maxQueued + 1 + more {
			b.server.Send(amitest.Text("Event: Hangup", fmt.Sprint("Channel: ", n)))
		}
		synctest.Wait()
		if got := testutil.ToFloat64(b.metrics.dropped); got != more {
			t.Errorf("%v events were dropped, want %d", got, more)
		}
		close(gate)
		synctest.Wait()
		b.server.Send(amitest.Text("Event: Hangup", "Channel: after"))
		synctest.Wait()
		b.stop()
		if want := []string{"connected", "Hangup 0", "connected", "Hangup after", "disconnected"}; !slices.Equal(b.said(), want) {
			t.Errorf("got %q, want %q", b.said(), want)
		}
	})
}

// Few but large events fill the queue by their size.
func TestOverflowBySize(t *testing.T) {
	q := newQueue()
	n := 0
	for q.put(Message{}, 64<<10) {
		n++
	}
	if n != maxQueuedBytes/(64<<10) {
		t.Errorf("the queue took %d events of 64 KiB", n)
	}
	q.clear()
	if !q.put(Message{}, 1) || q.bytes.Load() != 1 {
		t.Errorf("after clear the queue holds %d bytes", q.bytes.Load())
	}
}

// What is too large is skipped, and the state read again; a panic ends nothing.
func TestHostileEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, amitest.New(), &watcher{event: func(m Message) {
			if m.Get("Channel") == "bad" {
				panic("bad event")
			}
		}})
		b.server.Send("Event: Hangup\r\nChannel: " + strings.Repeat("x", maxLine) + "\r\n\r\n")
		synctest.Wait()
		b.server.Send("Event: Hangup\r\n" + strings.Repeat("A: b\r\n", 10000) + "\r\n")
		synctest.Wait()
		b.server.Send(amitest.Text("Event: Hangup", "Channel: l1\nEvent: Hangup\n\nResponse: x"))
		b.server.Send(amitest.Text("Event: Hangup", "Channel: bad"))
		time.Sleep(panicPause)
		synctest.Wait()
		b.server.Send(amitest.Text("Event: Hangup", "Channel: last"))
		synctest.Wait()
		b.stop()
		want := []string{
			"connected", "connected", "connected", "Hangup l1\nEvent: Hangup\n\nResponse: x", "Hangup bad", "connected", "Hangup last", "disconnected",
		}
		if got := b.said(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := testutil.ToFloat64(b.metrics.dropped); got != 2 {
			t.Errorf("%v events were dropped, want 2", got)
		}
	})
}

// TestFlood sends more events than the watcher takes, as fast as the connection carries them. The reader never waits for the
// watcher, what was received was delivered or is counted as dropped, and the state is read again after a gap.
func TestFlood(t *testing.T) {
	const bursts, each = 300, 200 // three seconds of 20,000 a second
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		var delivered atomic.Int64
		b := newBench(t, amitest.New(), &watcher{event: func(Message) {
			delivered.Add(1)
			<-free
		}})
		burst := strings.Repeat(amitest.Text("Event: Newchannel", "Privilege: call,all", "Channel: PJSIP/101-00000001", "Uniqueid: 1.1", "Linkedid: 1.1"), each)
		for range bursts - 10 {
			b.server.Send(burst) // returns when the client has read it
		}
		synctest.Wait()
		if got := delivered.Load(); got != 1 {
			t.Errorf("%d events were delivered to a watcher that works on the first", got)
		}
		close(free)
		for range 10 {
			b.server.Send(burst)
			synctest.Wait()
		}
		connects := 0
		for _, said := range b.said() {
			if said == "connected" {
				connects++
			}
		}
		received, dropped := testutil.ToFloat64(b.metrics.events.WithLabelValues("pbx", "Newchannel")), testutil.ToFloat64(b.metrics.dropped)
		if received != bursts*each || received != float64(delivered.Load())+dropped || dropped == 0 || connects != 2 {
			t.Errorf("received %v, delivered %d, dropped %v, lists read %d times", received, delivered.Load(), dropped, connects)
		}
		b.stop()
	})
}
