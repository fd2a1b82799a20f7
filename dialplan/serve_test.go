package dialplan_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/dialplan"
	"ringhook/fastagi"
	"ringhook/fastagi/agitest"
	"ringhook/fastagi/asterisk"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/store"
	"ringhook/test/wait"
)

// house is a dialplan with its real surroundings: FastAGI and HTTP over sockets, and SQLite on disk.
type house struct {
	t    *testing.T
	addr string
	st   *store.Store
	d    *dialplan.Dialplan
	log  *lockedBuffer
	reg  *prometheus.Registry

	parts dialplan.Parts
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// build opens a house. If crm is not nil, a lookup asks that handler at queue-dial. journal wraps the
// journal of the store.
func build(t *testing.T, budget time.Duration, crm http.HandlerFunc, journal func(dialplan.Journal) dialplan.Journal) *house {
	t.Helper()
	h := &house{t: t, log: &lockedBuffer{}}
	log := slog.New(slog.NewTextHandler(h.log, nil))
	reg := prometheus.NewRegistry()
	cfg := store.DefaultConfig()
	cfg.Folder = t.TempDir()
	var err error
	if h.st, err = store.Open(cfg, log, reg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, "store", h.st.Close()) })
	var lookups []lookup.Config
	if crm != nil {
		server := httptest.NewServer(crm)
		t.Cleanup(server.Close)
		c := lookup.DefaultConfig()
		c.Name, c.Points, c.URL = "crm", []string{"queue-dial", "lookup"}, server.URL+"/?phone=%callerid%&queue=%queue_id%"
		c.Timeout = budget
		lookups = append(lookups, c)
	}
	parts := dialplan.Parts{Numbers: number.NewReader(number.Config{Country: "GB", Language: "en"})}
	if parts.Lookups, err = lookup.New(lookups, h.st.Cache(), lookup.Own{Phonebook: h.st.Phonebook(), DIDs: h.st.Desk()}, log, reg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closed(t, "lookups", parts.Lookups.Close(wait.Context(t)))
	})
	hook := hooks.DefaultConfig()
	hook.Name, hook.Events, hook.URL = "all", []string{"*"}, hooks.Addresses{"http://127.0.0.1:1/"} // never started: the tests read the outbox
	if parts.Hooks, err = hooks.New([]hooks.Config{hook}, h.st.Outbox(), log, reg); err != nil {
		t.Fatal(err)
	}
	var j dialplan.Journal = h.st.Journal()
	if journal != nil {
		j = journal(j)
	}
	d := dialplan.New(dialplan.Settings{Budget: budget}, parts, j, log, reg)
	d.WaitForCommits(wait.Limit) // whatever the disk of the test's machine
	t.Cleanup(func() { closed(t, "dialplan", d.Close()) })
	h.d, h.parts, h.reg = d, parts, reg
	h.addr = agitest.Serve(t, d.Serve)
	return h
}

func closed(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("close %s: %v", what, err)
	}
}

// ask runs one AGI() line on the caller's channel and returns the variables that it set.
func (h *house) ask(point string, hangup <-chan struct{}, args ...string) string {
	h.t.Helper()
	result, err := asterisk.Call(wait.Context(h.t), h.addr, asterisk.CallRequest{
		Env: fastagi.Env{
			Point: point, Channel: "PJSIP/trunk-1", UniqueID: "1.1", Version: "22", CallerNum: "02079460142", CallerName: "as it was",
			DNID: "02079460500", Extension: "500", Priority: "1", Context: "from-trunk", Args: args,
		},
		Variables: map[string]string{"CHANNEL(linkedid)": "1.1"},
		Hangup:    hangup,
	})
	if err != nil {
		h.t.Fatalf("%s: %v", point, err)
	}
	var set []string
	for _, v := range result.Set {
		set = append(set, v.Name+"="+v.Value)
	}
	return strings.Join(set, "; ")
}

// kept returns the events in the outbox, oldest first.
func (h *house) kept() []hooks.Event {
	h.t.Helper()
	list, err := h.st.Operator().List(store.Filter{Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	var events []hooks.Event
	for i := len(list) - 1; i >= 0; i-- {
		events = append(events, list[i].Event)
	}
	return events
}

func (h *house) keptNames() string {
	var names []string
	for _, ev := range h.kept() {
		names = append(names, ev.Name)
	}
	return strings.Join(names, " ")
}

func answer(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

// TestServe checks the variables of a session, with the status last, and the outbox after it.
func TestServe(t *testing.T) {
	for _, c := range []struct {
		name string
		crm  http.HandlerFunc
		want string
	}{
		{"found", answer("call_info=gold&CALLERID(name)=Zo%C3%AB&QUEUE_PRIO=10&evil=1&SHELL(id)=x"),
			"__call_info=gold; CALLERID(name)=Zoë; QUEUE_PRIO=10; __RINGHOOK_VISIT=1.1/1/500; RINGHOOK_STATUS=FOUND"},
		{"not found", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
			"__RINGHOOK_VISIT=1.1/1/500; RINGHOOK_STATUS=NOTFOUND"},
		{"error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
			"__RINGHOOK_VISIT=1.1/1/500; RINGHOOK_STATUS=ERROR"},
		{"rubbish", answer("<html>please log in</html>"), "__RINGHOOK_VISIT=1.1/1/500; RINGHOOK_STATUS=ERROR"},
		{"no lookup", nil, "__RINGHOOK_VISIT=1.1/1/500; RINGHOOK_STATUS=OK"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := build(t, wait.Limit, c.crm, nil)
			if got := h.ask("queue-dial", nil, "queue_id=500"); got != c.want {
				t.Errorf("set %s\nwant %s", got, c.want)
			}
			events := h.kept()
			if len(events) != 1 {
				t.Fatalf("%d events are kept, want 1", len(events))
			}
			want := "as it was"
			if c.name == "found" {
				want = "Zoë"
			}
			if got := events[0].Params["callerid_name"]; got != want {
				t.Errorf("the event has callerid_name %q, want %q", got, want)
			}
			if got := events[0].Params["callerid"]; got != "+442079460142" {
				t.Errorf("the event has callerid %q, want E.164", got)
			}
		})
	}
}

// TestRefused checks invalid points and arguments: the dialplan gets ERROR, the log names the cause and
// the channel, and no event is made.
func TestRefused(t *testing.T) {
	h := build(t, wait.Limit, nil, nil)
	for _, c := range []struct{ point, arg, log string }{
		{"queue-dail", "queue_id=500", "queue-dail"},
		{"queue-dial", "queue=500", `unknown argument \"queue\"`},
		{"queue-dial", "500", "not name=value"},
		{"queue-dial", "queue_id=500,country=XX", "country is not"},
		{"queue-dial", "queue_id=500,charset=martian", "charset is unknown"},
	} {
		if got := h.ask(c.point, nil, strings.Split(c.arg, ",")...); got != "RINGHOOK_STATUS=ERROR" {
			t.Errorf("%s(%s) set %s, want ERROR and nothing else", c.point, c.arg, got)
		}
		if log := h.log.String(); !strings.Contains(log, c.log) || !strings.Contains(log, "channel=PJSIP/trunk-1") {
			t.Errorf("the log does not name %s and the channel:\n%s", c.log, log)
		}
	}
	if got := h.keptNames(); got != "" {
		t.Errorf("events %s were made", got)
	}
}

// TestCountry checks that national numbers of a trunk are parsed by the plan of its country.
func TestCountry(t *testing.T) {
	h := build(t, wait.Limit, nil, nil)
	h.ask("queue-dial", nil, "queue_id=500", "country=IT") // Italian numbers keep a leading zero
	if got := h.kept()[0].Params["callerid"]; got != "+3902079460142" {
		t.Errorf("callerid %v, want it read as Italian", got)
	}
}

// TestNoSourceAsked checks callers about whom no source is asked: the event has the reason.
func TestNoSourceAsked(t *testing.T) {
	h := build(t, wait.Limit, func(http.ResponseWriter, *http.Request) { t.Error("the source was asked") }, nil)
	for number, want := range map[string]string{"": "", "anonymous": "anonymous", "12": "short", "999": "emergency"} {
		id := "7." + number
		result, err := asterisk.Call(wait.Context(t), h.addr, asterisk.CallRequest{
			Env: fastagi.Env{Point: "queue-dial", UniqueID: id, CallerNum: number, Args: []string{"queue_id=500", "linkedid=" + id, "visit=", "ring="}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if last := result.Set[len(result.Set)-1]; last.Value != "NOTFOUND" {
			t.Errorf("caller %q: %s=%s, want NOTFOUND", number, last.Name, last.Value)
		}
		events := h.kept()
		if got := fmt.Sprint(events[len(events)-1].Params["callerid_kind"]); want != "" && got != want {
			t.Errorf("caller %q: callerid_kind %s, want %s", number, got, want)
		}
	}
}

// TestLate checks a CRM that answers after the budget: the call continues with TIMEOUT, and the next call
// gets the answer.
func TestLate(t *testing.T) {
	t.Parallel()
	release, answered := make(chan struct{}), make(chan struct{})
	h := build(t, 2*time.Second, func(w http.ResponseWriter, _ *http.Request) {
		defer close(answered)
		<-release
		io.WriteString(w, "call_info=gold")
	}, nil)
	if got := h.ask("queue-dial", nil, "queue_id=500"); got != "__RINGHOOK_VISIT=1.1/1/500; RINGHOOK_STATUS=TIMEOUT" {
		t.Errorf("set %s, want TIMEOUT", got)
	}
	close(release)
	<-answered
	wait.Until(t, func() bool {
		return strings.HasPrefix(h.ask("queue-dial", nil, "queue_id=500"), "__call_info=gold;")
	}, "the next call does not get the late answer")
	if got := h.keptNames(); got != "queue-dial" {
		t.Errorf("events %s, want one queue-dial however often it was asked", got)
	}
}

// TestHangupDuringLookup checks that the wait ends when the caller hangs up, and that the event is stored.
// The CRM answers only after the session.
func TestHangupDuringLookup(t *testing.T) {
	asked, release, hangup := make(chan struct{}), make(chan struct{}), make(chan struct{})
	h := build(t, wait.Limit, func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
	}, nil)
	go func() {
		<-asked
		close(hangup)
	}()
	got := h.ask("queue-dial", hangup, "queue_id=500")
	close(release)
	if got != "__RINGHOOK_VISIT=1.1/1/500; RINGHOOK_STATUS=TIMEOUT" {
		t.Errorf("set %s, want TIMEOUT", got)
	}
	if got := h.keptNames(); got != "queue-dial" {
		t.Errorf("events %s, want queue-dial", got)
	}
}

// brokenJournal is a journal on a disk that fails.
type brokenJournal struct {
	dialplan.Journal
	mu     sync.Mutex
	broken bool
}

func (j *brokenJournal) Queue(ctx context.Context, r dialplan.Record) (dialplan.Commit, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return nil, errors.New("disk is full")
	}
	return j.Journal.Queue(ctx, r)
}

// TestNotKept checks a disk that fails: the dialplan gets no status, and a repeat after the disk has
// recovered makes the event.
func TestNotKept(t *testing.T) {
	var j *brokenJournal
	h := build(t, wait.Limit, answer("call_info=gold"), func(sound dialplan.Journal) dialplan.Journal {
		j = &brokenJournal{Journal: sound, broken: true}
		return j
	})
	if got := h.ask("queue-dial", nil, "queue_id=500"); got != "__call_info=gold; __RINGHOOK_VISIT=1.1/1/500" {
		t.Errorf("set %s, want no RINGHOOK_STATUS", got)
	}
	if log := h.log.String(); !strings.Contains(log, "disk is full") || !strings.Contains(log, "linkedid=1.1") {
		t.Errorf("the log does not have the cause and the call:\n%s", log)
	}
	j.mu.Lock()
	j.broken = false
	j.mu.Unlock()
	if got := h.ask("queue-dial", nil, "queue_id=500"); !strings.HasSuffix(got, "RINGHOOK_STATUS=FOUND") {
		t.Errorf("set %s, want FOUND", got)
	}
	events := h.kept()
	if len(events) != 1 || events[0].Seq != 1 {
		t.Errorf("kept %+v, want queue-dial with seq 1", events)
	}

	// The marker of an end that may be lost must not be on the channel: the next report comes from it.
	j.mu.Lock()
	j.broken = true
	j.mu.Unlock()
	if got := h.ask("queue-hangup", nil, "visit=1.1/1/500"); got != "" {
		t.Errorf("set %s, want nothing", got)
	}
	j.mu.Lock()
	j.broken = false
	j.mu.Unlock()
	if got := h.ask("queue-hangup", nil, "visit=1.1/1/500"); got != "RINGHOOK_VISIT=1.1/1/500/end; RINGHOOK_STATUS=OK" {
		t.Errorf("set %s, want the end and OK", got)
	}
	if got := h.keptNames(); !strings.HasPrefix(got, "queue-dial queue-hangup") {
		t.Errorf("kept %s, want queue-dial and queue-hangup", got)
	}
}

// TestNotKeptIsCounted checks the log of a disk that is full while calls go on: the first event that is not kept has a line
// with its cause, and the others are counted in one.
func TestNotKeptIsCounted(t *testing.T) {
	h := build(t, wait.Limit, nil, func(sound dialplan.Journal) dialplan.Journal {
		return &brokenJournal{Journal: sound, broken: true}
	})
	const calls = 40
	for n := range calls {
		h.ask("queue-dial", nil, "queue_id=500", fmt.Sprint("linkedid=1.", n))
	}
	if n := strings.Count(h.log.String(), "disk is full"); n != 1 {
		t.Errorf("%d calls have %d lines, want 1:\n%s", calls, n, h.log.String())
	}
	if err := h.d.Close(); err != nil {
		t.Error(err)
	}
	if log := h.log.String(); strings.Count(log, "disk is full") != 2 || !strings.Contains(log, fmt.Sprint("repeated=", calls-1)) {
		t.Errorf("the others are not counted in one line:\n%s", log)
	}
}

// panicJournal panics at the first record.
type panicJournal struct {
	dialplan.Journal
	once sync.Once
}

func (j *panicJournal) Queue(ctx context.Context, r dialplan.Record) (dialplan.Commit, error) {
	j.once.Do(func() { panic("a bug") })
	return j.Journal.Queue(ctx, r)
}

// TestPanic checks that after a panic only its session fails, and the call's other points are answered
// (F38).
func TestPanic(t *testing.T) {
	h := build(t, wait.Limit, nil, func(sound dialplan.Journal) dialplan.Journal { return &panicJournal{Journal: sound} })
	if got := h.ask("queue-dial", nil, "queue_id=500"); got != "" {
		t.Errorf("set %s, want nothing", got)
	}
	if got := h.ask("queue-dial", nil, "queue_id=500"); !strings.HasSuffix(got, "RINGHOOK_STATUS=OK") {
		t.Errorf("set %s, want OK", got)
	}
	if got := h.keptNames(); got != "queue-dial" {
		t.Errorf("events %s, want queue-dial", got)
	}
}

// slowJournal is a journal on a disk on which no sync returns before the test calls sync.
type slowJournal struct {
	dialplan.Journal
	queued chan *slowCommit // in order

	mu     sync.Mutex
	synced bool // records no longer wait
	held   []*slowCommit
}

type slowCommit struct {
	record dialplan.Record
	done   chan struct{}
	due    []hooks.Delivery
	err    error
}

func (c *slowCommit) Wait(ctx context.Context) ([]hooks.Delivery, error) {
	select {
	case <-c.done:
		return c.due, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (j *slowJournal) Queue(ctx context.Context, r dialplan.Record) (dialplan.Commit, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.synced {
		return j.Journal.Queue(ctx, r)
	}
	c := &slowCommit{record: r, done: make(chan struct{})}
	j.held = append(j.held, c)
	j.queued <- c
	return c, nil
}

func (j *slowJournal) Barrier(ctx context.Context) error {
	j.mu.Lock()
	held := j.held
	j.mu.Unlock()
	for _, c := range held {
		if _, err := c.Wait(ctx); errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return j.Journal.Barrier(ctx)
}

// sync ends the wait of all records. If lose is true, the first of them is lost.
func (j *slowJournal) sync(t *testing.T, lose bool) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.synced = true
	for i, c := range j.held {
		if lose && i == 0 {
			c.record.Lineage.Break()
		}
		if c.record.Lineage.Broken() {
			c.err = errors.New("disk is lost")
			close(c.done)
			continue
		}
		queued, err := j.Journal.Queue(t.Context(), c.record)
		if err == nil {
			c.due, err = queued.Wait(t.Context())
		}
		if err != nil {
			t.Error(err)
		}
		c.err = err
		close(c.done)
	}
}

func buildSlow(t *testing.T, budget time.Duration) (*house, *slowJournal) {
	t.Helper()
	j := &slowJournal{queued: make(chan *slowCommit, 100)}
	return build(t, budget, nil, func(sound dialplan.Journal) dialplan.Journal {
		j.Journal = sound
		return j
	}), j
}

// TestKeptLate checks a commit for which the call no longer waits. While its outcome is not known, the same
// point is not answered OK. After that it is a new event if the record was lost, and a repeat if it was
// stored.
func TestKeptLate(t *testing.T) {
	for _, lose := range []bool{true, false} {
		t.Run(fmt.Sprintf("lost %v", lose), func(t *testing.T) {
			h, j := buildSlow(t, wait.Limit)
			h.d.WaitForCommits(50 * time.Millisecond)
			for range 2 {
				if got := h.ask("queue-dial", nil, "queue_id=500"); strings.Contains(got, "RINGHOOK_STATUS") {
					t.Errorf("set %s while the outcome was not known, want no RINGHOOK_STATUS", got)
				}
			}
			if len(j.queued) != 1 {
				t.Errorf("%d records are queued, want only that of the first", len(j.queued))
			}
			j.sync(t, lose)
			wait.Until(t, func() bool {
				return strings.HasSuffix(h.ask("queue-dial", nil, "queue_id=500"), "RINGHOOK_STATUS=OK")
			}, "the point is not answered OK")
			if got := h.keptNames(); got != "queue-dial" {
				t.Errorf("events %q, want queue-dial once", got)
			}
		})
	}
}

// silentJournal is a journal on a disk that hangs: what becomes of a record is not known.
type silentJournal struct{ dialplan.Journal }

func (silentJournal) Queue(context.Context, dialplan.Record) (dialplan.Commit, error) {
	return silentCommit{}, nil
}

type silentCommit struct{}

func (silentCommit) Wait(context.Context) ([]hooks.Delivery, error) {
	return nil, context.DeadlineExceeded
}

// TestRefusalsAreCounted checks that points that are refused, each for another reason that a call brings, do not write a line each
// to the log.
func TestRefusalsAreCounted(t *testing.T) {
	h := build(t, wait.Limit, nil, nil)
	for i := range 20 {
		h.ask("event", nil, fmt.Sprintf("name=02079460%03d!", i))
		h.ask(fmt.Sprintf("point-%d", i), nil)
		h.ask("queue-dial", nil, fmt.Sprintf("from-%d=x", i))
	}
	closed(t, "dialplan", h.d.Close())
	if text := h.log.String(); strings.Count(text, "request rejected") != 6 || strings.Count(text, "repeated=19") != 3 {
		t.Errorf("the log has not the first line of each kind and a summary of the others: %s", text)
	}
}

// TestHangingDiskLog checks that a disk that hangs does not write a line for each point to the log.
func TestHangingDiskLog(t *testing.T) {
	h := build(t, wait.Limit, nil, func(sound dialplan.Journal) dialplan.Journal { return silentJournal{sound} })
	for i := range 20 {
		h.ask("event", nil, "name=survey", fmt.Sprintf("key=%d", i))
	}
	closed(t, "dialplan", h.d.Close())
	if text := h.log.String(); strings.Count(text, "outcome of a late commit is not known") != 2 || !strings.Contains(text, "repeated=19") {
		t.Errorf("the log has not the first line and a summary of the others: %s", text)
	}
}

// TestBurst checks a queue that rings 60 phones at once, and the end of the call, on a disk with a slow
// sync: all share the next commit, none is answered before it, and none is lost.
func TestBurst(t *testing.T) {
	for _, lose := range []bool{false, true} {
		t.Run(fmt.Sprintf("lost %v", lose), func(t *testing.T) {
			h, j := buildSlow(t, wait.Limit)
			answers := make(chan string, 100)
			var all sync.WaitGroup
			ask := func(point string, args ...string) {
				all.Go(func() { answers <- h.ask(point, nil, args...) })
			}
			ask("queue-dial", "queue_id=500")
			first := <-j.queued
			for n := range 60 {
				ask("agent-dial", fmt.Sprint("agent_phone=", 100+n), "visit=1.1/1/500", "ring=")
			}
			for range 60 {
				<-j.queued
			}
			ask("call-hangup")
			last := <-j.queued
			if len(first.record.Events) != 1 || first.record.Events[0].Event.Name != "queue-dial" || len(answers) > 0 {
				t.Errorf("%d points were answered before a commit", len(answers))
			}
			if n := len(last.record.Events); last.record.Events[n-1].Event.Name != "call-hangup" {
				t.Errorf("the last record ends with %s, want call-hangup", last.record.Events[n-1].Event.Name)
			}
			j.sync(t, lose)
			all.Wait()
			close(answers)
			ok := 0
			for got := range answers {
				if strings.HasSuffix(got, "RINGHOOK_STATUS=OK") {
					ok++
				}
			}
			count := map[string]int{}
			for _, ev := range h.kept() {
				count[ev.Name]++
			}
			if lose {
				if ok != 0 || len(count) != 0 {
					t.Errorf("%d points were answered OK and %v kept, though the record before them was lost", ok, count)
				}
				if got := h.ask("queue-dial", nil, "queue_id=500"); !strings.HasSuffix(got, "RINGHOOK_STATUS=OK") || h.keptNames() != "queue-dial" {
					t.Errorf("asked again: set %s, kept %s", got, h.keptNames())
				}
				return
			}
			want := map[string]int{"queue-dial": 1, "agent-dial": 60, "agent-cancel": 60, "queue-hangup": 1, "call-hangup": 1}
			if ok != 62 || !maps.Equal(count, want) {
				t.Errorf("%d of 62 points were answered OK and %v kept, want %v", ok, count, want)
			}
		})
	}
}

// TestTogether checks concurrent reports of the end of a call on many connections: each event is made once,
// with seq without gaps, the final one last.
func TestTogether(t *testing.T) {
	h := build(t, wait.Limit, nil, nil)
	h.ask("queue-dial", nil, "queue_id=500")
	h.ask("agent-dial", nil, "agent_phone=101")
	h.ask("agent-answer", nil, "agent_phone=101")
	var all sync.WaitGroup
	for range 8 {
		for _, point := range []string{"agent-hangup", "queue-hangup", "call-hangup"} {
			all.Go(func() { h.ask(point, nil, "agent_phone=101", "ring=1.1/1/101", "visit=1.1/1/500") })
		}
	}
	all.Wait()
	seen := map[string]int{}
	events := h.kept()
	for i, ev := range events {
		seen[ev.Name]++
		if ev.Seq != i+1 {
			t.Errorf("event %d has seq %d", i+1, ev.Seq)
		}
	}
	if got := fmt.Sprint(seen); got != "map[agent-answer:1 agent-dial:1 agent-hangup:1 call-hangup:1 queue-dial:1 queue-hangup:1]" {
		t.Errorf("events %s", got)
	}
	if last := events[len(events)-1]; last.Name != "call-hangup" || !last.Final {
		t.Errorf("the last event is %s, final %v", last.Name, last.Final)
	}
}

// TestNothingRead checks that nothing is read from the channel if all arguments are passed: its variables
// have other values.
func TestNothingRead(t *testing.T) {
	h := build(t, wait.Limit, nil, nil)
	h.ask("queue-dial", nil, "queue_id=500", "linkedid=9.9", "visit=", "ring=")
	if ev := h.kept()[0]; ev.LinkedID != "9.9" {
		t.Errorf("linkedid %s, want the argument's", ev.LinkedID)
	}
}

// TestOneCallWithoutEnd checks a call that rings hundreds of phones with long names: its stored state is
// bounded, and its points are answered.
func TestOneCallWithoutEnd(t *testing.T) {
	h := build(t, wait.Limit, nil, nil)
	long := strings.Repeat("x", 6000)
	for i := range 80 {
		for _, args := range [][]string{
			{"agent-dial", fmt.Sprint("agent_phone=", i, long), "agent_id=" + long, "agent_name=" + long},
			{"queue-dial", fmt.Sprint("queue_id=", i, long), "queue_name=" + long},
			{fmt.Sprint("event?name=e", i), "ivr=" + long},
		} {
			// If the disk is busy for longer than a call waits, the next attempt succeeds.
			for tries := 20; ; tries-- {
				got := h.ask(args[0], nil, append(args[1:], "visit=", "ring=")...)
				if strings.HasSuffix(got, "RINGHOOK_STATUS=OK") {
					break
				} else if tries == 0 {
					t.Fatalf("%s %d: set %.200s, want OK", args[0], i, got)
				}
			}
		}
	}
	state, _, err := h.st.Journal().Call("1.1", time.Time{})
	if err != nil || len(state) == 0 || len(state) > 1<<20 {
		t.Errorf("%d bytes are stored for the call, %v", len(state), err)
	}
	var kept struct{ Visits, Rings []any }
	if err := json.Unmarshal(state, &kept); err != nil || len(kept.Rings) != 64 || len(kept.Visits) != 64 {
		t.Errorf("%d phones and %d visits are stored for the call, want 64 of each (%v)", len(kept.Rings), len(kept.Visits), err)
	}
	for _, ev := range h.kept() {
		for name, v := range ev.Params {
			if text, ok := v.(string); ok && len(text) > 4096 {
				t.Errorf("%s of %s has %d bytes", name, ev.Name, len(text))
			}
		}
	}
}

// TestTestCall checks that the events of a test client have test = true, that a quiet client makes none, and
// that a similar agi_version is a normal call.
func TestTestCall(t *testing.T) {
	for _, c := range []struct {
		version string
		events  int
		test    any
	}{
		{dialplan.TestVersion, 1, true},
		{dialplan.QuietVersion, 0, nil},
		{"22", 1, nil},
		{"ringhook tests", 1, nil},
	} {
		t.Run(c.version, func(t *testing.T) {
			h := build(t, wait.Limit, nil, nil)
			result, err := asterisk.Call(t.Context(), h.addr, asterisk.CallRequest{
				Env:       fastagi.Env{Point: "call-dial", Channel: "PJSIP/trunk-1", UniqueID: "1.1", Version: c.version, CallerNum: "02079460142"},
				Variables: map[string]string{"CHANNEL(linkedid)": "1.1"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := len(result.Set); n == 0 || result.Set[n-1] != (fastagi.Variable{Name: "RINGHOOK_STATUS", Value: "OK"}) {
				t.Errorf("call-dial set %v, want RINGHOOK_STATUS=OK last", result.Set)
			}
			kept := h.kept()
			if len(kept) != c.events {
				t.Fatalf("%d events kept, want %d", len(kept), c.events)
			}
			for _, ev := range kept {
				if ev.Params["test"] != c.test {
					t.Errorf("event %s has test = %v, want %v", ev.Name, ev.Params["test"], c.test)
				}
			}
		})
	}
}

// line is an AGI() line on one of several Asterisks.
type line struct{ entity, number, channel, point, args, uniqueid string }

func (h *house) on(l line) {
	h.t.Helper()
	result, err := asterisk.Call(wait.Context(h.t), h.addr, asterisk.CallRequest{
		Env: fastagi.Env{
			Point: l.point, Channel: l.channel, UniqueID: cmp.Or(l.uniqueid, "1768469400.1"), Version: "22", CallerNum: l.number, Args: strings.Split(l.args, ","),
		},
		Variables: map[string]string{"ENTITYID": l.entity},
	})
	if err != nil || len(result.Set) == 0 || result.Set[len(result.Set)-1].Value != "OK" {
		h.t.Fatalf("%+v: set %v, %v", l, result.Set, err)
	}
}

// TestTwoAsterisks checks two Asterisks without a system name that produce the same linkedid at the same
// time: the events of each caller are made, with the right number.
func TestTwoAsterisks(t *testing.T) {
	for _, c := range []struct {
		name        string
		first, then line
		lookalike   bool // only the channel distinguishes the two
	}{
		{name: "by entity", first: line{entity: "02:00:00:00:00:01", channel: "PJSIP/trunk-00000001"}, then: line{entity: "02:00:00:00:00:02", channel: "PJSIP/trunk-00000001"}},
		{name: "by argument", first: line{entity: "e", channel: "PJSIP/trunk-00000001", args: "server=left"}, then: line{entity: "e", channel: "PJSIP/trunk-00000001", args: "server=right"}},
		{name: "copies of one machine", first: line{entity: "e", channel: "PJSIP/trunk-00000001"}, then: line{entity: "e", channel: "PJSIP/other-00000001"}, lookalike: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := build(t, wait.Limit, nil, nil)
			c.first.number, c.then.number = "02079460142", "02079460143"
			for _, point := range []string{"queue-dial", "call-hangup"} {
				for _, l := range []line{c.first, c.then} {
					l.point, l.args = point, strings.Trim(l.args+",queue_id=500", ",")
					h.on(l)
				}
			}
			count := map[string]int{}
			uuids := map[any]any{}
			for _, ev := range h.kept() {
				count[fmt.Sprint(ev.Name, " ", ev.Params["callerid"])]++
				if ev.LinkedID != "1768469400.1" {
					t.Errorf("%s has linkedid %s", ev.Name, ev.LinkedID)
				}
				uuids[ev.Params["call_uuid"]] = ev.Params["callerid"]
			}
			for _, number := range []string{"+442079460142", "+442079460143"} {
				for _, event := range []string{"queue-dial", "queue-hangup", "call-hangup"} {
					if got := count[event+" "+number]; got != 1 {
						t.Errorf("%d %s of %s, want 1; all: %v", got, event, number, count)
					}
				}
			}
			if len(uuids) != 2 {
				t.Errorf("call_uuid does not distinguish the calls: %v", uuids)
			}
			if warned := strings.Contains(h.log.String(), "two Asterisks use the same linkedid"); warned != c.lookalike {
				t.Errorf("warned: %v, want %v:\n%s", warned, c.lookalike, h.log)
			}
		})
	}
}

// TestTwoAsterisksAtPointsThatReadNothing checks points that are given all that they would read, except the name of their
// Asterisk: each caller has his own call, whatever distinguishes the two.
func TestTwoAsterisksAtPointsThatReadNothing(t *testing.T) {
	left := line{entity: "left", channel: "PJSIP/trunk-00000001", number: "02079460142"}
	right := line{entity: "right", channel: "PJSIP/trunk-00000001", number: "02079460143"}
	for _, c := range []struct {
		name        string
		left, right line
	}{
		{name: "another number", left: left, right: right},
		{name: "another channel", left: left, right: line{entity: "right", channel: "PJSIP/trunk-00000002", number: left.number}},
		{name: "another trunk", left: left, right: line{entity: "right", channel: "PJSIP/beta-00000009", number: right.number}},
		{name: "withheld", left: line{entity: "left", channel: left.channel}, right: line{entity: "right", channel: left.channel}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := build(t, wait.Limit, nil, nil)
			for _, args := range []string{"name=first", "name=second"} {
				for who, l := range map[string]line{"left": c.left, "right": c.right} {
					l.point, l.args = "event", "linkedid=1768469400.1,who="+who+","+args
					h.on(l)
					l.point, l.args = "call-dial", "linkedid=1768469400.1"
					h.on(l)
				}
			}
			uuids := map[any]any{}
			count := map[string]int{}
			for _, ev := range h.kept() {
				count[ev.Name]++
				who, uuid := ev.Params["who"], ev.Params["call_uuid"]
				if who == nil {
					continue
				}
				if uuids[uuid] == nil {
					uuids[uuid] = who
				}
				if uuids[uuid] != who {
					t.Errorf("%s of %v is in the call of %v", ev.Name, who, uuids[uuid])
				}
			}
			if len(uuids) != 2 || count["call-dial"] != 2 || count["first"] != 2 || count["second"] != 2 {
				t.Errorf("%d calls, events %v, want 2 calls with each event", len(uuids), count)
			}
		})
	}
}

// TestKnownAsteriskIsNotRead checks that the later points of a channel that are given all that they would read, except the
// name of their Asterisk, do not read it: here it would be another one each time.
func TestKnownAsteriskIsNotRead(t *testing.T) {
	h := build(t, wait.Limit, nil, nil)
	for n := range 3 {
		h.on(line{
			entity: fmt.Sprint("e", n), number: "02079460142", channel: "PJSIP/trunk-1", point: "event", args: fmt.Sprint("linkedid=1768469400.1,name=e", n),
		})
	}
	uuids := map[any]bool{}
	for _, ev := range h.kept() {
		uuids[ev.Params["call_uuid"]] = true
	}
	if len(uuids) != 1 {
		t.Errorf("%d calls, want one", len(uuids))
	}
}

// TestLookupOfTwoAsterisks checks that a point whose Asterisk is known from an earlier one goes on with its own call, although
// another Asterisk's call of the linkedid began during its lookup.
func TestLookupOfTwoAsterisks(t *testing.T) {
	var h *house
	h = build(t, wait.Limit, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "142") {
			h.on(line{entity: "right", number: "02079460143", channel: "PJSIP/trunk-1", point: "call-dial"})
		}
		io.WriteString(w, "call_info=gold")
	}, nil)
	left := line{entity: "left", number: "02079460142", channel: "PJSIP/trunk-1", point: "call-dial", args: "linkedid=1768469400.1"}
	h.on(left)
	_, err := asterisk.Call(wait.Context(t), h.addr, asterisk.CallRequest{
		Env: fastagi.Env{Point: "lookup", Channel: left.channel, UniqueID: "1768469400.1", Version: "22", CallerNum: left.number, Args: []string{left.args}},
	})
	if err != nil {
		t.Fatal(err)
	}
	left.point, left.args = "event", "name=after"
	h.on(left)
	events := h.kept()
	if after := events[len(events)-1]; after.Name != "after" || after.Params["call_info"] != "gold" {
		t.Errorf("%s has call_info %v, want that of its own lookup", after.Name, after.Params["call_info"])
	}
}

// TestPhonesOfTwoAsterisks checks the agents' channels of two copies of one machine: each belongs to the call of its
// caller, also if the calls are read from the journal again.
func TestPhonesOfTwoAsterisks(t *testing.T) {
	for _, restart := range []bool{false, true} {
		h := build(t, 10*time.Second, nil, nil)
		callers := map[string]line{
			"+442079460142": {entity: "e", number: "02079460142", channel: "PJSIP/trunk-00000001"},
			"+442079460143": {entity: "e", number: "02079460143", channel: "PJSIP/other-00000001"},
		}
		numbers := slices.Sorted(maps.Keys(callers))
		ask := func(caller, point, uniqueid, channel, args string) {
			l := callers[caller]
			l.point, l.args = point, args
			if channel != "" {
				l.uniqueid, l.channel, l.args = uniqueid, channel, args+",linkedid=1768469400.1"
			}
			if point == "agent-answer" { // on the phone's own channel
				l.args += ",connected=" + l.number
				l.number = "101"
			}
			h.on(l)
			if restart {
				h.d.Forget()
			}
		}
		for _, step := range []struct{ point, uniqueid, channel, args string }{
			{"queue-dial", "", "", "queue_id=500"},
			{"agent-dial", "1768469401.3", "Local/101@agents-00000001;2", "agent_phone=101"},
			{"agent-answer", "1768469401.4", "PJSIP/101-00000002", "agent_phone=101"},
			{"agent-hangup", "1768469401.3", "Local/101@agents-00000001;2", "agent_phone=101,status=ANSWER"},
			{"call-hangup", "", "", ""},
		} {
			for _, caller := range numbers {
				ask(caller, step.point, step.uniqueid, step.channel, step.args)
			}
		}
		got := map[string][]string{}
		for _, ev := range h.kept() {
			caller := fmt.Sprint(ev.Params["callerid"])
			got[caller] = append(got[caller], ev.Name)
		}
		for _, caller := range numbers {
			if want := "queue-dial agent-dial agent-answer agent-hangup queue-hangup call-hangup"; strings.Join(got[caller], " ") != want {
				t.Errorf("read again %v: events of %s: %v, want %s", restart, caller, got[caller], want)
			}
		}
	}
}

// TestReportsOfTwoAsterisks checks the reports of two copies of one machine by the manager interface: each caller has his own
// call, whatever distinguishes the two, also if the calls are read from the journal again.
func TestReportsOfTwoAsterisks(t *testing.T) {
	left := dialplan.First{Name: "PJSIP/trunk-00000004", Number: "02079460142"}
	for name, right := range map[string]dialplan.First{
		"another channel and number": {Name: "PJSIP/beta-00000009", Number: "02079460143"},
		"another number":             {Name: left.Name, Number: "02079460143"},
		"another channel":            {Name: "PJSIP/beta-00000009", Number: left.Number},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", read again ", restart), func(t *testing.T) {
				h := build(t, wait.Limit, nil, nil)
				report := func(server string, first *dialplan.First, r dialplan.Report) {
					t.Helper()
					r.At, r.Call, r.Server, r.First = time.Now(), dialplan.NewIdentity("1768469400.1", "e", ""), server, first
					r.Caller = &dialplan.Caller{}
					if first != nil {
						r.Caller.Number = first.Number
					}
					if got := h.d.Report(wait.Context(t), &r); got != dialplan.ReportMade {
						t.Errorf("%s of %s is %s", r.Point, server, got)
					}
					h.d.WaitForReports()
					if restart {
						h.d.Forget()
					}
				}
				both := func(point dialplan.Point, channel string) {
					t.Helper()
					for server, first := range map[string]*dialplan.First{"left": &left, "right": &right} {
						if channel != "1768469400.1" {
							first = nil // it has hung up
						}
						report(server, first, dialplan.Report{Point: point, Channel: channel, Phone: channel, Args: map[string]string{"agent_phone": server}})
					}
				}
				both(dialplan.CallAnswer, "1768469400.1")
				both(dialplan.AgentDial, "1768469401.3")
				both(dialplan.CallHangup, "1768469400.1")
				phones, uuids := map[string]string{}, map[any]bool{}
				for _, ev := range h.kept() {
					phone, uuid := fmt.Sprint(ev.Params["agent_phone"]), ev.Params["call_uuid"]
					phones[fmt.Sprint(ev.Name, " ", ev.Params["callerid"], " ", uuid)] = phone
					uuids[uuid] = true
				}
				if len(phones) != 8 || len(uuids) != 2 { // each call-hangup is preceded by the end of the ring
					t.Errorf("%d calls with %v, want two with call-answer, agent-dial, agent-cancel and call-hangup each", len(uuids), phones)
				}
				if !strings.Contains(h.log.String(), "two Asterisks use the same linkedid") {
					t.Errorf("no warning:\n%s", h.log)
				}
			})
		}
	}
}

// TestReportOfUnknownTwin checks that the end of a call of which no point was asked does not end that of another Asterisk.
func TestReportOfUnknownTwin(t *testing.T) {
	h := build(t, wait.Limit, nil, nil)
	h.on(line{entity: "e", number: "02079460142", channel: "PJSIP/trunk-00000004", point: "call-dial"})
	end := func(server, channel, number string) dialplan.ReportOutcome {
		defer h.d.WaitForReports()
		return h.d.Report(wait.Context(t), &dialplan.Report{
			Point: dialplan.CallHangup, At: time.Now(), Call: dialplan.NewIdentity("1768469400.1", "e", ""), Channel: "1768469400.1",
			Server: server, First: &dialplan.First{Name: channel, Number: number},
		})
	}
	if got := end("right", "PJSIP/beta-00000009", "02079460143"); got != dialplan.ReportUnknown {
		t.Errorf("the end of a call without points is %s", got)
	}
	// A table that has reported the first channel as the point did is that of the call: one difference is enough for another's.
	if got := h.d.Report(wait.Context(t), &dialplan.Report{
		Point: dialplan.CallAnswer, At: time.Now(), Call: dialplan.NewIdentity("1768469400.1", "e", ""), Channel: "1768469400.1",
		Server: "left", First: &dialplan.First{Name: "PJSIP/trunk-00000004", Number: "02079460142"},
	}); got != dialplan.ReportMade {
		t.Errorf("the answer is %s", got)
	}
	h.d.WaitForReports()
	h.d.Forget()
	if got := end("right", "PJSIP/trunk-00000004", "02079460143"); got != dialplan.ReportUnknown {
		t.Errorf("the end of another Asterisk's call with the same channel is %s", got)
	}
	if got := end("left", "PJSIP/trunk-00000004", "02079460142"); got != dialplan.ReportMade {
		t.Errorf("the end of the call is %s", got)
	}
}

// TestIdentityAfterRestart checks that a call that began before an upgrade continues, and also one whose
// later points read nothing from the channel.
func TestIdentityAfterRestart(t *testing.T) {
	t.Run("upgrade", func(t *testing.T) {
		h := build(t, wait.Limit, nil, nil)
		state := `{"linkedid":"1768469400.1","direction":"incoming","began":"2026-03-02T09:00:00Z","seq":1,"known":{"callerid":"+442079460142"},
			"visits":[{"marker":{"uniqueid":"1768469400.1","n":1,"what":"500"},"began":"2026-03-02T09:00:00Z"}]}`
		if _, err := h.st.Journal().Keep(t.Context(), dialplan.Record{Call: "1768469400.1", State: []byte(state)}); err != nil {
			t.Fatal(err)
		}
		h.on(line{entity: "e", number: "02079460142", channel: "PJSIP/trunk-1", point: "queue-dial", args: "queue_id=500"})
		if got := h.keptNames(); got != "" {
			t.Errorf("events %s, want none: the visit had begun", got)
		}
	})
	t.Run("nothing read", func(t *testing.T) {
		h := build(t, wait.Limit, nil, nil)
		h.on(line{entity: "e", number: "02079460142", channel: "PJSIP/trunk-1", point: "queue-dial", args: "queue_id=500"})
		h.d.Forget()
		h.on(line{entity: "e", number: "02079460142", channel: "PJSIP/trunk-1", point: "queue-dial", args: "queue_id=500,linkedid=1768469400.1,visit=,ring=,recording_file="})
		if got := h.keptNames(); got != "queue-dial" {
			t.Errorf("events %s, want one queue-dial", got)
		}
	})
}
