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

	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
	"ringhook/test/wait"
)

// received holds the deliveries of one event to a receiver.
type received struct {
	ID       string `json:"event_id"`
	Event    string `json:"event"`
	LinkedID string `json:"linkedid"`
	Seq      int    `json:"seq"`
	First    string `json:"first"` // what the answer to the call's first event left, where a hook remembers it
	Last     string `json:"last"`  // what the answer to the event before this one left, where a hook remembers it
}

// ledger is the model of T-CRASH-01: the events that were answered OK, and those that arrived.
type ledger struct {
	t        *testing.T
	mu       sync.Mutex
	promised map[string]bool     // by call and event
	came     map[string]received // by call and event
	ids      map[string]string   // call and event by id
	last     map[string]received // a call's last first delivery
	arrived  chan struct{}
	// remembers says that the later events of a call need what the answer to queue-dial leaves, and that each has what the
	// answer to the one before it left.
	remembers bool
	// answer answers a request, and may call take for its event.
	answer func(w http.ResponseWriter, r *http.Request, take func())
}

func newLedger(t *testing.T) *ledger {
	return &ledger{
		t: t, promised: map[string]bool{}, came: map[string]received{}, ids: map[string]string{}, last: map[string]received{}, arrived: make(chan struct{}, 1),
		answer: func(_ http.ResponseWriter, _ *http.Request, take func()) { take() },
	}
}

// failing answers one of twenty requests with an error, so that there are repeats.
func failing(w http.ResponseWriter, _ *http.Request, take func()) {
	if rand.IntN(20) == 0 {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	take()
}

// ServeHTTP receives an event.
func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var ev received
	if err := json.NewDecoder(r.Body).Decode(&ev); err != nil {
		l.t.Errorf("body of a delivery: %v", err)
	}
	l.answer(w, r, func() { l.take(ev) })
}

// take records an event, and checks its order and id.
func (l *ledger) take(ev received) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := ev.LinkedID + " " + ev.Event
	if before, known := l.ids[ev.ID]; known && before != key {
		l.t.Errorf("id %s came for %s and for %s", ev.ID, before, key)
	}
	l.ids[ev.ID] = key
	if l.remembers {
		l.recall(ev)
	}
	if before, twice := l.came[key]; twice {
		if before != ev {
			l.t.Errorf("%s came as %+v and as %+v", key, before, ev)
		}
	} else {
		last := l.last[ev.LinkedID]
		if ev.Seq <= last.Seq {
			l.t.Errorf("%s came with seq %d after %d", key, ev.Seq, last.Seq)
		}
		if l.remembers && ev.Last != last.ID {
			l.t.Errorf("%s came with what was left for %q, after %q", key, l.ids[ev.Last], l.ids[last.ID])
		}
		l.last[ev.LinkedID] = ev
		l.came[key] = ev
	}
	select {
	case l.arrived <- struct{}{}:
	default:
	}
}

// recall checks that an event has what the answer to its call's first event left, and nothing of another call.
func (l *ledger) recall(ev received) {
	first := ev.LinkedID + " queue-dial"
	switch {
	case ev.First != "" && l.ids[ev.First] != first:
		l.t.Errorf("%s of %s has what was left for %q", ev.Event, ev.LinkedID, l.ids[ev.First])
	case ev.First == "" && ev.Event != "queue-dial":
		l.t.Errorf("%s of %s came without what the answer to queue-dial leaves", ev.Event, ev.LinkedID)
	}
}

func (l *ledger) missing() (missing []string, promised int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.promised {
		if _, ok := l.came[key]; !ok {
			missing = append(missing, key)
		}
	}
	return missing, len(l.promised)
}

// await waits until all events that were answered OK have arrived.
func (l *ledger) await(ctx context.Context, c *process) {
	l.t.Helper()
	for {
		missing, promised := l.missing()
		if len(missing) == 0 {
			l.t.Logf("%d events were promised, and all of them came", promised)
			return
		}
		select {
		case <-l.arrived:
		case <-ctx.Done():
			l.t.Fatalf("%d of %d promised events did not come, such as %s:\n%s", len(missing), promised, missing[0], c.log)
		}
	}
}

// callPoints are the points of a whole call.
var callPoints = []string{"queue-dial", "agent-dial", "agent-answer", "agent-hangup", "queue-hangup", "call-hangup"}

// play asks points of one call, all if none is named, and records those that were answered OK. As in Asterisk, the dialplan
// continues if the server is down. It reports whether all were answered OK.
func (l *ledger) play(ctx context.Context, agi, linkedid string, points ...string) (all bool) {
	if len(points) == 0 {
		points = callPoints
	}
	all = true
	channel := newChannel(linkedid)
	for _, point := range points {
		ok := l.ask(ctx, agi, linkedid, point, channel)
		all = all && ok
	}
	return all
}

// newChannel returns the variables of a channel at the beginning of a call.
func newChannel(linkedid string) map[string]string {
	return map[string]string{"CHANNEL(linkedid)": linkedid, "DIALSTATUS": "ANSWER"}
}

// ask asks one point of a call, records it if it was answered OK, and reports whether it was.
func (l *ledger) ask(ctx context.Context, agi, linkedid, point string, channel map[string]string) (ok bool) {
	result, _ := asterisk.Call(ctx, agi, asterisk.CallRequest{
		Env:       fastagi.Env{Point: point, Channel: "PJSIP/trunk", UniqueID: linkedid, CallerNum: "+442079460142", Args: []string{"agent_phone=101", "queue_id=500"}},
		Variables: channel,
	})
	for _, v := range result.Set {
		switch v.Name {
		case "RINGHOOK_STATUS":
			ok = v.Value == "OK"
		case "__RINGHOOK_VISIT", "__RINGHOOK_RING":
			channel[v.Name[2:]] = v.Value
		default:
			channel[v.Name] = v.Value
		}
	}
	if ok {
		l.mu.Lock()
		l.promised[linkedid+" "+point] = true
		l.mu.Unlock()
	}
	return ok
}

// TestKill9 kills ringhook many times during calls, and checks that every event of a point that was
// answered OK arrives, in order within its call and with one id (F15, T-CRASH-01).
func TestKill9(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.answer = failing
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	file, agi, web := config(t, fmt.Sprintf("[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = %q\nformat = \"json\"\nschedule = \"fast\"\n", receiver.URL))

	ctx := wait.Context(t)
	calls, stop := context.WithCancel(ctx)
	var callers sync.WaitGroup
	for n := range 16 {
		callers.Go(func() {
			for i := 0; calls.Err() == nil; i++ {
				l.play(ctx, agi, fmt.Sprintf("%d.%d", n+1, i+1))
			}
		})
	}
	const enough, kills = 1500, 12
	promised := func() int {
		_, n := l.missing()
		return n
	}
	for n := 0; n < kills || promised() < enough; n++ {
		c := spawn(t, file, web)
		until := promised() + rand.IntN(2*enough/kills) // a random number of events, on any machine
		wait.Until(t, func() bool { return promised() >= until }, "nothing is promised any more:\n%s", c.log)
		c.kill()
	}
	stop()
	callers.Wait()

	c := spawn(t, file, web)
	defer c.kill()
	l.await(ctx, c)
	c.stop()
}
