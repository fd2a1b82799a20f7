package hooks

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"ringhook/httpclient"
)

// TestLogOfChanges checks that an unchanged failure is logged once, and its end once.
func TestLogOfChanges(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	var tr failureLog
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	attempt := func(state State, class string) {
		tr.result(log, &Delivery{Event: *hangup()}, &Result{State: state, Attempt: Attempt{Started: now, Class: class}})
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
	for range 3 { // an occasional failure
		attempt(Pending, classServer)
		attempt(Delivered, classDelivered)
	}
	f("", 0)
	now = now.Add(logInterval)
	attempt(Pending, classServer)
	attempt(Delivered, classDelivered)
	f("answers again", 2)
	attempt(Dead, classPoison)
	f("level=ERROR", 1)

	tr.outbox(log, errors.New("disk full"))
	tr.outbox(log, errors.New("disk full"))
	f("disk full", 1)
	tr.outbox(log, nil)
	tr.outbox(log, nil)
	f("answers again", 1)
}

// TestLogOfClocks checks that a difference of the clocks is logged before signatures fail (F25).
func TestLogOfClocks(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	var tr failureLog
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	for date, lines := range map[string]int{
		"": 0, "yesterday": 0, "Thu, 15 Jan 2026 09:30:59 GMT": 0, "Thu, 15 Jan 2026 09:31:00 GMT": 1, "Thu, 15 Jan 2026 09:20:00 GMT": 1,
	} {
		tr = failureLog{}
		for range 2 {
			o := outcomeOf(&httpclient.Response{Status: 200, Date: date}, nil, now)
			tr.clock(log, o.skew)
		}
		if n := strings.Count(text.String(), "clock of the receiver"); n != lines {
			t.Errorf("%q: got %q", date, text.String())
		}
		text.Reset()
	}
}
