//go:build failpoints

package test

import (
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/conf"
	"ringhook/hooks"
	"ringhook/store"
)

// recordingReceiver is a receiver that outlives ringhook, and checks every event.
type recordingReceiver struct {
	t    *testing.T
	name string
	well atomic.Bool // answers normally, whatever its name

	mu   sync.Mutex
	came map[string]arrival // by event id
	ids  map[string]string  // by call and event
	last map[string]int     // seq of a call's last first delivery
	late map[string]int     // seq of the last that came before an earlier one, by call and event of the earlier one
}

type arrival struct {
	key      string
	sum      [sha256.Size]byte
	compared bool // with what is stored
}

func newTaker(t *testing.T, name string) *recordingReceiver {
	return &recordingReceiver{t: t, name: name, came: map[string]arrival{}, ids: map[string]string{}, last: map[string]int{}, late: map[string]int{}}
}

// ServeHTTP accepts an event. By its name the receiver may refuse it, or accept it without an answer.
func (k *recordingReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // ringhook died during the request
	}
	switch {
	case k.name == "gone":
		w.WriteHeader(http.StatusGone)
		return
	case k.name == "flaky" && !k.well.Load() && rand.IntN(10) == 0:
		w.WriteHeader(http.StatusInternalServerError)
		if rand.IntN(2) == 0 {
			return
		}
	}
	k.take(body)
}

// take records an event, and checks its order, id and body.
func (k *recordingReceiver) take(body []byte) {
	var ev struct {
		received
		Mark string `json:"recording_file"`
	}
	if err := json.Unmarshal(body, &ev); err != nil {
		k.t.Errorf("%s: body of a delivery: %v", k.name, err)
		return
	}
	a := arrival{key: ev.LinkedID + " " + ev.Event, sum: sha256.Sum256(body)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if before, repeat := k.came[ev.ID]; repeat {
		if before.key != a.key || before.sum != a.sum {
			k.t.Errorf("%s: %s came as %s, and again as another: %s", k.name, ev.ID, before.key, body)
		}
		return
	}
	if id, twice := k.ids[a.key]; twice {
		k.t.Errorf("%s: %s came with the ids %s and %s", k.name, a.key, id, ev.ID)
	}
	if ev.Seq <= k.last[ev.LinkedID] {
		k.late[a.key] = k.last[ev.LinkedID]
	}
	// A later point reports what an earlier one could not.
	if !slices.ContainsFunc(crashPoints, func(point string) bool { return ev.Mark == mark(ev.LinkedID, point) }) {
		k.t.Errorf("%s: %s came with what is another's: %q", k.name, a.key, ev.Mark)
	}
	k.came[ev.ID], k.ids[a.key], k.last[ev.LinkedID] = a, ev.ID, max(ev.Seq, k.last[ev.LinkedID])
}

// checkOrder checks that only an event that was dead, by a panic, came after a later one of its call: it was replayed.
func (k *recordingReceiver) checkOrder(died map[string]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, seq := range k.late {
		if !died[key] {
			k.t.Errorf("%s: %s came after seq %d", k.name, key, seq)
			continue
		}
		k.t.Logf("%s: %s was dead, and came by a replay after seq %d", k.name, key, seq)
	}
	clear(k.late)
}

// settle removes the events that have arrived from open.
func (k *recordingReceiver) settle(open map[string]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key := range open {
		if _, ok := k.ids[key]; ok {
			delete(open, key)
		}
	}
}

// missing returns the number of events of open that have not arrived.
func (k *recordingReceiver) missing(open map[string]bool) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key := range open {
		if _, ok := k.ids[key]; !ok {
			n++
		}
	}
	return n
}

// compare compares the received bodies with those that ringhook renders from the stored events.
func (k *recordingReceiver) compare(folder, file string) {
	st, err := store.OpenTool(folder, slog.New(slog.DiscardHandler))
	if err != nil {
		return // the file has an earlier version, because ringhook died in a migration
	}
	defer st.Close()
	cfg, err := conf.Load(file)
	if err != nil {
		k.t.Fatal(err)
	}
	d, err := hooks.New(cfg.Hooks, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		k.t.Fatal(err)
	}
	list, err := st.Operator().List(store.Filter{Hook: k.name, Limit: 10_000_000})
	if err != nil {
		k.t.Error(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range list {
		a, ok := k.came[list[i].Event.ID]
		if !ok || a.compared {
			continue
		}
		p, err := d.Render(&list[i].Event, k.name)
		if err != nil || sha256.Sum256([]byte(p.Body)) != a.sum {
			k.t.Errorf("%s: %s did not come as it is stored: %v", k.name, a.key, err)
		}
		a.compared = true
		k.came[list[i].Event.ID] = a
	}
}
