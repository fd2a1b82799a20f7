package trace

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/pgstore"
	"ringhook/pgstore/sidetest"
)

func TestMain(m *testing.M) { sidetest.Main(m) }

// folder stands in for a node's folder.
type folder struct {
	list  []dialplan.PointTrace
	taken int // of any records
}

func (f *folder) Trace(_ time.Time, body []byte) {
	f.taken++
	if p, err := dialplan.DecodeTrace(body); err == nil {
		f.list = append(f.list, p)
	}
}

func (f *folder) CallPoints(linkedid string, _ time.Time) (list []dialplan.PointTrace, err error) {
	for _, p := range f.list {
		if p.LinkedID == linkedid {
			list = append(list, p)
		}
	}
	return list, nil
}

func (f *folder) PointsSince(since time.Time, take func(*dialplan.PointTrace)) error {
	for i := range f.list {
		if !f.list[i].At.Before(since) {
			take(&f.list[i])
		}
	}
	return nil
}

type node struct {
	*Writer
	*Reader
	own *folder
}

func newNode(t *testing.T, dsn string) *node {
	t.Helper()
	engine, own := sidetest.Open(t, dsn), &folder{}
	return &node{newWriter(engine, own, 24*time.Hour, slog.New(slog.DiscardHandler)), NewReader(engine, own), own}
}

// trace stores the record of a point.
func (n *node) trace(at time.Time, linkedid, point, caller string) {
	n.Trace(at, dialplan.EncodeTrace(&dialplan.PointTrace{At: at, Point: point, LinkedID: linkedid, Caller: caller}))
}

func (n *node) flushes(t *testing.T) {
	t.Helper()
	if err := n.flush(); err != nil {
		t.Fatal(err)
	}
}

func names(list []dialplan.PointTrace) (points []string) {
	for _, p := range list {
		points = append(points, p.Point)
	}
	return points
}

func (n *node) call(t *testing.T, linkedid string) []string {
	t.Helper()
	list, err := n.CallPoints(linkedid, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return names(list)
}

// TestNodes checks that each node shows the points of all, with those that are in its own folder, in the order of their times.
func TestNodes(t *testing.T) {
	dsn := sidetest.Database(t)
	a, b := newNode(t, dsn), newNode(t, dsn)
	now := time.Now().Truncate(time.Millisecond)
	a.trace(now, "1.1", "queue-dial", "+441")
	b.trace(now.Add(time.Second), "1.1", "agent-dial", "")
	b.trace(now.Add(time.Second), "2.2", "call-dial", "+442")
	a.flushes(t)
	b.flushes(t)
	b.own.Trace(now, dialplan.EncodeTrace(&dialplan.PointTrace{At: now.Add(2 * time.Second), Point: "agent-answer", LinkedID: "1.1"}))
	a.trace(now.Add(3*time.Second), "1.1", "queue-hangup", "")
	a.flushes(t)
	if got, want := a.call(t, "1.1"), []string{"queue-dial", "agent-dial", "queue-hangup"}; !slices.Equal(got, want) {
		t.Errorf("one node: %v, want %v", got, want)
	}
	all := []string{"queue-dial", "agent-dial", "agent-answer", "queue-hangup"}
	if got := b.call(t, "1.1"); !slices.Equal(got, all) {
		t.Errorf("the other: %v, want %v", got, all)
	}
	// Its commit was in doubt.
	a.own.Trace(now, dialplan.EncodeTrace(&dialplan.PointTrace{At: now, Point: "queue-dial", LinkedID: "1.1", Caller: "+441"}))
	if got, want := a.call(t, "1.1"), []string{"queue-dial", "agent-dial", "queue-hangup"}; !slices.Equal(got, want) {
		t.Errorf("a record twice: %v, want %v", got, want)
	}
	var since []string
	if err := b.PointsSince(now.Add(time.Second), func(p *dialplan.PointTrace) { since = append(since, p.Point) }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"agent-dial", "call-dial", "agent-answer", "queue-hangup"}; !slices.Equal(since, want) {
		t.Errorf("since: %v, want %v", since, want)
	}
}

// TestErase checks that the records of a number are found and erased, and no others.
func TestErase(t *testing.T) {
	n := newNode(t, sidetest.Database(t))
	now := time.Now()
	n.trace(now, "1.1", "queue-dial", "+441")
	n.trace(now, "2.2", "queue-dial", "+442")
	n.flushes(t)
	words := [][]byte{[]byte("+441")}
	fits := func(p *dialplan.PointTrace) bool { return p.Caller == "+441" }
	if list, err := n.Find(words, fits); err != nil || !reflect.DeepEqual(names(list), []string{"queue-dial"}) || list[0].LinkedID != "1.1" {
		t.Errorf("found %+v, %v", list, err)
	}
	if erased, err := n.Erase(words, fits); erased != 1 || err != nil {
		t.Errorf("erased %d, %v", erased, err)
	}
	if got := append(n.call(t, "1.1"), n.call(t, "2.2")...); len(got) != 1 {
		t.Errorf("left: %v", got)
	}
}

// TestTidy checks that old records are removed, and the oldest of too many.
func TestTidy(t *testing.T) {
	n := newNode(t, sidetest.Database(t))
	now := n.Writer.db.Now()
	n.trace(now.Add(-25*time.Hour), "1.1", "old", "")
	for i := range 3000 {
		n.trace(now.Add(time.Duration(i)*time.Millisecond), fmt.Sprint("2.", i), "new", "")
	}
	n.flushes(t)
	count := func() (rows int) {
		if err := n.PointsSince(time.Time{}, func(*dialplan.PointTrace) { rows++ }); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if err := n.tidy(t.Context()); err != nil || count() != 3000 {
		t.Errorf("%d records are left, %v", count(), err)
	}
	n.size = 100_000
	// The sample of a small table may be empty: then nothing is known of the size.
	for range 200 {
		if err := n.tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if left := count(); left == 3000 || left == 0 {
		t.Errorf("%d records are left", left)
	}
	if got := n.call(t, "2.2999"); len(got) != 1 {
		t.Error("the newest is removed")
	}
}

// TestTidyMuch checks that only what is too much is removed, also if that takes several steps.
func TestTidyMuch(t *testing.T) {
	const all, most, size = 12_000, 12_000 - tidyRows - 100, 1000
	n := newNode(t, sidetest.Database(t))
	if _, err := n.Writer.db.WriteLoose("fill", pgstore.Do(`insert into ringhook.trace (tenant, linkedid, at, body)
		select $1, '1.1', clock_timestamp() + i * interval '1 ms', convert_to(repeat('x', $3), 'UTF8') from generate_series(1, $2) i`, all, size)); err != nil {
		t.Fatal(err)
	}
	n.size = most * (size + 150)
	if err := n.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := 0
	err := n.Writer.db.QueryLoose("count", 0, pgstore.Do("select count(*) from ringhook.trace where tenant = $1"), func(scan func(...any) error) error { return scan(&left) })
	if left != most || err != nil {
		t.Errorf("%d records are left, want %d; %v", left, most, err)
	}
}

// TestFull checks that what does not fit into the buffer goes to the folder.
func TestFull(t *testing.T) {
	n := newNode(t, sidetest.Database(t))
	for range 3 {
		n.Trace(time.Now(), make([]byte, gatherRoom/2-100))
	}
	if n.own.taken != 1 {
		t.Errorf("%d records in the folder, want 1", n.own.taken)
	}
	n.flushes(t)
}
