package board

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/desk/figures"
	"ringhook/dialplan"
	"ringhook/dialplan/kept"
	"ringhook/pops"
	"ringhook/store/browse"
)

const (
	// pageRows is the number of calls of a page.
	pageRows = 50
	// maxScanned is the maximum number of calls that one page looks at.
	maxScanned = 20_000
	// sheetRows is the maximum number of calls of a table for a spreadsheet.
	sheetRows = 10_000
	// readAtOnce is the number of calls that are read at once: a reader of the store waits for no browser.
	readAtOnce = 500
)

// callRow is a call in the list.
type callRow struct {
	ID        string // linkedid
	Began     time.Time
	Direction string
	Caller    string
	Person    string
	Dialed    string
	Queues    []string // names
	Agents    []string // who talked
	Outcome   string   // key of a text
	Wait      int      // seconds in queues; -1 if not known
	Talk      int      // seconds
	Open      bool
}

// callFilter selects calls.
type callFilter struct {
	Search  string // digits of the number, or a linkedid
	Queue   string
	Agent   string // id
	Outcome string
	From    browse.Place // in the list of calls
}

// filterOf reads the filter of a request.
func filterOf(r *http.Request) callFilter {
	q := r.URL.Query()
	f := callFilter{Search: pops.Clean(q.Get("q"), 64), Queue: q.Get("queue"), Agent: q.Get("agent"), Outcome: q.Get("outcome"), From: browse.Place{Before: time.Now().Add(time.Minute)}}
	if at, err := browse.ParsePlace(q.Get("before")); err == nil {
		f.From = at
	}
	return f
}

// rowOf returns a call as a viewer may see it.
func (s *Settings) rowOf(v *Viewer, c *kept.Call) callRow {
	sum := figures.SumOf(c)
	row := callRow{
		ID: c.LinkedID, Began: c.Began, Direction: c.Direction, Caller: v.number(callerOf(c)), Person: v.name(nameOf(c)),
		Dialed: v.number(pops.Clean(cmp.Or(c.Text("directid"), c.Text("dialed")), 64)), Outcome: sum.Outcome, Wait: sum.Wait, Talk: sum.Talk, Open: c.Ended.IsZero(),
	}
	for i := range c.Visits {
		if name := s.queueName(c.Visits[i].Queue()); !slices.Contains(row.Queues, name) {
			row.Queues = append(row.Queues, name)
		}
	}
	for _, phone := range sum.Phones {
		name := phone
		if a := s.agentOf(func(a *dialplan.Agent) bool { return a.Phone == phone }); a != nil {
			name = cmp.Or(pops.Clean(a.Name, maxShown), a.Phone)
		}
		if !slices.Contains(row.Agents, name) {
			row.Agents = append(row.Agents, name)
		}
	}
	return row
}

// takes reports whether a call, as the viewer sees it, fits the filter. A search does not look at digits that are hidden.
func (f *callFilter) takes(set *Settings, c *kept.Call, row *callRow) bool {
	if f.Queue != "" && !slices.ContainsFunc(c.Visits, func(v kept.Visit) bool { return v.Queue() == f.Queue }) {
		return false
	}
	if f.Agent != "" {
		a := set.agentOf(func(a *dialplan.Agent) bool { return a.ID == f.Agent })
		if a == nil || !slices.ContainsFunc(c.Rings, func(r kept.Ring) bool { return r.Phone == a.Phone }) {
			return false
		}
	}
	if f.Outcome != "" && row.Outcome != f.Outcome {
		return false
	}
	if f.Search == "" {
		return true
	}
	search := strings.ToLower(f.Search)
	for _, text := range []string{row.ID, row.Person, row.Caller, row.Dialed} {
		if strings.Contains(strings.ToLower(text), search) {
			return true
		}
	}
	digits := digitsOf(f.Search)
	return len(digits) >= 3 && (strings.Contains(digitsOf(row.Caller), digits) || strings.Contains(digitsOf(row.Dialed), digits))
}

func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// eachCall calls f with at most most calls that fit, the latest first, until f returns false. more is false if it looked at
// all of them; else until is the place after the last one at which it looked.
func (b *Board) eachCall(v *Viewer, filter *callFilter, most, scanned int, f func(*callRow) (more bool)) (until browse.Place, more bool, err error) {
	set, at, n := b.settings.Load(), filter.From, 0
	until = at
	for scanned > 0 {
		var list []browse.HeldCall
		limit := min(scanned, readAtOnce)
		if list, at, err = b.Store.CallsAfter(at, limit); err != nil {
			return until, false, err
		}
		for i := range list {
			c, err := kept.Decode(list[i].State)
			if err == nil && v.seesCall(c) {
				if row := set.rowOf(v, c); filter.takes(set, c, &row) {
					if n == most || !f(&row) {
						return until, true, nil
					}
					n++
				}
			}
			until = list[i].Place()
		}
		if len(list) < limit {
			return until, false, nil
		}
		scanned -= limit
	}
	return until, true, nil
}

// callsView is the list of calls.
type callsView struct {
	Filter   callFilter
	Rows     []callRow
	Older    string // URL of the next page; empty if there is none
	Until    time.Time
	Queues   []dialplan.Queue
	Agents   []dialplan.Agent
	Outcomes []string
	Sheet    string // URL of the same calls for a spreadsheet
}

func (b *Board) callsPage(w http.ResponseWriter, r *http.Request, f *Frame) {
	set, view := b.settings.Load(), callsView{Filter: filterOf(r), Outcomes: figures.Outcomes()}
	// Whole URLs: a template escapes the = and & of a query that stands alone.
	query := r.URL.Query()
	view.Sheet = "/desk/calls.csv?" + query.Encode()
	until, more, err := b.eachCall(&f.Viewer, &view.Filter, pageRows, maxScanned, func(row *callRow) bool {
		view.Rows = append(view.Rows, *row)
		return true
	})
	if err != nil {
		b.broken(w, r, f, "calls", err)
		return
	}
	if more {
		query.Set("before", until.String())
		view.Older, view.Until = "/desk/calls?"+query.Encode(), until.Before
	}
	for _, id := range set.queueIDs(&f.Viewer) {
		view.Queues = append(view.Queues, dialplan.Queue{ID: id, Name: set.queueName(id)})
	}
	view.Agents = set.visibleAgents(&f.Viewer)
	b.show(w, r, f, http.StatusOK, "calls", view)
}

func (b *Board) callsCSV(w http.ResponseWriter, r *http.Request, f *Frame) {
	b.callsSheet(w, r, f, sheetRows)
}

// callsSheet writes a table of at most most calls. Its last row says if there are more.
func (b *Board) callsSheet(w http.ResponseWriter, r *http.Request, f *Frame, most int) {
	filter := filterOf(r)
	s := newSheet(w, f, "calls")
	columns := []string{"began", "call", "direction", "caller", "name", "dialed", "queue", "agent", "outcome", "wait_csv", "talk_csv"}
	s.header(f, columns...)
	_, more, err := b.eachCall(&f.Viewer, &filter, most, math.MaxInt, func(row *callRow) bool {
		wait := &row.Wait
		if row.Wait < 0 {
			wait = nil
		}
		s.row(row.Began, row.ID, f.T("direction_"+row.Direction), row.Caller, row.Person, row.Dialed, strings.Join(row.Queues, ", "),
			strings.Join(row.Agents, ", "), f.T("outcome_"+row.Outcome), wait, row.Talk)
		return s.err == nil
	})
	if err != nil {
		// The table has begun: only an answer that breaks off shows that it is not all.
		b.Limited.Error("page calls.csv", "table of calls broken off, the download is not complete", "err", err)
		panic(http.ErrAbortHandler)
	}
	if more {
		cells := make([]any, len(columns))
		cells[0] = f.T("cut_csv") + " " + strconv.Itoa(most)
		s.row(cells...)
	}
	s.end(b)
}

// seenCall is what a viewer sees of the calls of a linkedid.
type seenCall struct {
	last  *kept.Call // the latest one; nil if none is kept, or seen
	since time.Time  // the points of all of them are later; zero if none is kept, or seen
	calls []string   // all of them, as hooks.Event.Call names them
	open  int        // the number of them that have not ended
	whole bool       // no other call of the linkedid, or event of one, is kept
}

// call returns what is kept of the calls of a linkedid that a viewer sees. Two Asterisks may have one linkedid.
// An administrator sees also calls of which only events are kept.
func (b *Board) call(v *Viewer, linkedid string) (c seenCall, err error) {
	list, err := b.Store.Calls(linkedid)
	if err != nil {
		return c, err
	}
	events, err := b.Store.EventCalls(linkedid)
	if err != nil {
		return c, err
	}
	c.whole = true
	for i := range list {
		call, err := kept.Decode(list[i].State)
		if err != nil {
			return seenCall{}, err
		}
		if !v.seesCall(call) {
			c.whole = false
			continue
		}
		c.last, c.calls = call, append(c.calls, list[i].UUID())
		if since := call.Began.Add(-time.Minute); c.since.IsZero() || since.Before(c.since) {
			c.since = since
		}
		if call.Ended.IsZero() {
			c.open++
		}
	}
	for _, call := range events {
		switch {
		case call == linkedid, slices.Contains(c.calls, call): // one without a call_uuid is of the one call that is kept
		case v.all():
			c.calls = append(c.calls, call)
		default:
			c.whole = false
		}
	}
	return c, nil
}

// Sees reports whether a viewer sees every call of a linkedid.
func (b *Board) Sees(v *Viewer, linkedid string) bool {
	if v.all() {
		return true
	}
	c, err := b.call(v, linkedid)
	return c.last != nil && c.whole && err == nil
}

// callView is the page of a call.
type callView struct {
	ID     string
	Shared bool     // there are several calls of the linkedid: Row and Facts are of the latest one, Items of all
	Row    *callRow // nil if its state is not kept
	Facts  []fact
	Items  []item
	Pops   int // decisions about screen pops
}

// fact is a parameter of the call.
type fact struct{ Name, Value string }

var errNoCall = errors.New("nothing is known of this call")

func (b *Board) callPage(w http.ResponseWriter, r *http.Request, f *Frame) {
	view, err := b.trace(&f.Viewer, f, r.PathValue("linkedid"))
	switch {
	case errors.Is(err, errNoCall):
		b.problem(w, r, f, http.StatusNotFound, "no_call_known")
	case errors.Is(err, errBusy):
		b.problem(w, r, f, http.StatusTooManyRequests, "busy_page")
	case err != nil:
		b.broken(w, r, f, "call", err)
	default:
		b.show(w, r, f, http.StatusOK, "call", view)
	}
}
