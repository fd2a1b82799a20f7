package figures

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"ringhook/dialplan/kept"
	"ringhook/store"
	"ringhook/store/desk"
)

// calls is a Source with calls in the order in which they were seen.
type calls []store.HeldCall

// CallsSince implements Source.
func (c *calls) CallsSince(since time.Time, f func(store.HeldCall) bool) error {
	for _, held := range *c {
		if !held.Seen.Before(since) && !f(held) {
			break
		}
	}
	return nil
}

// put adds a call, or what became of it.
func (c *calls) put(t *testing.T, id string, seen time.Time, state *kept.Call) {
	t.Helper()
	text, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	for i := range *c {
		if (*c)[i].Key == id {
			*c = append((*c)[:i], (*c)[i+1:]...)
			break
		}
	}
	*c = append(*c, store.HeldCall{Key: id, LinkedID: id, Seen: seen, State: text})
}

// noon is the moment at which tests look.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.Local)

// at returns a moment so many seconds after 11:30.
func at(s int) time.Time { return noon.Add(-30*time.Minute + time.Duration(s)*time.Second) }

func newBook(source Source) *Book {
	b := New(source, 20*time.Second, slog.New(slog.DiscardHandler))
	b.now = func() time.Time { return noon }
	return b
}

func marker(queue string) kept.Marker { return kept.Marker{UniqueID: "1.1", N: 1, What: queue} }

// TestVisits says for each way in which a visit can go what it is counted as.
func TestVisits(t *testing.T) {
	type want struct {
		offered, waiting, answered, abandoned, left, unknown, within int
		level, lost, wait, longest, average                          int // -1 is none
	}
	f := func(name string, v kept.Visit, want want) {
		t.Helper()
		v.Marker = marker("500")
		c := &kept.Call{LinkedID: "1.1", Began: at(0), Visits: []kept.Visit{v}}
		if !v.Ended.IsZero() {
			c.Ended = v.Ended
			c.Presumed = v.Presumed
		}
		source := &calls{}
		source.put(t, "1.1", at(100), c)
		b := newBook(source)
		if err := b.Update(); err != nil {
			t.Fatal(err)
		}
		none := func(p *int) int {
			if p == nil {
				return -1
			}
			return *p
		}
		q := b.Today(Scope{}).Queues[0]
		got := want
		got.offered, got.waiting, got.answered, got.abandoned, got.left, got.unknown, got.within = q.Offered, q.Waiting, q.Answered, q.Abandoned, q.Left, q.Unknown, q.Within
		got.level, got.lost, got.wait, got.longest, got.average = none(q.Level), none(q.Lost), none(q.Wait), none(q.Longest), none(q.Average)
		if got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	f("waits", kept.Visit{Began: at(0)}, want{offered: 1, waiting: 1, level: -1, lost: -1, wait: -1, longest: -1, average: -1})
	f("answered in time", kept.Visit{Began: at(0), Answered: at(20), Ended: at(80), Outcome: "answer"},
		want{offered: 1, answered: 1, within: 1, level: 100, lost: 0, wait: 20, longest: 20, average: 60})
	f("answered late", kept.Visit{Began: at(0), Answered: at(21), Ended: at(31), Outcome: "answer"},
		want{offered: 1, answered: 1, level: 0, lost: 0, wait: 21, longest: 21, average: 10})
	f("talks", kept.Visit{Began: at(0), Answered: at(5)}, want{offered: 1, answered: 1, within: 1, level: 100, lost: 0, wait: 5, longest: 5, average: -1})
	f("the wait that Asterisk reports counts", kept.Visit{Began: at(0), Answered: at(9), Ended: at(19), WaitTime: 8, Outcome: "answer"},
		want{offered: 1, answered: 1, within: 1, level: 100, lost: 0, wait: 8, longest: 8, average: 10})
	f("answered at an unknown time", kept.Visit{Began: at(0), Answered: at(60), Ended: at(60), Untimed: true, Outcome: "answer"},
		want{offered: 1, answered: 1, level: -1, lost: 0, wait: -1, longest: -1, average: -1})
	f("the caller gave up", kept.Visit{Began: at(0), Ended: at(7), Outcome: "cancel"},
		want{offered: 1, abandoned: 1, level: 0, lost: 100, wait: -1, longest: 7, average: -1})
	f("timeout of the queue is not abandoned", kept.Visit{Began: at(0), Ended: at(30), Outcome: "noanswer"},
		want{offered: 1, left: 1, level: 0, lost: 0, wait: -1, longest: 30, average: -1})
	f("full", kept.Visit{Began: at(0), Ended: at(0), Outcome: "busy"}, want{offered: 1, left: 1, level: 0, lost: 0, wait: -1, longest: 0, average: -1})
	f("kicked", kept.Visit{Began: at(0), Ended: at(9), EndedBy: "agent 9", Outcome: "other"},
		want{offered: 1, left: 1, level: 0, lost: 0, wait: -1, longest: 9, average: -1})
	f("end not reported", kept.Visit{Began: at(0), Ended: at(9), Presumed: true, Outcome: "other"},
		want{offered: 1, unknown: 1, level: -1, lost: -1, wait: -1, longest: -1, average: -1})
	f("ended before ringhook stored how", kept.Visit{Began: at(0), Ended: at(9)}, want{offered: 1, unknown: 1, level: -1, lost: -1, wait: -1, longest: -1, average: -1})
	f("beginning not reported", kept.Visit{Answered: at(10), Ended: at(15), WaitTime: 4, Outcome: "answer"},
		want{offered: 1, answered: 1, within: 1, level: 100, lost: 0, wait: 4, longest: 4, average: 5})
}

// TestSum says what calls come to as a whole.
func TestSum(t *testing.T) {
	visit := func(change func(*kept.Visit)) []kept.Visit {
		v := kept.Visit{Marker: marker("500"), Began: at(0), Ended: at(30)}
		change(&v)
		return []kept.Visit{v}
	}
	ring := kept.Ring{Phone: "101", Visit: marker("500"), Began: at(5), Answered: at(10), Ended: at(70)}
	for _, c := range []struct {
		name string
		call kept.Call
		want Sum
	}{
		{"goes on", kept.Call{Visits: visit(func(v *kept.Visit) { v.Ended = time.Time{} })}, Sum{Outcome: CallGoing, Wait: none}},
		{"the caller gave up", kept.Call{Ended: at(30), Visits: visit(func(v *kept.Visit) { v.Outcome = "cancel" })}, Sum{Outcome: CallAbandoned, Wait: 30}},
		{"kicked", kept.Call{Ended: at(30), Visits: visit(func(v *kept.Visit) { v.Outcome, v.EndedBy = "cancel", "agent 9" })}, Sum{Outcome: CallLeft, Wait: 30}},
		{"timeout", kept.Call{Ended: at(40), Visits: visit(func(v *kept.Visit) { v.Outcome = "noanswer" })}, Sum{Outcome: CallLeft, Wait: 30}},
		{"end not reported", kept.Call{Ended: at(30), Presumed: true, Visits: visit(func(v *kept.Visit) { v.Outcome, v.Presumed = "other", true })}, Sum{Outcome: CallUnknown, Wait: none}},
		{"in no queue", kept.Call{Ended: at(30)}, Sum{Outcome: CallUnanswered, Wait: none}},
		{"answered; the wait that Asterisk reports counts", kept.Call{Ended: at(70), Answered: at(10), Rings: []kept.Ring{ring}, Visits: visit(func(v *kept.Visit) {
			v.Answered, v.Ended, v.Agent, v.Outcome, v.WaitTime = at(10), at(70), "101", "answer", 8
		})}, Sum{Outcome: CallAnswered, Wait: 8, Talk: 60, Phones: []string{"101"}}},
		{"in a dialplan without points of agents", kept.Call{Ended: at(70), Answered: at(10), Visits: visit(func(v *kept.Visit) {
			v.Answered, v.Ended, v.Agent, v.Outcome = at(10), at(70), "101", "answer"
		})}, Sum{Outcome: CallAnswered, Wait: 10, Talk: 60, Phones: []string{"101"}}},
		{"answered at an unknown time", kept.Call{Ended: at(70), Visits: visit(func(v *kept.Visit) {
			v.Answered, v.Ended, v.Outcome, v.Untimed = at(70), at(70), "answer", true
		})}, Sum{Outcome: CallAnswered, Wait: none}},
		{"the end of the talk was presumed", kept.Call{Ended: at(70), Presumed: true, Answered: at(10), Rings: []kept.Ring{ring}}, Sum{Outcome: CallAnswered, Wait: none, Phones: []string{"101"}}},
	} {
		if got := SumOf(&c.call); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestRings says for each way in which a ring can go what it is counted as for its phone.
func TestRings(t *testing.T) {
	f := func(name string, c *kept.Call, want AgentCounts) {
		t.Helper()
		c.LinkedID, c.Began = "1.1", at(0)
		source := &calls{}
		source.put(t, "1.1", at(100), c)
		b := newBook(source)
		if err := b.Update(); err != nil {
			t.Fatal(err)
		}
		got := AgentCounts{}
		for k, a := range b.agents {
			if b.phones.list[k.phone] == "101" {
				got.add(a)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	visit := func(agent string, began, answered, ended int, outcome string) []kept.Visit {
		v := kept.Visit{Marker: marker("500"), Began: at(began), Ended: at(ended), Outcome: outcome, Agent: agent}
		if answered > 0 {
			v.Answered = at(answered)
		}
		return []kept.Visit{v}
	}
	ring := func(phone string, began, answered, ended int) kept.Ring {
		r := kept.Ring{Phone: phone, Visit: marker("500"), Began: at(began), Ended: at(ended)}
		if answered > 0 {
			r.Answered = at(answered)
		}
		return r
	}
	f("answers", &kept.Call{Ended: at(60), Visits: visit("101", 0, 10, 60, "answer"), Rings: []kept.Ring{ring("101", 4, 10, 60)}},
		AgentCounts{Offered: 1, Answered: 1, Timed: 1, Within: 1, Waited: 10, Longest: 10, Rings: 1, Rang: 6, Talk: 50})
	f("answers in a dialplan without points of agents", &kept.Call{Ended: at(60), Visits: visit("101", 0, 10, 60, "answer")},
		AgentCounts{Offered: 1, Answered: 1, Timed: 1, Within: 1, Waited: 10, Longest: 10, Talk: 50})
	f("does not answer", &kept.Call{Visits: visit("102", 0, 40, 60, "answer"), Rings: []kept.Ring{ring("101", 4, 0, 19), ring("102", 20, 40, 60)}},
		AgentCounts{Offered: 1, Missed: 1})
	f("another answers meanwhile", &kept.Call{Visits: visit("102", 0, 10, 60, "answer"), Rings: []kept.Ring{ring("101", 4, 0, 10), ring("102", 4, 10, 60)}},
		AgentCounts{Offered: 1, Elsewhere: 1})
	f("the caller gives up meanwhile", &kept.Call{Ended: at(20), Visits: visit("", 0, 0, 20, "cancel"), Rings: []kept.Ring{ring("101", 4, 0, 20)}},
		AgentCounts{Offered: 1, Abandoned: 1})
	f("the caller gives up later", &kept.Call{Ended: at(50), Visits: visit("", 0, 0, 50, "cancel"), Rings: []kept.Ring{ring("101", 4, 0, 20)}},
		AgentCounts{Offered: 1, Missed: 1})
	direct := ring("101", 4, 10, 30)
	direct.Visit = kept.Marker{}
	f("answers a call without a queue", &kept.Call{Ended: at(30), Rings: []kept.Ring{direct}}, AgentCounts{Offered: 1, Answered: 1, Rings: 1, Rang: 6, Talk: 20})
	out := direct
	out.Outgoing = true
	f("calls", &kept.Call{Ended: at(30), Rings: []kept.Ring{out}}, AgentCounts{Outgoing: 1, OutTalk: 20})
	f("the end was presumed", &kept.Call{Ended: at(30), Presumed: true, Rings: []kept.Ring{direct}}, AgentCounts{Offered: 1, Answered: 1, Rings: 1, Rang: 6})
}

// TestChanges checks that a change of a call replaces what was counted of it, and that a corrected end is counted.
func TestChanges(t *testing.T) {
	source := &calls{}
	b := newBook(source)
	look := func(want Queue) {
		t.Helper()
		if err := b.Update(); err != nil {
			t.Fatal(err)
		}
		q := b.Today(Scope{}).Total
		got := Queue{Offered: q.Offered, Waiting: q.Waiting, Answered: q.Answered, Abandoned: q.Abandoned, Unknown: q.Unknown, Talk: q.Talk}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	c := &kept.Call{LinkedID: "1.1", Began: at(0), Visits: []kept.Visit{{Marker: marker("500"), Began: at(0)}}}
	source.put(t, "1.1", at(0), c)
	look(Queue{Offered: 1, Waiting: 1})
	if open := b.OpenCalls(); len(open) != 1 || open[0].LinkedID != "1.1" {
		t.Errorf("calls that go on: %+v", open)
	}
	c.Visits[0].Ended, c.Visits[0].Presumed, c.Visits[0].Outcome, c.Ended = at(30), true, "other", at(30)
	source.put(t, "1.1", noon.Add(-10*time.Second), c)
	look(Queue{Offered: 1, Unknown: 1})
	if open := b.OpenCalls(); len(open) != 0 {
		t.Errorf("calls that go on: %+v", open)
	}
	c.Visits[0].Answered, c.Visits[0].Presumed, c.Visits[0].Outcome = at(10), false, "answer"
	source.put(t, "1.1", noon.Add(-5*time.Second), c)
	look(Queue{Offered: 1, Answered: 1, Talk: 20})
	look(Queue{Offered: 1, Answered: 1, Talk: 20}) // read again
	b.SetLevel(5 * time.Second)
	look(Queue{Offered: 1, Answered: 1, Talk: 20})
	if q := b.Today(Scope{}).Total; *q.Level != 0 {
		t.Errorf("level %d", *q.Level)
	}
}

// TestDay checks that figures begin at midnight, and that the plots reach back beyond it.
func TestDay(t *testing.T) {
	source := &calls{}
	one := time.Date(2026, 3, 4, 1, 0, 0, 0, time.Local)
	for i, began := range []time.Time{one.Add(-9 * time.Hour), one.Add(-2 * time.Hour), one.Add(-30 * time.Minute)} {
		ended := began.Add(time.Minute)
		source.put(t, fmt.Sprint(i), ended, &kept.Call{LinkedID: "x", Began: began, Ended: ended, Visits: []kept.Visit{{Marker: marker("500"), Began: began, Ended: ended, Outcome: "cancel"}}})
	}
	b := newBook(source)
	b.now = func() time.Time { return one }
	if err := b.Update(); err != nil {
		t.Fatal(err)
	}
	today := b.Today(Scope{})
	in := 0
	for _, bar := range today.Total.Plot {
		in += bar.Abandoned
	}
	if today.Total.Abandoned != 1 || in != 2 || len(today.Bars) != Bars || !today.From.Equal(time.Date(2026, 3, 4, 0, 0, 0, 0, time.Local)) {
		t.Errorf("abandoned %d, in the plot %d, %d bars, from %v", today.Total.Abandoned, in, len(today.Bars), today.From)
	}
	b.now = func() time.Time { return one.Add(24 * time.Hour) }
	if err := b.Update(); err != nil {
		t.Fatal(err)
	}
	if next := b.Today(Scope{}); next.Total.Offered != 0 || len(b.calls) != 0 || len(b.cells) != 0 {
		t.Errorf("the next day: %+v, %d calls", next.Total, len(b.calls))
	}
}

// TestTalkOverMidnight checks that the occupancy of a day has the part of a talk that is in it, while it goes on and after.
func TestTalkOverMidnight(t *testing.T) {
	midnight := startOfDay(noon)
	c := &kept.Call{LinkedID: "1.1", Began: midnight.Add(-20 * time.Minute), Answered: midnight.Add(-10 * time.Minute), Rings: []kept.Ring{
		{Phone: "101", Began: midnight.Add(-20 * time.Minute), Answered: midnight.Add(-10 * time.Minute)},
	}}
	source := &calls{}
	b := newBook(source)
	look := func(now time.Time, want int) {
		t.Helper()
		b.now = func() time.Time { return now }
		if err := b.Update(); err != nil {
			t.Fatal(err)
		}
		from := startOfDay(now)
		a := b.Today(Scope{Agents: []Agent{{Agent: "7", Phone: "101"}}, Times: map[string]Times{"7": {LoggedIn: int64(now.Sub(from) / time.Second)}}}).Agents[0]
		if a.Occupancy == nil || *a.Occupancy != want {
			t.Errorf("at %s: got %v, want %d", now, a.Occupancy, want)
		}
	}
	source.put(t, "1.1", midnight.Add(-10*time.Minute), c)
	look(midnight.Add(-time.Second), 1) // 599 of 86399 seconds
	source.put(t, "1.1", midnight.Add(5*time.Minute), c)
	look(midnight.Add(10*time.Minute), 100)
	c.Rings[0].Ended, c.Ended = midnight.Add(15*time.Minute), midnight.Add(15*time.Minute)
	source.put(t, "1.1", c.Ended, c)
	look(midnight.Add(30*time.Minute), 50)
	look(midnight.Add(30*time.Minute), 50) // read again
	c.Rings[0].Ended, c.Ended = midnight.Add(6*time.Minute), midnight.Add(6*time.Minute)
	source.put(t, "1.1", midnight.Add(31*time.Minute), c) // corrected
	look(midnight.Add(time.Hour), 10)
	look(midnight.Add(25*time.Hour), 0)
}

// TestScope checks that a supervisor's figures have nothing of other queues, and that the occupancy has all calls.
func TestScope(t *testing.T) {
	source := &calls{}
	call := func(id, queue, phone string) {
		m := marker(queue)
		source.put(t, id, at(120), &kept.Call{
			LinkedID: id, Began: at(0), Ended: at(100), Visits: []kept.Visit{{Marker: m, Began: at(0), Answered: at(10), Ended: at(100), Agent: phone, Outcome: "answer"}},
			Rings: []kept.Ring{{Phone: phone, Visit: m, Began: at(5), Answered: at(10), Ended: at(100)}},
		})
	}
	call("1", "500", "101")
	call("2", "600", "101")
	call("3", "600", "102")
	b := newBook(source)
	if err := b.Update(); err != nil {
		t.Fatal(err)
	}
	s := Scope{
		Queues: []string{"500"}, Names: map[string]string{"500": "Sales"}, Agents: []Agent{{Agent: "7", Name: "Anna", Phone: "101"}},
		Times:  map[string]Times{"7": {LoggedIn: 600, Paused: 240, Served: map[string]int64{"500": 180, "600": 360}}, "8": {LoggedIn: 100, Served: map[string]int64{"600": 100}}},
		Phones: map[string]string{"7": "101", "8": "102", "9": ""},
	}
	got := b.Today(s)
	if len(got.Queues) != 1 || got.Queues[0].Name != "Sales" || got.Total.Offered != 1 || len(got.Agents) != 1 {
		t.Fatalf("got %+v", got)
	}
	if a := got.Agents[0]; a.Answered != 1 || a.Talk != 90 || *a.Occupancy != 50 {
		t.Errorf("got %+v, occupancy %d", a, *a.Occupancy)
	}
	if q := got.Queues[0]; q.Occupancy == nil || *q.Occupancy != 50 || *got.Total.Occupancy != 50 {
		t.Errorf("occupancy of the queue %v, of all %v", q.Occupancy, got.Total.Occupancy)
	}
	// All queues: an agent who serves two at once counts once.
	s.Queues = nil
	if got = b.Today(s); *got.Queues[0].Occupancy != 50 || *got.Queues[1].Occupancy != 39 || *got.Total.Occupancy != 59 {
		t.Errorf("occupancy %d, %d and %d", *got.Queues[0].Occupancy, *got.Queues[1].Occupancy, *got.Total.Occupancy)
	}
	s = Scope{Others: true}
	if got = b.Today(s); got.Total.Offered != 3 || len(got.Agents) != 2 || got.Agents[0].Name != "101" {
		t.Errorf("everything: %+v", got)
	}
}

// TestBounds checks that memory is bounded by the number of calls and queues, not by what calls say.
func TestBounds(t *testing.T) {
	b := newBook(&calls{})
	if err := b.Update(); err != nil {
		t.Fatal(err)
	}
	state := func(queue string, began time.Time) []byte {
		text, err := json.Marshal(&kept.Call{LinkedID: "x", Began: began, Visits: []kept.Visit{{Marker: marker(queue), Began: began}}})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for i := range maxNames + 10 {
		b.take(&store.HeldCall{Key: fmt.Sprint("q", i), Seen: at(i / 100), State: state(fmt.Sprint("queue ", i), at(i/100))})
	}
	if len(b.queues.list) != maxNames {
		t.Errorf("%d queues", len(b.queues.list))
	}
	b.most = 2000
	text := state("queue 0", at(1000))
	for i := range b.most + 10 {
		b.take(&store.HeldCall{Key: fmt.Sprint("c", i), Seen: at(1000), State: text})
	}
	if len(b.calls) > b.most || len(b.order) > b.most || len(b.open) > maxOpen {
		t.Errorf("%d calls, %d in order, %d open", len(b.calls), len(b.order), len(b.open))
	}
	offered := b.Today(Scope{}).Total.Offered
	b.take(&store.HeldCall{Key: "q0", Seen: at(1100), State: state("queue 0", at(0))}) // is not followed any more
	if again := b.Today(Scope{}).Total.Offered; again != offered {
		t.Errorf("a call was counted twice: %d, then %d", offered, again)
	}
	b.take(&store.HeldCall{Key: "broken", Seen: at(1100), State: []byte("{")})
	if b.broken != 1 {
		t.Errorf("%d broken", b.broken)
	}
}

// states are stored states of agents.
type states []desk.AgentState

// AgentStates implements States.
func (s states) AgentStates(string, time.Time, time.Time) ([]desk.AgentState, error) { return s, nil }

func TestTimes(t *testing.T) {
	midnight := startOfDay(noon)
	got, err := ReadTimes(states{
		{Agent: "7", State: desk.AgentIn, From: midnight.Add(-time.Hour), To: midnight.Add(time.Hour)},
		{Agent: "7", State: desk.AgentIn, From: noon.Add(-time.Hour), To: noon.Add(-time.Minute), Open: true},
		{Agent: "7", State: desk.AgentPaused, From: noon.Add(-30 * time.Minute), To: noon.Add(-20 * time.Minute)},
		{Agent: "7", State: desk.AgentServes, Reason: "500", From: midnight.Add(-time.Hour), To: midnight.Add(time.Hour)},
		{Agent: "7", State: desk.AgentServes, Reason: "500", From: noon.Add(-10 * time.Minute), To: noon.Add(-time.Minute), Open: true},
		{Agent: "8", State: desk.AgentIn, From: noon.Add(-time.Hour), To: noon.Add(-30 * time.Minute), Open: true}, // ringhook was away since then
	}, noon)
	want := map[string]Times{"7": {LoggedIn: 7200, Paused: 600, Served: map[string]int64{"500": 4200}}, "8": {LoggedIn: 1800}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

// BenchmarkTake reads one call with a visit, five rings and the usual parameters.
func BenchmarkTake(b *testing.B) {
	c := &kept.Call{LinkedID: "1768473741.17", Direction: "incoming", Began: at(0), Answered: at(20), Ended: at(90), Known: map[string]any{}}
	for i := range 20 {
		c.Known[fmt.Sprint("parameter_", i)] = "a value of some length"
	}
	c.Visits = []kept.Visit{{Marker: marker("500"), Began: at(0), Answered: at(20), Ended: at(90), Agent: "104", Outcome: "answer"}}
	for i := range 5 {
		c.Rings = append(c.Rings, kept.Ring{Phone: fmt.Sprint(100 + i), Visit: marker("500"), Began: at(1), Ended: at(20)})
	}
	state, err := json.Marshal(c)
	if err != nil {
		b.Fatal(err)
	}
	book := newBook(&calls{})
	if err := book.Update(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		book.take(&store.HeldCall{Key: fmt.Sprint(n), Seen: at(100), State: state})
	}
}
