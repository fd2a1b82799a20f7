package dialplan

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ringhook/hooks"
)

// script is the points of a call, in order.
type script []func(p *pbx)

// randomCall returns the points of a call with one or two queues and up to three phones in each. Each point reports what
// Asterisk knows then.
func randomCall(chance *rand.Rand) (s script, visits int) {
	at := 0.0
	add := func(channel string, point Point, args ...string) {
		at += float64(1 + chance.IntN(5))
		second := at
		s = append(s, func(p *pbx) { p.at(second, channel, point, args...) })
	}
	set := func(channel, name, value string) {
		s = append(s, func(p *pbx) { p.set(channel, name, value) })
	}
	if chance.IntN(2) == 0 {
		add("caller", CallDial)
	}
	visits = 1 + chance.IntN(2)
	for visit := range visits {
		queue := fmt.Sprint(500 + 100*visit)
		add("caller", QueueDial, "queue_id="+queue)
		answered, talked := chance.IntN(4), false
		for n := range chance.IntN(4) {
			local, phone := fmt.Sprintf("local%d-%d", visit, n), fmt.Sprint(101+n)
			s = append(s, func(p *pbx) { p.dial("caller", local) })
			add(local, AgentDial, "agent_phone="+phone)
			if n != answered {
				set(local, "DIALSTATUS", []string{"NOANSWER", "BUSY"}[chance.IntN(2)])
				add(local, AgentCancel, "agent_phone="+phone)
				continue
			}
			s = append(s, func(p *pbx) { p.dial(local, "phone"+local) })
			add("phone"+local, AgentAnswer, "agent_phone="+phone)
			set(local, "DIALSTATUS", "ANSWER")
			set(local, "ANSWEREDTIME", "3")
			set("caller", "MEMBERINTERFACE", "Local/"+phone+"@agents/n")
			set("caller", "QEHOLDTIME", "4")
			add(local, AgentHangup, "agent_phone="+phone)
			talked = true
			break
		}
		if chance.IntN(3) == 0 {
			add("caller", CustomEvent, "name=survey", fmt.Sprint("key=", visit))
		}
		if talked {
			set("caller", "ANSWEREDTIME", "3")
		} else {
			set("caller", "QUEUESTATUS", "TIMEOUT")
		}
		add("caller", QueueHangup)
	}
	add("caller", CallHangup)
	return s, visits
}

// sides is a call that two servers report: two states, and one PBX.
type sides struct {
	*pbx
	a, b   []byte
	events map[string]string // the names of the events of both, by id
}

func (s *sides) play(step func(*pbx), state *[]byte) {
	s.kept = *state
	from := len(s.pbx.events)
	step(s.pbx)
	*state = s.kept
	for _, ev := range s.pbx.events[from:] {
		s.events[ev.ID] = ev.Name
	}
}

// merge joins b to a.
func merge(t *testing.T, a, b []byte) []byte {
	t.Helper()
	m, err := Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	state, err := m.State(b)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// canonical returns what decides which events a state can still make: the parts of the call, their ends, and what was made.
func canonical(t *testing.T, state []byte) string {
	t.Helper()
	c, err := decodeCall(state)
	if err != nil {
		t.Fatal(err)
	}
	parts := []string{fmt.Sprint("call ", c.Began, c.Answered, c.Ended, c.Presumed)}
	for _, v := range c.Visits {
		parts = append(parts, fmt.Sprint("visit ", v.Marker, v.Began, v.Answered, v.Ended, v.Presumed))
	}
	for _, r := range c.Rings {
		parts = append(parts, fmt.Sprint("ring ", r.Marker, r.Began, r.Answered, r.Ended, r.Presumed))
	}
	for _, id := range c.EmittedIDs {
		parts = append(parts, "event "+id)
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}

// TestMergeSides checks any distribution of the points of a call over two servers that do not see each other, and are joined
// again at some point: the events of one server are among theirs, with the same ids, and a repeat makes none after that. It
// does not matter which of the two is joined to the other. If they are joined before the end of the call, and the caller was
// in one queue, there are no others: a server that has not heard how a part of the call ended may end it in another way.
// RINGHOOK_SEED repeats one run, RINGHOOK_MANY sets their number.
func TestMergeSides(t *testing.T) {
	runs, seed := uint64(300), uint64(time.Now().UnixNano())
	if n, err := strconv.ParseUint(os.Getenv("RINGHOOK_MANY"), 10, 64); err == nil {
		runs = n
	}
	if n, err := strconv.ParseUint(os.Getenv("RINGHOOK_SEED"), 10, 64); err == nil {
		runs, seed = 1, n
	}
	for ; runs > 0; runs, seed = runs-1, seed+1 {
		chance := rand.New(rand.NewPCG(seed, 0))
		points, visits := randomCall(chance)
		model := newPBX(t)
		for _, step := range points {
			step(model)
		}
		s := &sides{pbx: newPBX(t), events: map[string]string{}}
		joined := chance.IntN(len(points) + 1)
		for i, step := range points {
			if i == joined {
				s.join()
			}
			switch side := chance.IntN(3); {
			case i >= joined, side == 0:
				s.play(step, &s.a)
			case side == 1:
				s.play(step, &s.b)
			default: // Asterisk asks the second server, because the first one did not answer in time
				s.play(step, &s.a)
				s.play(step, &s.b)
			}
		}
		if joined == len(points) {
			s.join()
		}
		before := len(s.pbx.events)
		for _, step := range points[len(points)-1:] { // a repeat
			s.play(step, &s.a)
		}
		if len(s.pbx.events) > before {
			t.Errorf("the repeat of the last point made %s", s.pbx.events[before].Name)
		}
		whole := visits == 1 && joined < len(points)
		want := eventsOf(model)
		if !whole {
			maps.DeleteFunc(s.events, func(id, _ string) bool { return want[id] == "" })
		}
		if got, want := named(s.events), named(want); !slices.Equal(got, want) {
			t.Errorf("two servers made\n  %s\none makes\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
		if t.Failed() {
			t.Fatalf("with RINGHOOK_SEED=%d", seed)
		}
	}
}

func (s *sides) join() {
	s.t.Helper()
	if s.a == nil || s.b == nil {
		s.a = slices.Concat(s.a, s.b)
		return
	}
	one, other := merge(s.t, s.a, s.b), merge(s.t, s.b, s.a)
	if a, b := canonical(s.t, one), canonical(s.t, other); a != b {
		s.t.Errorf("joined to a:\n%s\njoined to b:\n%s", a, b)
	}
	if again := merge(s.t, one, s.b); canonical(s.t, again) != canonical(s.t, one) {
		s.t.Error("a second time, something changes")
	}
	s.a = one
}

func eventsOf(p *pbx) map[string]string {
	events := map[string]string{}
	for _, ev := range p.events {
		events[ev.ID] = ev.Name
	}
	return events
}

func named(events map[string]string) (list []string) {
	for id, name := range events {
		list = append(list, name+" "+id)
	}
	slices.Sort(list)
	return list
}

// TestMergedNumbers checks the numbers of events that were made beside others: those that no receiver has follow all that
// are stored, in their order.
func TestMergedNumbers(t *testing.T) {
	state := func(seq int) []byte {
		return fmt.Appendf(nil, `{"linkedid":"1.1","began":"2026-03-02T09:00:00Z","seq":%d}`, seq)
	}
	for _, c := range []struct {
		name      string
		stored    []byte
		added     int    // seq of the added state
		events    []int  // their numbers
		received  []bool // whether a receiver has them
		want      []int  // their numbers then
		wantState int
	}{
		{"nothing is stored", nil, 3, []int{2, 3}, []bool{false, false}, []int{2, 3}, 3},
		{"built on what is stored", state(2), 4, []int{3, 4}, []bool{false, false}, []int{3, 4}, 4},
		{"beside others", state(5), 4, []int{3, 4}, []bool{false, false}, []int{6, 7}, 7},
		{"beside one, with a gap", state(3), 6, []int{3, 5, 6}, []bool{false, false, false}, []int{4, 5, 6}, 6},
		{"one is received", state(4), 5, []int{3, 5}, []bool{true, false}, []int{3, 5}, 5},
		{"a received one is newer", state(4), 6, []int{6, 5}, []bool{true, false}, []int{6, 7}, 7},
		{"events that no hook wants", state(3), 9, []int{3}, []bool{false}, []int{4}, 9},
	} {
		m, err := Merge(c.stored, state(c.added))
		if err != nil {
			t.Fatal(err)
		}
		for i, seq := range c.events {
			ev := hooks.Event{Seq: seq, Params: map[string]any{"seq": int64(seq)}}
			m.Number(&ev, c.received[i])
			if ev.Seq != c.want[i] || ev.Params["seq"] != int64(c.want[i]) {
				t.Errorf("%s: event %d has the number %d, %v", c.name, seq, ev.Seq, ev.Params)
			}
		}
		text, err := m.State(state(c.added))
		if err != nil {
			t.Fatal(err)
		}
		if merged, err := decodeCall(text); err != nil || merged.Seq != c.wantState {
			t.Errorf("%s: the state is at %d, %v, want %d", c.name, merged.Seq, err, c.wantState)
		}
	}
	if _, err := Merge([]byte("{"), state(1)); err == nil {
		t.Error("a damaged state is joined")
	}
}

// TestMergeWithheld checks that a caller who withholds the number on one of two servers is not known by the other's state.
func TestMergeWithheld(t *testing.T) {
	shown, hidden := newPBX(t), newPBX(t)
	hidden.pres = 32
	shown.at(1, "caller", QueueDial, "queue_id=500", "callerid_name=Anna", "call_info=02079460142")
	hidden.at(2, "caller", QueueHangup, "queue_id=500")
	shown.kept = []byte(strings.Replace(string(shown.kept), "{", `{"first":{"uniqueid":"caller","name":"DAHDI/i1/02079460142-5","caller":"02079460142"},`, 1))
	for name, pair := range map[string][2][]byte{"shown first": {shown.kept, hidden.kept}, "hidden first": {hidden.kept, shown.kept}} {
		c, err := decodeCall(merge(t, pair[0], pair[1]))
		if err != nil {
			t.Fatal(err)
		}
		for _, known := range []string{"callerid", "callerid_raw", "callerid_name", "region_name", "call_info"} {
			if c.Known[known] != nil {
				t.Errorf("%s: %s is %v", name, known, c.Known[known])
			}
		}
		if c.First.Name != "DAHDI/i1/withheld-5" || c.First.Caller != hiddenCaller {
			t.Errorf("%s: the first channel is %+v", name, c.First)
		}
		if c.Known["callerid_withheld"] != true || c.Known["directid"] == nil {
			t.Errorf("%s: the call knows %v", name, c.Known)
		}
	}
}
