package board

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/control"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/pops"
	"ringhook/store/browse"
)

const (
	// maxItems is the maximum number of entries of a trace that are shown.
	maxItems = 2000
	// maxDeliveries is the maximum number of deliveries of a call that are shown with their attempts.
	maxDeliveries = 200
	// readTime is the time that a page waits for its turn to read the trace.
	readTime = 5 * time.Second
	// maxValue is the maximum length of a value that is shown, in characters.
	maxValue = 400
)

var errBusy = errors.New("too many pages read the trace")

// item is one thing that happened in a call.
type item struct {
	At    time.Time
	Kind  string // point, event, delivery, pop or command
	Title string
	Chip  string // the result
	Mark  string // class of the chip: good, warn, bad, info or none
	Took  time.Duration
	Lines []line
	Link  string
	seq   int
}

// line is a detail: the key of a label, and a text.
type line struct{ Label, Text string }

// slot waits until a page may read the trace.
func (b *Board) slot() (done func(), err error) {
	select {
	case b.reading <- struct{}{}:
		return func() { <-b.reading }, nil
	case <-time.After(readTime):
		return nil, errBusy
	}
}

// trace returns everything that is known of a call.
func (b *Board) trace(v *Viewer, f *Frame, linkedid string) (*callView, error) {
	done, err := b.slot()
	if err != nil {
		return nil, err
	}
	defer done()
	seen, err := b.call(v, linkedid)
	if err != nil {
		return nil, err
	}
	c, found := seen.last, seen.last != nil
	if linkedid == "" || len(linkedid) > 150 || !found && !v.all() {
		return nil, errNoCall
	}
	view := &callView{ID: linkedid, Shared: len(seen.calls) > 1}
	if found {
		row := b.settings.Load().rowOf(v, c)
		view.Row = &row
		known := b.settings.Load().Links.Params(c.Known)
		for _, name := range slices.Sorted(maps.Keys(known)) {
			view.Facts = append(view.Facts, fact{name, v.text(pops.Clean(fmt.Sprint(known[name]), maxValue))})
		}
	}
	t := &timeline{v: v, f: f, uuids: view.Shared}
	if err := b.deliveries(t, linkedid, &seen); err != nil {
		return nil, err
	}
	var points []dialplan.PointTrace
	if v.all() || seen.whole { // a point does not name its Asterisk
		if points, err = b.Store.CallPoints(linkedid, seen.since); err != nil {
			return nil, err
		}
	}
	for i := range points[:min(len(points), maxItems)] {
		if points[i].Point == pops.TracePoint {
			view.Pops++
		}
		t.point(&points[i])
	}
	if !found && len(t.items) == 0 {
		return nil, errNoCall
	}
	slices.SortStableFunc(t.items, func(x, y item) int {
		return cmp.Or(x.At.Truncate(time.Millisecond).Compare(y.At.Truncate(time.Millisecond)), cmp.Compare(x.seq, y.seq))
	})
	view.Items = t.items
	return view, nil
}

// deliveries adds the events of the calls that the viewer sees, and their deliveries. Events without a call_uuid are of the
// one call that is kept.
func (b *Board) deliveries(t *timeline, linkedid string, seen *seenCall) error {
	list, err := b.Store.List(browse.Filter{Call: linkedid, Limit: maxDeliveries})
	if err != nil {
		return err
	}
	slices.Reverse(list)
	for i := range list {
		if call := list[i].Event.Call(); !t.v.all() && !slices.Contains(seen.calls, call) && (call != linkedid || !seen.whole) {
			continue
		}
		_, attempts, err := b.Store.Show(list[i].ID)
		if errors.Is(err, browse.ErrNotFound) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return err
		}
		t.delivery(&list[i], attempts)
	}
	return nil
}

// timeline collects what happened.
type timeline struct {
	v      *Viewer
	f      *Frame
	uuids  bool // several calls are in it: events have their call_uuid
	items  []item
	events []string // ids of those that are in it
}

func (t *timeline) clean(s string) string { return t.v.text(pops.Clean(s, maxValue)) }

// add adds a detail, unless it is empty.
func (i *item) add(label, text string) {
	if text != "" {
		i.Lines = append(i.Lines, line{label, text})
	}
}

// marks are the colours of results.
var marks = map[string]string{
	"OK": "good", "FOUND": "good", "NOTFOUND": "", "TIMEOUT": "warn", "FAILURE": "bad", "delivered": "good", "pending": "info", "dead": "bad", "dropped": "warn",
	"ok": "good", "popped": "good", "shown": "good", "taken": "good", "no-receipt": "warn", "blocked": "bad", "window-lost": "warn", "refused": "warn", "partial": "warn",
	"found": "good", "timeout": "warn", "error": "bad", "open": "bad",
}

// point adds what happened at a point, a decision about a screen pop, or a command.
func (t *timeline) point(p *dialplan.PointTrace) {
	switch {
	case p.Point == pops.TracePoint:
		t.pop(p)
		return
	case slices.Contains(control.Commands(), p.Point) && p.UniqueID != "" && p.Why != "" && len(p.Events) == 0:
		t.items = append(t.items, item{At: p.At, Kind: "command", Title: cmp.Or(t.f.T("command_"+p.Point), p.Point), Chip: t.clean(p.Status), Mark: cmp.Or(marks[p.Status], "warn"), Took: p.Took,
			Lines: []line{{"channel", t.clean(p.Channel)}, {"why", t.clean(p.Why)}}})
		return
	}
	i := item{At: p.At, Kind: "point", Title: t.clean(p.Point), Chip: p.Status, Mark: marks[p.Status], Took: p.Took, seq: -1}
	if p.By != "" {
		i.add("reported_by", t.clean(p.By))
	}
	i.add("channel", strings.TrimSpace(t.clean(p.Channel)+"  "+t.pairs([]dialplan.TracedValue{{Name: "caller", Value: p.Caller}, {Name: "name", Value: p.CallerName}, {Name: "dnid", Value: p.DNID}}, true)))
	if p.Hungup {
		i.add("hung_up", t.f.T("yes"))
	}
	if p.Error != "" {
		i.Mark = "bad"
		i.add("failed", t.clean(p.Error))
	}
	i.add("given", t.clean(strings.TrimSpace(p.Query+" "+strings.Join(p.Given, " "))))
	i.add("read", t.pairs(p.Read, true))
	for _, l := range p.Lookups {
		text := cmp.Or(l.Outcome, t.f.T("not_asked"))
		if l.Took > 0 {
			text += ", " + milliseconds(l.Took)
		}
		if l.Age > 0 {
			text += ", " + t.f.T("cached") + " " + l.Age.Round(time.Second).String()
		}
		if l.Why != "" {
			text += ": " + t.clean(l.Why)
		}
		i.add("lookup", t.clean(l.Lookup)+": "+text)
	}
	i.add("set", t.pairs(p.Set, false))
	i.add("refused", t.pairs(p.Refused, false))
	for _, e := range p.Events {
		if e.Hooks == 0 {
			i.add("event", t.clean(e.Name)+": "+t.f.T("no_hook"))
		}
	}
	if len(p.Events) == 0 && p.Error == "" && p.Point != string(dialplan.Lookup) {
		i.add("no_event", cmp.Or(t.clean(p.Why), t.f.T("reported_before")))
	}
	t.items = append(t.items, i)
}

func (t *timeline) pairs(values []dialplan.TracedValue, filled bool) string {
	var list []string
	for _, v := range values {
		if !filled || v.Value != "" {
			list = append(list, pops.Clean(v.Name, 64)+"="+t.clean(v.Value))
		}
	}
	return strings.Join(list, "  ")
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
}

// eventParams are the parameters of an event that its entry shows.
var eventParams = []string{"queue_id", "agent_phone", "dialed", "status", "wait_time", "ring_time", "talk_time", "match", "callerid_kind", "correction", "presumed"}

// delivery adds an event, once, and what became of one of its deliveries. Answers of receivers are for administrators.
func (t *timeline) delivery(d *browse.Item, attempts []hooks.Attempt) {
	if !slices.Contains(t.events, d.Event.ID) {
		t.events = append(t.events, d.Event.ID)
		i := item{At: d.Event.Time, Kind: "event", Title: t.clean(d.Event.Name), seq: 2 * d.Event.Seq}
		var own []string
		for _, name := range eventParams {
			if value, ok := d.Event.Params[name]; ok {
				own = append(own, name+"="+t.clean(fmt.Sprint(value)))
			}
		}
		if t.uuids {
			own = append(own, "call_uuid="+pops.Clean(d.Event.Call(), 64))
		}
		i.add("parameters", strings.Join(own, "  "))
		t.items = append(t.items, i)
	}
	link := ""
	if t.v.all() {
		link = "/desk/outbox/" + strconv.FormatInt(d.ID, 10)
	}
	for _, a := range attempts {
		chip := a.Class
		if a.Status != 0 {
			chip += " " + strconv.Itoa(a.Status)
		}
		i := item{At: a.Started, Kind: "delivery", Title: d.Event.Name + " → " + d.Hook, Chip: chip, Mark: cmp.Or(marks[a.Class], "bad"), Took: a.Took, Link: link, seq: 2*d.Event.Seq + 1}
		if t.v.all() && a.Class != "delivered" {
			i.add("answer", t.clean(a.Excerpt))
		}
		t.items = append(t.items, i)
	}
	if d.State == hooks.Delivered {
		return
	}
	at := d.Finished
	if d.State == hooks.Pending {
		at = time.Now()
	}
	t.items = append(t.items, item{At: at, Kind: "delivery", Title: d.Event.Name + " → " + d.Hook, Chip: t.f.T("state_" + d.State.String()), Mark: marks[d.State.String()], Link: link, seq: 2*d.Event.Seq + 1})
}

// pop adds a decision about a screen pop, or what became of one.
func (t *timeline) pop(p *dialplan.PointTrace) {
	values, ways := pops.Values(p)
	i := item{At: p.At, Kind: "pop", Title: t.clean(values["agent"]), Link: "/desk/pops?call=" + url.QueryEscape(p.LinkedID), seq: 1 << 30}
	if values["event"] == "" { // a fate
		i.Chip, i.Mark, i.Took = t.f.T("fate_"+p.Status), marks[p.Status], p.Took
		i.add("way", strings.Join(ways, ", "))
		i.add("why", t.clean(p.Why))
	} else {
		i.Chip, i.Mark = t.f.T("reason_"+p.Status), cmp.Or(marks[p.Status], "warn")
		i.add("event", values["event"])
		i.add("rule", t.clean(values["rule"]))
		i.add("way", strings.Join(ways, ", "))
		i.add("page", t.clean(values["url"]))
		i.add("why", t.clean(p.Why))
	}
	t.items = append(t.items, i)
}
