//go:build e2e

package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ringhook/test/wait"
)

// busy is the number of seconds by which a step of a call may take longer on a busy machine.
const busy = 8

// event is one as the receiver got it.
type event map[string]any

func (e event) text(name string) string { s, _ := e[name].(string); return s }

// number is a parameter that counts something, -1 where it is missing.
func (e event) number(name string) int {
	f, ok := e[name].(float64)
	if !ok {
		return -1
	}
	return int(f)
}

// String is what one wants to see of an event first.
func (e event) String() string {
	shown := []string{e.text("event")}
	for _, name := range slices.Sorted(maps.Keys(e)) {
		switch name {
		case "event", "event_id", "time", "region_name", "region_time", "direction", "callerid_raw", "queue_name":
		default:
			shown = append(shown, fmt.Sprintf("%s=%.60v", name, e[name]))
		}
	}
	return strings.Join(shown, " ")
}

// receiver records the events of all calls, as a company's own system would.
type receiver struct {
	mu     sync.Mutex
	events []event
	known  map[string]bool // ids
	came   chan struct{}   // closed and replaced at each event
	wanted []wanted        // what expect found so
}

// wanted is an expectation of a story.
type wanted struct {
	story  story
	fields []string
}

func newReceiver() *receiver {
	return &receiver{known: map[string]bool{}, came: make(chan struct{})}
}

// ServeHTTP takes an event.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var e event
	if err := json.NewDecoder(req.Body).Decode(&e); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if id := e.text("event_id"); !r.known[id] {
		r.known[id] = true
		r.events = append(r.events, e)
	}
	close(r.came)
	r.came = make(chan struct{})
	w.WriteHeader(http.StatusNoContent)
}

// where lists the events that have a parameter, in the order of their coming.
func (r *receiver) where(name, value string) []event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var of []event
	for _, e := range r.events {
		if e.text(name) == value {
			of = append(of, e)
		}
	}
	return of
}

// story holds the events of one call that the receiver got.
type story struct {
	receiver    *receiver
	name, value string // the parameter by which its events are known
}

// of is the story of the caller with a number.
func (r *receiver) of(number string) story { return story{r, "callerid", "+" + number} }

// until waits for events until a condition holds, and reports whether it came
// to hold in time.
func (r *receiver) until(holds func() bool) bool {
	for late := time.After(wait.Limit); ; {
		r.mu.Lock()
		came := r.came
		r.mu.Unlock()
		if holds() {
			return true
		}
		select {
		case <-came:
		case <-late:
			return holds()
		}
	}
}

// wait waits for the n-th event of a name, and returns it.
func (s story) wait(t *testing.T, name string, n int) event {
	t.Helper()
	s.receiver.until(func() bool { return len(s.all(name)) >= n || over(s.events()) })
	if len(s.all(name)) < n {
		t.Fatalf("%s number %d of %s did not come; there are %v", name, n, s.value, eventNames(s.events()))
	}
	return s.all(name)[n-1]
}

func (s story) events() []event { return s.receiver.where(s.name, s.value) }

// all lists the events of a name.
func (s story) all(name string) []event {
	return slices.DeleteFunc(s.events(), func(e event) bool { return e.text("event") != name })
}

// expect waits until as many events came as are wanted, and checks that they
// were those, in this order and each once. Events between braces may come in any order:
//
//	call-dial queue-dial { queue-hangup agent-hangup } call-hangup
func (s story) expect(t *testing.T, want string) {
	t.Helper()
	w := wanted{s, strings.Fields(want)}
	count := len(w.fields) - 2*strings.Count(want, "{")
	s.receiver.until(func() bool {
		came := s.events()
		return len(came) >= count || over(came)
	})
	if !w.check(t) {
		return
	}
	s.receiver.mu.Lock()
	defer s.receiver.mu.Unlock()
	s.receiver.wanted = append(s.receiver.wanted, w)
}

// over reports whether events are those of one call, with its last one and all before it.
func over(events []event) bool {
	last := slices.IndexFunc(events, func(e event) bool { return e["final"] == true })
	return last >= 0 && events[last].number("seq") == len(events) &&
		!slices.ContainsFunc(events, func(e event) bool { return e.text("linkedid") != events[0].text("linkedid") })
}

// recheck looks once more at all that was found as expected: nothing may have
// come since.
func (r *receiver) recheck(t *testing.T) {
	r.mu.Lock()
	all := r.wanted
	r.mu.Unlock()
	for _, w := range all {
		w.check(t)
	}
}

func (w wanted) check(t *testing.T) bool {
	t.Helper()
	got := w.story.events()
	ok := matches(got, w.fields)
	if !ok {
		t.Errorf("events of %s:\n got %v\nwant %v", w.story.value, eventNames(got), w.fields)
	}
	for i, e := range got {
		if e.number("seq") != i+1 {
			t.Errorf("event %d of %s has seq %d: %v", i+1, w.story.value, e.number("seq"), e)
			ok = false
		}
	}
	return ok
}

// matches reports whether events came as the fields of expect want them.
func matches(got []event, fields []string) bool {
	names := eventNames(got)
	for len(fields) > 0 {
		if fields[0] != "{" {
			if len(names) == 0 || names[0] != fields[0] {
				return false
			}
			names, fields = names[1:], fields[1:]
			continue
		}
		end := slices.Index(fields, "}")
		group := slices.Sorted(slices.Values(fields[1:end]))
		if len(names) < len(group) || !slices.Equal(slices.Sorted(slices.Values(names[:len(group)])), group) {
			return false
		}
		names, fields = names[len(group):], fields[end+1:]
	}
	return len(names) == 0
}

func eventNames(events []event) []string {
	var names []string
	for _, e := range events {
		names = append(names, e.text("event"))
	}
	return names
}

// has checks parameters of an event. A number of seconds that ends in ~ may be more, and from 2 on one less, where the
// other side's clock began before: the machine has other things to do. What is found so are times of another kind.
func (e event) has(t *testing.T, want map[string]string) {
	t.Helper()
	for name, value := range want {
		got := fmt.Sprint(e[name])
		if e[name] == nil {
			got = ""
		}
		if n, about := strings.CutSuffix(value, "~"); about {
			var least int
			fmt.Sscan(n, &least)
			most := least + busy
			if least >= 2 {
				least--
			}
			if i := e.number(name); i < least || i > most {
				t.Errorf("%s: %s is %v, want %d to %d", e.text("event"), name, e[name], least, most)
			}
		} else if got != value {
			t.Errorf("%s: %s is %q, want %q", e.text("event"), name, got, value)
		}
	}
}
