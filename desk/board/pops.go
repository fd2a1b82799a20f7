package board

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"ringhook/dialplan"
	"ringhook/pops"
)

// maxDecisions is the number of decisions that the page shows.
const maxDecisions = 200

// spans are the time spans of the page, the default first.
var spans = []struct {
	Key  string
	Long time.Duration
}{{"span_hour", time.Hour}, {"span_quarter", 15 * time.Minute}, {"span_day", 8 * time.Hour}, {"span_all", 24 * time.Hour}}

// decision is what was decided about one call and one agent at one event, and what became of the pop.
type decision struct {
	At     time.Time
	Agent  string // as the record has it
	Name   string
	Call   string // linkedid
	Caller string
	Event  string
	Rule   string
	Reason pops.Reason
	Popped bool
	Ways   []string
	URL    string
	Note   string
	Fates  []popFate
	key    string // call, agent and rule
}

// popFate is a fate of a pop.
type popFate struct {
	Fate, Way, Mark string
	Took            time.Duration
}

// popsView is the page.
type popsView struct {
	Agent, Call, Span string
	Failed            bool // only what did not pop
	Rows              []decision
	Agents            []dialplan.Agent
	Spans             []string
	Advice            []string // keys of texts: why nothing is shown
	Events            []string // of the call
	Moments           []string // events of the rules
	More              bool
}

func (b *Board) popsPage(w http.ResponseWriter, r *http.Request, f *Frame) {
	q, set := r.URL.Query(), b.settings.Load()
	view := popsView{Agent: q.Get("agent"), Call: q.Get("call"), Span: q.Get("span"), Failed: q.Get("failed") != "", Agents: set.visibleAgents(&f.Viewer), Moments: set.Moments}
	long := spans[0].Long
	for _, s := range spans {
		view.Spans = append(view.Spans, s.Key)
		if s.Key == view.Span {
			long = s.Long
		}
	}
	done, err := b.slot()
	if err != nil {
		b.problem(w, r, f, http.StatusTooManyRequests, "busy_page")
		return
	}
	defer done()
	list := b.newDecisions(&f.Viewer, &view)
	err = list.read(time.Now().Add(-long))
	switch {
	case errors.Is(err, errNoCall):
		b.problem(w, r, f, http.StatusNotFound, "no_call_known")
		return
	case err != nil:
		b.broken(w, r, f, "pops", err)
		return
	}
	view.Rows = list.rows()
	if len(view.Rows) == 0 {
		view.Advice = view.advice(set)
	}
	b.show(w, r, f, http.StatusOK, "pops", view)
}

// decisions joins the records of decisions with those of fates. It holds the latest that fit the view.
type decisions struct {
	b    *Board
	v    *Viewer
	view *popsView
	set  *Settings
	sees map[string]bool // by linkedid
	list []*decision     // the earliest first
	last map[string]*decision
}

func (b *Board) newDecisions(v *Viewer, view *popsView) *decisions {
	return &decisions{b: b, v: v, view: view, set: b.settings.Load(), sees: map[string]bool{}, last: map[string]*decision{}}
}

// read reads the records of the view: all of a call, or those since a time. It notes the events of a call.
func (l *decisions) read(since time.Time) error {
	if l.view.Call == "" {
		return l.b.Store.PointsSince(since, l.add)
	}
	c, err := l.b.call(l.v, l.view.Call)
	if err != nil {
		return err
	}
	if !l.v.all() && (c.last == nil || !c.whole) { // a record does not name its Asterisk
		return errNoCall
	}
	points, err := l.b.Store.CallPoints(l.view.Call, c.since)
	for i := range points {
		l.add(&points[i])
		for _, e := range points[i].Events {
			if !slices.Contains(l.view.Events, e.Name) && len(l.view.Events) < 32 {
				l.view.Events = append(l.view.Events, e.Name)
			}
		}
	}
	return err
}

// add takes a record, if the viewer sees it and it fits the view.
func (l *decisions) add(p *dialplan.PointTrace) {
	if p.Point != pops.TracePoint {
		return
	}
	values, ways := pops.Values(p)
	key := p.LinkedID + "\x00" + values["agent"] + "\x00" + values["rule"]
	if values["event"] == "" {
		if d := l.last[key]; d != nil && len(d.Fates) < 16 {
			d.Fates = append(d.Fates, popFate{p.Status, strings.Join(ways, ", "), marks[p.Status], p.Took})
			if p.Why != "" {
				d.Note = l.v.text(pops.Clean(p.Why, maxValue))
			}
		}
		return
	}
	a := l.set.agentOf(func(a *dialplan.Agent) bool {
		named := pops.Agent{ID: a.ID, Phone: a.Phone, Name: a.Name}
		return named.String() == values["agent"]
	})
	if l.view.Agent != "" && (a == nil || a.ID != l.view.Agent) || !l.v.all() && (a == nil || !l.v.seesAgent(a) || !l.seesCall(p.LinkedID)) {
		return
	}
	d := &decision{
		At: p.At, Agent: pops.Clean(values["agent"], maxShown), Name: pops.Clean(values["agent"], maxShown), Call: p.LinkedID, Caller: l.v.number(pops.Clean(p.Caller, 64)),
		Event: pops.Clean(values["event"], 64), Rule: pops.Clean(values["rule"], 64), Reason: pops.Reason(p.Status), Popped: p.Status == string(pops.Popped),
		Ways: ways, URL: l.v.text(pops.Clean(values["url"], maxValue)), Note: l.v.text(pops.Clean(p.Why, maxValue)), key: key,
	}
	if a != nil {
		d.Name = cmp.Or(pops.Clean(a.Name, maxShown), a.Phone)
	}
	l.last[key] = d
	if l.list = append(l.list, d); len(l.list) >= 8*maxDecisions {
		l.shorten(4 * maxDecisions)
	}
}

func (l *decisions) seesCall(linkedid string) bool {
	sees, known := l.sees[linkedid]
	if !known {
		sees = l.b.Sees(l.v, linkedid)
		l.sees[linkedid] = sees
	}
	return sees
}

// shorten removes the decisions that do not fit the view, and of the others all but the latest. A pop that is not shown yet
// fits a view of those that failed.
func (l *decisions) shorten(most int) {
	l.list = slices.DeleteFunc(l.list, func(d *decision) bool { return l.view.Failed && d.Popped && !d.failed() })
	if over := len(l.list) - most; over > 0 {
		l.view.More = true
		l.list = slices.Delete(l.list, 0, over)
	}
	clear(l.last)
	for _, d := range l.list {
		l.last[d.key] = d
	}
}

// rows returns the decisions, the latest first.
func (l *decisions) rows() []decision {
	l.shorten(maxDecisions)
	rows := make([]decision, 0, len(l.list))
	for _, d := range slices.Backward(l.list) {
		rows = append(rows, *d)
	}
	return rows
}

// failed reports whether a pop was never shown.
func (d *decision) failed() bool {
	for _, f := range d.Fates {
		if f.Fate == string(pops.Shown) || f.Fate == string(pops.Taken) {
			return false
		}
	}
	return !slices.Contains(d.Ways, string(pops.Scheme))
}

// advice returns why there is no decision.
func (view *popsView) advice(set *Settings) (keys []string) {
	switch {
	case len(set.Moments) == 0:
		return []string{"advice_no_rules"}
	case view.Call != "" && len(view.Events) == 0:
		return []string{"advice_no_events"}
	case view.Call != "" && !slices.ContainsFunc(view.Events, func(e string) bool { return slices.Contains(set.Moments, e) }):
		return []string{"advice_other_events"}
	case view.Call != "":
		return []string{"advice_no_agent"}
	case view.Failed:
		return []string{"advice_all_popped"}
	}
	return []string{"advice_no_calls"}
}
