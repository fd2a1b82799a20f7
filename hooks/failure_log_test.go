package hooks

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/httpclient"
	"ringhook/loglimit"
)

// lockedText is a log that one goroutine reads while another writes.
type lockedText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lockedText) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

// TestLogOfChanges checks that an unchanged failure is logged once, and its end once, and that changes that go on are
// counted.
func TestLogOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text lockedText
		log := slog.New(slog.NewTextHandler(&text, nil))
		tr := failureLog{limited: loglimit.New(log, logInterval)}
		defer tr.limited.Close()
		attempt := func(state State, class string) {
			tr.result(log, &Delivery{Event: *hangup()}, &Result{State: state, Attempt: Attempt{Started: time.Now(), Class: class}})
		}
		f := func(want string, lines int) {
			t.Helper()
			if got := text.String(); strings.Count(got, "\n") != lines || !strings.Contains(got, want) {
				t.Errorf("got %q, want %d lines with %q", got, lines, want)
			}
			text.Reset()
		}
		attempt(Delivered, classDelivered)
		f("", 0)
		attempt(Pending, classTimeout)
		attempt(Pending, classTimeout)
		f("delivery failed, will be retried", 1)
		attempt(Pending, classServer)
		f("class=server", 1)
		attempt(Dead, classServer)
		attempt(Dead, classServer)
		f("level=ERROR", 1)
		attempt(Delivered, classDelivered)
		f("answers again", 1)
		for range 300 { // it fails now and then, and every second event is dead
			attempt(Pending, classServer)
			attempt(Pending, classTimeout)
			attempt(Dead, classPoison)
			attempt(Delivered, classDelivered)
		}
		f("", 0)
		time.Sleep(logInterval + time.Second)
		f("repeated=300 ", 4)
		time.Sleep(2 * logInterval)
		f("", 0)
		attempt(Pending, classServer)
		attempt(Delivered, classDelivered)
		f("answers again", 2)

		for range 300 {
			tr.outbox(errors.New("disk full"))
			tr.outbox(errors.New("disk full"))
			tr.outbox(nil)
			tr.outbox(nil)
		}
		f("disk full", 2)
		time.Sleep(logInterval + time.Second)
		f("repeated=299 ", 2)
	})
}

// TestLogOfNeeds checks that an event whose values never came is logged as such, and is no failure of the receiver, and that
// the log says why an answer with status 200 is a refusal.
func TestLogOfNeeds(t *testing.T) {
	var text lockedText
	log := slog.New(slog.NewTextHandler(&text, nil))
	l := failureLog{limited: loglimit.New(log, logInterval)}
	defer l.limited.Close()
	f := func(state State, a Attempt, want string) {
		t.Helper()
		l.result(log, &Delivery{Event: *hangup()}, &Result{State: state, Attempt: a})
		if got := text.String(); !strings.Contains(got, want) || want == "" && got != "" || strings.Contains(got, "+4930") {
			t.Errorf("got %q, want %q", got, want)
		}
		text.Reset()
	}
	f(Dropped, Attempt{Class: classNeeds, Excerpt: "no crm_call"}, "")
	f(Pending, Attempt{Class: classNeeds, Excerpt: "no crm_call"}, "")
	f(Pending, Attempt{Class: classRecording, Excerpt: "not complete"}, "")
	f(Dead, Attempt{Class: classNeeds, Excerpt: "no crm_call"}, `msg="delivery is dead: it needs values that no answer has left"`)
	f(Dead, Attempt{Class: classRecording, Excerpt: "not sent: in-+493012345678.wav: too large"}, `msg="delivery is dead: its recording cannot be sent"`)
	f(Delivered, Attempt{Class: classDelivered, Status: 200}, "")
	f(Pending, Attempt{Class: classRefused, Status: 200, Excerpt: "taken: the event was not taken\nAnna"}, `answer="the event was not taken"`)
}

// TestLogOfConditions checks that a condition that fails with every event does not fill the log.
func TestLogOfConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		c := DefaultConfig()
		c.Name, c.URL, c.Events, c.When = "crm", Addresses{"http://crm.example/"}, []string{"*"}, "len(0..talk_time) > 1"
		d, err := New([]Config{c}, nil, slog.New(slog.NewTextHandler(&text, nil)), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if len(d.Match(&Event{Name: "agent-custom", Params: map[string]any{"talk_time": int64(1 << 40)}})) != 1 {
				t.Fatal("a condition that fails does not count as met")
			}
		}
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(text.String(), "condition of hook failed"); n != 2 || !strings.Contains(text.String(), "repeated=999 ") {
			t.Errorf("%d lines:\n%s", n, &text)
		}
	})
}

// TestLogOfClocks checks that a difference of the clocks is logged before signatures fail (F25).
func TestLogOfClocks(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	for date, lines := range map[string]int{
		"": 0, "yesterday": 0, "Thu, 15 Jan 2026 09:30:59 GMT": 0, "Thu, 15 Jan 2026 09:31:00 GMT": 1, "Thu, 15 Jan 2026 09:20:00 GMT": 1,
	} {
		tr := failureLog{limited: loglimit.New(log, logInterval)}
		for range 2 {
			o := outcomeOf(&httpclient.Response{Status: 200, Date: date}, nil, now)
			tr.clock(o.skew)
		}
		if n := strings.Count(text.String(), "clock of the receiver"); n != lines {
			t.Errorf("%q: got %q", date, text.String())
		}
		text.Reset()
	}
}
