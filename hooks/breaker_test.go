package hooks

import (
	"testing"
	"time"
)

// TestBreakerOpensAndCloses checks the states of the breaker.
func TestBreakerOpensAndCloses(t *testing.T) {
	var g breaker
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	room := func(want int) {
		t.Helper()
		if got := g.room(now, 16); got != want {
			t.Fatalf("room for %d, want %d", got, want)
		}
	}
	record := func(class string) bool { return g.record(now, &outcome{class: class}) }

	room(16)
	for range failuresToOpen - 1 {
		record(classTimeout)
	}
	room(16)
	record(classConnect)
	room(0)
	// The attempts in progress at that moment change nothing.
	until := g.until
	record(classTimeout)
	if g.until != until || g.opens != 1 {
		t.Errorf("open until %v, opened %d times", g.until, g.opens)
	}
	// Each failed probe doubles the time for which the breaker is open.
	for _, want := range []time.Duration{openFor, 2 * openFor, 4 * openFor, 8 * openFor, 16 * openFor, maxOpen, maxOpen} {
		if got := g.until.Sub(now); got < want*8/10 || got > want*12/10 {
			t.Errorf("open for %v, want about %v", got, want)
		}
		now = g.until
		room(1)
		record(classRejected)
		room(1)
		record(classTimeout)
		room(0)
	}
	now = g.until
	if !record(classDelivered) {
		t.Error("the recovery of the receiver is not reported")
	}
	for _, want := range []int{2, 4, 8, 16, 16, 16} {
		room(want)
		if record(classDelivered) {
			t.Error("the recovery of the receiver is reported twice")
		}
	}
	room(16)
	for range 2 {
		record(classServer)
	}
	room(16)
}

// TestBreakerCountsTheShareOfFailures checks that the breaker opens by the share of failures.
func TestBreakerCountsTheShareOfFailures(t *testing.T) {
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	f := func(want bool, apart time.Duration, classes ...string) {
		t.Helper()
		var g breaker
		for _, class := range classes {
			g.record(now, &outcome{class: class})
			now = now.Add(apart)
		}
		if got := g.halfOpen; got != want {
			t.Errorf("%d outcomes %v apart: open is %v", len(classes), apart, got)
		}
	}
	many := func(class string, n int) (all []string) {
		for range n {
			all = append(all, class)
		}
		return all
	}
	f(false, 0, many(classServer, 9)...)
	f(true, 0, many(classServer, 10)...)
	f(true, 0, append(many(classDelivered, 3), many(classServer, 7)...)...)
	f(false, 0, append(many(classDelivered, 4), many(classServer, 7)...)...)
	f(false, time.Minute, many(classServer, 20)...)
	f(false, 0, many(classRejected, 100)...)
	f(false, 0, many(classRedirect, 100)...)
	f(false, 0, many(classPoison, 100)...)
	f(true, time.Minute, many(classTLS, 5)...)
}

// TestBreakerWaitsAsAsked checks that Retry-After opens the breaker, with a limit.
func TestBreakerWaitsAsAsked(t *testing.T) {
	var g breaker
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	g.record(now, &outcome{class: classRejected, retryAfter: time.Minute})
	if g.room(now, 16) != 16 {
		t.Error("a 4xx that is not an overload opened the breaker")
	}
	g.record(now, &outcome{class: classLimited, overload: true, retryAfter: 2 * time.Minute})
	if g.room(now.Add(119*time.Second), 16) != 0 || g.room(now.Add(2*time.Minute), 16) != 16 {
		t.Error("the breaker is not open for the time that the receiver asked for")
	}
	g.record(now, &outcome{class: classServer, overload: true, retryAfter: 240 * time.Hour})
	if g.room(now.Add(longestWait), 16) != 16 {
		t.Error("a receiver can keep the breaker open for days")
	}
}

// TestBreakerRestored checks that a breaker continues in the state of the previous process, and that few
// failures are not stored.
func TestBreakerRestored(t *testing.T) {
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	var g breaker
	for range failuresToOpen - 1 {
		g.record(now, &outcome{class: classTimeout})
	}
	if st := g.state(now); st != (HookState{}) {
		t.Errorf("a few failures are stored: %+v", st)
	}
	g.record(now, &outcome{class: classTimeout})
	st := g.state(now)
	if st.Opened != 1 || !st.Until.After(now) || !st.Since.Equal(now) || st.Failures != failuresToOpen || st.Class != classTimeout {
		t.Fatalf("got %+v", st)
	}
	var next breaker
	next.restore(&st, now)
	if next.room(now, 16) != 0 || next.room(st.Until, 16) != 1 {
		t.Errorf("room for %d now and %d later, want none and one", next.room(now, 16), next.room(st.Until, 16))
	}
	now = st.Until
	next.record(now, &outcome{class: classTimeout})
	if wait := next.until.Sub(now); next.opens != 2 || wait < 2*openFor*8/10 {
		t.Errorf("opened %d times, for %v", next.opens, wait)
	}
	now = next.until
	if next.record(now, &outcome{class: classDelivered}); next.state(now) != (HookState{}) {
		t.Errorf("after a success the state is %+v", next.state(now))
	}

	// A state written before the clock was set back does not keep the breaker open for years (F24).
	st = HookState{Opened: 1, Since: now.Add(1000 * time.Hour), Until: now.Add(1000 * time.Hour)}
	next.restore(&st, now)
	if next.room(now.Add(longestWait), 16) != 1 || next.since.After(now) {
		t.Errorf("got %+v", next)
	}
}

// BenchmarkBreaker measures the work of the breaker for each attempt.
func BenchmarkBreaker(b *testing.B) {
	var g breaker
	now := time.Now()
	delivered := outcome{class: classDelivered}
	b.ReportAllocs()
	for b.Loop() {
		if g.room(now, 8) != 8 {
			b.Fatal("open")
		}
		g.record(now, &delivered)
	}
}

// TestBreakerSilent checks that a receiver counts as gone after days without a success and enough failures,
// and that a success starts the days again (F35).
func TestBreakerSilent(t *testing.T) {
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	hours := func(g *breaker, n int, class string) {
		for range n {
			now = now.Add(time.Hour)
			g.record(now, &outcome{class: class})
		}
	}
	f := func(g *breaker, want bool) {
		t.Helper()
		if got := g.silent(now); got != want {
			t.Errorf("got %v of %+v", got, g)
		}
	}
	for _, class := range []string{classRejected, classTimeout, classRedirect} {
		var g breaker
		hours(&g, 120, class)
		f(&g, false)
		hours(&g, 1, class)
		f(&g, true)
		hours(&g, 1, classDelivered)
		hours(&g, 100, class)
		f(&g, false)
	}
	var rare breaker
	for range 9 {
		hours(&rare, 1, classTimeout)
		now = now.Add(24 * time.Hour)
	}
	f(&rare, false)
	hours(&rare, 1, classTimeout)
	f(&rare, true)
	var poison breaker
	hours(&poison, 200, classPoison)
	f(&poison, false)
}
