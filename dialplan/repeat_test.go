package dialplan_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/dialplan"
	"ringhook/fastagi/agitest"
	"ringhook/hooks"
	"ringhook/test/wait"
)

// sharedJournal is a journal in memory that several dialplans write to, as servers do to one engine.
type sharedJournal struct {
	mu     sync.Mutex
	states map[string]*dialplan.Moved
	events []hooks.Event
	seen   map[string]bool       // ids of events
	hold   bool                  // commits wait for release
	stall  func(dialplan.Record) // called before a record is queued; nil for none
	held   []*sharedCommit
	writes int
}

type sharedCommit struct {
	record dialplan.Record
	done   chan struct{}
	err    error
}

func newSharedJournal() *sharedJournal {
	return &sharedJournal{states: map[string]*dialplan.Moved{}, seen: map[string]bool{}}
}

func (c *sharedCommit) Wait(ctx context.Context) ([]hooks.Delivery, error) {
	select {
	case <-c.done:
		return nil, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (j *sharedJournal) Call(key string, _ time.Time) ([]byte, int64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if have := j.states[key]; have != nil {
		return have.State, have.Version, nil
	}
	return nil, 0, nil
}

func (j *sharedJournal) Queue(_ context.Context, r dialplan.Record) (dialplan.Commit, error) {
	if j.stall != nil {
		j.stall(r)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	c := &sharedCommit{record: r, done: make(chan struct{})}
	if j.hold {
		j.held = append(j.held, c)
	} else {
		j.commit(c)
	}
	return c, nil
}

func (j *sharedJournal) KeepLater(r dialplan.Record) {
	c, _ := j.Queue(context.Background(), r)
	if c := c.(*sharedCommit); c.err != nil && r.Moved != nil {
		r.Moved()
	}
}

// commit stores a record if the call has not moved; mu is held.
func (j *sharedJournal) commit(c *sharedCommit) {
	defer close(c.done)
	l := c.record.Lineage
	have := j.states[c.record.Call]
	switch {
	case l.Broken():
		c.err = l.Newer()
		return
	case have != nil && have.Version != l.Version():
		l.Move(have)
		c.err = have
		return
	}
	next := l.Version() + 1
	j.states[c.record.Call] = &dialplan.Moved{State: c.record.State, Version: next}
	j.writes++
	for _, a := range c.record.Events {
		if !j.seen[a.Event.ID] {
			j.seen[a.Event.ID] = true
			j.events = append(j.events, a.Event)
		}
	}
	l.Stored(next)
}

// release commits what is held, in order, and what comes after it at once.
func (j *sharedJournal) release() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.hold = false
	for _, c := range j.held {
		j.commit(c)
	}
	j.held = nil
}

func (j *sharedJournal) waiting() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.held)
}

func (j *sharedJournal) Barrier(context.Context) error { return nil }
func (j *sharedJournal) Trace(time.Time, []byte)       {}
func (j *sharedJournal) IdleCalls(time.Time, time.Time, int) ([]dialplan.IdleCall, error) {
	return nil, nil
}

// names returns the events in the order of their seq, each with it.
func (j *sharedJournal) names() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	events := slices.Clone(j.events)
	slices.SortStableFunc(events, func(a, b hooks.Event) int { return a.Seq - b.Seq })
	var names []string
	for _, ev := range events {
		names = append(names, fmt.Sprint(ev.Seq, " ", ev.Name))
	}
	return strings.Join(names, ", ")
}

// servers returns two dialplans with one journal, and what their audiences hear.
func servers(t *testing.T, j *sharedJournal) (hs [2]*house, heard *audience) {
	t.Helper()
	heard = &audience{}
	hs[0] = build(t, wait.Limit, nil, func(dialplan.Journal) dialplan.Journal { return j })
	other := *hs[0]
	log := slog.New(slog.NewTextHandler(other.log, nil))
	other.parts.Audience = heard
	hs[0].d.Exchange(dialplan.Settings{Budget: wait.Limit}, other.parts)
	other.reg = prometheus.NewRegistry()
	other.d = dialplan.New(dialplan.Settings{Budget: wait.Limit}, other.parts, j, log, other.reg)
	other.d.WaitForCommits(wait.Limit)
	t.Cleanup(func() { closed(t, "dialplan", other.d.Close()) })
	other.addr = agitest.Serve(t, other.d.Serve)
	hs[1] = &other
	return hs, heard
}

// TestMoved checks a call whose points are asked at two servers in turn: each event is made once, with the next seq, and
// knows what the other server heard.
func TestMoved(t *testing.T) {
	j := newSharedJournal()
	hs, heard := servers(t, j)
	for n, line := range [][]string{
		{"call-dial"},
		{"queue-dial", "queue_id=500"},
		{"agent-dial", "agent_phone=101"},
		{"lookup", "ivr=5"}, // no event: a change that no session waits for
		{"agent-answer", "agent_phone=101"},
		{"agent-hangup", "agent_phone=101"},
		{"call-hangup"},
	} {
		if got := hs[n%2].ask(line[0], nil, line[1:]...); !strings.HasSuffix(got, "RINGHOOK_STATUS=OK") {
			t.Errorf("%s: set %s", line[0], got)
		}
		if line[0] == "lookup" {
			wait.Until(t, func() bool {
				state, _, _ := j.Call("1.1", time.Time{})
				return strings.Contains(string(state), `"ivr":"5"`)
			}, "the change without an event is lost")
		}
	}
	want := "1 call-dial, 2 queue-dial, 3 agent-dial, 4 agent-answer, 5 agent-hangup, 6 queue-hangup, 7 call-hangup"
	if got := j.names(); got != want {
		t.Errorf("got  %s,\nwant %s", got, want)
	}
	if last := j.events[len(j.events)-1]; last.Params["ivr"] != "5" {
		t.Errorf("the last event does not know the other server's change: %v", last.Params)
	}
	for _, ev := range j.events {
		if !slices.Contains(heard.list(), ev.Name+" <nil> ") {
			t.Errorf("the audience did not hear of %s: %q", ev.Name, heard.list())
		}
	}
}

// TestSamePointAtTwoServers checks that a point that is asked at two servers at once is one event, and that both
// answer it only after a write of their own: the other's commit may not be safe yet.
func TestSamePointAtTwoServers(t *testing.T) {
	j := newSharedJournal()
	j.hold = true
	hs, _ := servers(t, j)
	answers := make(chan string, 2)
	for _, h := range hs {
		go func() { answers <- h.ask("queue-dial", nil, "queue_id=500") }()
	}
	wait.Until(t, func() bool { return j.waiting() == 2 }, "both servers queue the event")
	j.release()
	for range hs {
		if got := <-answers; !strings.HasSuffix(got, "RINGHOOK_STATUS=OK") {
			t.Errorf("set %s, want OK", got)
		}
	}
	if got := j.names(); got != "1 queue-dial" {
		t.Errorf("events %s, want one", got)
	}
	if j.writes != 2 {
		t.Errorf("%d writes, want one by each server", j.writes)
	}
}

// TestSameReportAtTwoServers checks that of two servers that report an event at once, one has made it and the other has
// recognised it.
func TestSameReportAtTwoServers(t *testing.T) {
	j := newSharedJournal()
	hs, _ := servers(t, j)
	for _, h := range hs {
		h.ask("call-dial", nil) // both have the call in memory
	}
	j.mu.Lock()
	j.hold = true
	j.mu.Unlock()
	for _, h := range hs {
		r := &dialplan.Report{Point: dialplan.CallHangup, At: time.Now(), Call: dialplan.Identity{LinkedID: "1.1"}, Channel: "1.1"}
		if got := h.d.Report(wait.Context(t), r); got != dialplan.ReportMade {
			t.Errorf("got %s", got)
		}
	}
	j.release()
	counts := map[string]float64{}
	for _, h := range hs {
		if err := h.d.Close(); err != nil {
			t.Error(err)
		}
		h.countReports(t, counts)
	}
	if counts["made"] != 1 || counts["recognised"] != 1 {
		t.Errorf("outcomes of the reports: %v", counts)
	}
	if got, want := j.names(), "1 call-dial, 2 call-hangup"; got != want {
		t.Errorf("events %s, want %s", got, want)
	}
}

// countReports adds the reports of a server to counts, by outcome.
func (h *house) countReports(t *testing.T, counts map[string]float64) {
	t.Helper()
	families, err := h.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "ringhook_ami_points_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "outcome" {
					counts[l.GetValue()] += m.GetCounter().GetValue()
				}
			}
		}
	}
}

// TestMovedLate checks a record that turns out to be refused after the call has stopped waiting for it: its event is
// still made.
func TestMovedLate(t *testing.T) {
	j := newSharedJournal()
	hs, _ := servers(t, j)
	hs[0].ask("call-dial", nil)
	hs[1].ask("queue-dial", nil, "queue_id=500")
	j.mu.Lock()
	j.hold = true
	j.mu.Unlock()
	hs[0].d.WaitForCommits(time.Millisecond)
	if got := hs[0].ask("agent-dial", nil, "agent_phone=101", "visit=1.1/1/500", "ring="); strings.Contains(got, "STATUS") {
		t.Errorf("set %s before the commit", got)
	}
	hs[0].d.WaitForCommits(wait.Limit)
	j.release()
	if err := hs[0].d.Close(); err != nil {
		t.Error(err)
	}
	if got, want := j.names(), "1 call-dial, 2 queue-dial, 3 agent-dial"; got != want {
		t.Errorf("events %s, want %s", got, want)
	}
}

// TestMovedLocked checks a record that turns out to be refused while another point of its call has the lock, for longer than
// a point waits for it: its event is made later.
func TestMovedLocked(t *testing.T) {
	j := newSharedJournal()
	hs, _ := servers(t, j)
	stalled, goOn := make(chan struct{}, 9), make(chan struct{})
	j.stall = func(r dialplan.Record) {
		if len(r.Events) > 0 && r.Events[0].Event.Params["agent_phone"] == "102" {
			stalled <- struct{}{}
			<-goOn
		}
	}
	hs[0].ask("call-dial", nil)
	hs[1].ask("queue-dial", nil, "queue_id=500")
	j.mu.Lock()
	j.hold = true
	j.mu.Unlock()
	hs[0].d.WaitForCommits(time.Millisecond)
	dial := func(phone string) string {
		return hs[0].ask("agent-dial", nil, "agent_phone="+phone, "visit=1.1/1/500", "ring=")
	}
	dial("101")
	other := make(chan string, 1)
	go func() { other <- dial("102") }()
	<-stalled
	j.release()
	if got := dial("103"); strings.Contains(got, "STATUS") { // waits as long for the lock
		t.Errorf("set %s while another point has the lock", got)
	}
	close(goOn)
	<-other
	if err := hs[0].d.Close(); err != nil {
		t.Error(err)
	}
	if got, want := j.names(), "1 call-dial, 2 queue-dial, 3 agent-dial, 4 agent-dial"; got != want {
		t.Errorf("events %s, want %s", got, want)
	}
}

// TestMovedByAll checks points of one call at random servers at once: no event is lost or made twice, and seq has no gap.
func TestMovedByAll(t *testing.T) {
	j := newSharedJournal()
	hs, _ := servers(t, j)
	hs[0].ask("queue-dial", nil, "queue_id=500")
	var all sync.WaitGroup
	const phones = 40
	for n := range phones {
		all.Go(func() {
			for _, at := range []int{n % 2, 1 - n%2} {
				// A server that gives up after too many repeats sets no status, and the dialplan asks the other.
				if strings.HasSuffix(hs[at].ask("agent-dial", nil, fmt.Sprint("agent_phone=", 100+n), "visit=1.1/1/500", "ring="), "STATUS=OK") {
					return
				}
			}
		})
	}
	all.Wait()
	for n := range phones {
		hs[n%2].ask("agent-dial", nil, fmt.Sprint("agent_phone=", 100+n), "visit=1.1/1/500", fmt.Sprint("ring=1.1/1/", 100+n))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	ids := map[string]bool{}
	seqs := map[int]bool{}
	for _, ev := range j.events {
		ids[ev.ID], seqs[ev.Seq] = true, true
	}
	for n := 1; n <= len(j.events); n++ {
		if !seqs[n] {
			t.Errorf("no event has seq %d of %d", n, len(j.events))
		}
	}
	if len(ids) != len(j.events) {
		t.Errorf("%d events have %d ids", len(j.events), len(ids))
	}
}
