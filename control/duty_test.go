package control

import (
	"errors"
	"sync"
	"testing"
	"time"

	"ringhook/store/desk"
)

// sharedDesk is a store that two nodes use.
type sharedDesk struct {
	*desk.Desk
	mu     sync.Mutex
	holder string // guarded by mu
	away   error  // why the store cannot be used; guarded by mu
}

// Shared implements Store.
func (d *sharedDesk) Shared() bool { return true }

// Hold implements Store. A hold does not end by itself.
func (d *sharedDesk) Hold(_, holder string, _ time.Duration) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away != nil {
		return false, d.away
	}
	if d.holder == "" {
		d.holder = holder
	}
	return d.holder == holder, nil
}

// SetPauseEnds implements Store.
func (d *sharedDesk) SetPauseEnds(ends ...desk.PauseEnd) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away != nil {
		return d.away
	}
	return d.Desk.SetPauseEnds(ends...)
}

// Release implements Store.
func (d *sharedDesk) Release(_, holder string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.holder == holder {
		d.holder = ""
	}
	return nil
}

// TestTwoNodes checks that the end of a pause which was given at one node is shown at the other, and that each pause is ended once:
// by the node that has the duty, and after its end by the other.
func TestTwoNodes(t *testing.T) {
	a := newExchange(t)
	a.Close()
	both := &sharedDesk{Desk: a.desk}
	a.shared = both
	a.start()
	b := &exchange{t: t, pbx: a.pbx, desk: a.desk, shared: both, calls: &heardCalls{ended: map[string]string{}}, config: a.config}
	b.start()
	anna := b.actor("7")
	b.want("log in", codes(b.Login(t.Context(), anna, LoginRequest{Agent: "7", Queues: []string{"500"}})), "500=ok")
	until := func(x *exchange) *time.Time {
		v, _ := x.Agent(anna, "7")
		for _, q := range v.Queues {
			if q.Queue == "500" {
				return q.Until
			}
		}
		return nil
	}
	paused := func(x *exchange) bool {
		v, _ := x.Agent(anna, "7")
		for _, q := range v.Queues {
			if q.Queue == "500" {
				return q.Paused
			}
		}
		return false
	}
	pause := func(end time.Time) {
		t.Helper()
		b.want("pause", codes(b.Pause(t.Context(), anna, PauseRequest{Agent: "7", Queues: []string{"500"}, Until: &end})), "500=ok")
	}
	end := time.Now().Add(time.Hour)
	pause(end)
	a.eventually("the other node shows the end", func() bool { at := until(a); return at != nil && at.Sub(end).Abs() < time.Second })
	b.want("resume", codes(b.Resume(t.Context(), anna, PauseRequest{Agent: "7", Queues: []string{"500"}})), "500=ok")
	a.eventually("the other node shows none", func() bool { return until(a) == nil })

	resumed := func() (n int) {
		list, err := a.desk.Commands(desk.CommandFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if c.Command == "resume" && c.Who == "end of the pause by agent 7" {
				n++
			}
		}
		return n
	}
	for n, last := range []bool{false, true} {
		if last {
			a.Close() // b takes the duty
		}
		pause(time.Now().Add(time.Second))
		b.eventually("the pause has ended", func() bool { return !paused(b) && resumed() > n })
		b.eventually("its end is forgotten", func() bool { ends, err := a.desk.PauseEnds(); return err == nil && len(ends) == 0 && until(b) == nil })
		if got := resumed(); got != n+1 {
			t.Errorf("%d pauses were ended, want %d", got, n+1)
		}
	}
}

// TestPauseWithoutStore checks that a pause ends that began while the store could not be used, and that the end of another one is
// stored when it can be used again.
func TestPauseWithoutStore(t *testing.T) {
	x := newExchange(t)
	x.Close()
	store := &sharedDesk{Desk: x.desk, holder: "another node", away: errors.New("away")}
	x.shared = store
	x.start()
	anna := x.actor("7")
	x.want("log in", codes(x.Login(t.Context(), anna, LoginRequest{Agent: "7", Queues: []string{"500", "600"}})), "500=ok 600=ok")
	for queue, in := range map[string]time.Duration{"500": time.Second, "600": time.Hour} {
		end := time.Now().Add(in)
		x.want("pause", codes(x.Pause(t.Context(), anna, PauseRequest{Agent: "7", Queues: []string{queue}, Until: &end})), queue+"=error")
	}
	paused := func(queue string) bool {
		v, _ := x.Agent(anna, "7")
		for _, q := range v.Queues {
			if q.Queue == queue {
				return q.Paused
			}
		}
		return false
	}
	x.eventually("one has ended", func() bool { return !paused("500") })
	if !paused("600") {
		t.Error("the other has ended")
	}
	store.mu.Lock()
	store.away = nil
	store.mu.Unlock()
	x.eventually("the end is stored", func() bool {
		ends, err := x.desk.PauseEnds()
		return err == nil && len(ends) == 1 && ends[0].Queue == "600"
	})
}
