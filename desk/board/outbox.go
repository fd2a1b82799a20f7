package board

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"ringhook/hooks"
	"ringhook/pops"
	"ringhook/store/browse"
)

// outboxRows is the number of deliveries of a page, and the most that one request changes by their numbers.
const outboxRows = 100

// maxChanged is the maximum number of deliveries that one request changes by hook and state.
const maxChanged = 10_000

// deliveryRow is a delivery in the list.
type deliveryRow struct {
	ID       int64
	Accepted time.Time
	Hook     string
	Event    string
	Call     string
	State    string
	Attempts int
	Last     string // class and status of the last attempt
	Next     time.Time
	Held     bool
	Changes  bool // it can be tried again or dropped
}

// hookRow is a hook with its counts.
type hookRow struct {
	Hook    string
	Pending int
	Dead    int
	Oldest  time.Time
	State   string // fine, failing, waiting, disabled or unknown
	Until   time.Time
	Reason  string
}

// outboxView is the list of deliveries.
type outboxView struct {
	Hook, State, Call string
	Hooks             []hookRow
	Rows              []deliveryRow
	States            []string
	Changed           int    // that the request before changed; -1 for none
	Did               string // retry or drop
	Query             string
	Changeable        bool
}

// outboxStates are the states that can be listed.
var outboxStates = []string{"dead", "pending", "dropped", "delivered"}

func (v *outboxView) filter() browse.Filter {
	filter := browse.Filter{Hook: v.Hook, Call: v.Call, Limit: outboxRows}
	if state, ok := hooks.StateNamed(v.State); ok {
		filter.States = []hooks.State{state}
	} else {
		filter.States = []hooks.State{hooks.Pending, hooks.Dead}
	}
	return filter
}

func outboxOf(q url.Values) outboxView {
	v := outboxView{Hook: q.Get("hook"), State: q.Get("state"), Call: q.Get("call"), States: outboxStates, Changed: -1, Did: q.Get("did")}
	if n, err := strconv.Atoi(q.Get("changed")); err == nil {
		v.Changed = n
	}
	keep := url.Values{}
	for name, value := range map[string]string{"hook": v.Hook, "state": v.State, "call": v.Call} {
		if value != "" {
			keep.Set(name, value)
		}
	}
	v.Query = keep.Encode()
	return v
}

func (b *Board) outboxPage(w http.ResponseWriter, r *http.Request, f *Frame) {
	view := outboxOf(r.URL.Query())
	list, err := b.Store.List(view.filter())
	if err == nil {
		view.Hooks, err = b.hookRows()
	}
	if err != nil {
		b.broken(w, r, f, "outbox", err)
		return
	}
	for i := range list {
		row := rowOfDelivery(&list[i])
		view.Changeable = view.Changeable || row.Changes
		view.Rows = append(view.Rows, row)
	}
	b.show(w, r, f, http.StatusOK, "outbox", view)
}

func rowOfDelivery(d *browse.Item) deliveryRow {
	row := deliveryRow{
		ID: d.ID, Accepted: d.Accepted, Hook: d.Hook, Event: d.Event.Name, Call: d.Event.LinkedID, State: d.State.String(), Attempts: d.Attempts, Last: d.Class,
		Next: d.Next, Held: d.Held, Changes: d.State == hooks.Pending || d.State == hooks.Dead,
	}
	if d.Status != 0 {
		row.Last += " " + strconv.Itoa(d.Status)
	}
	return row
}

// hookRows returns the hooks of the configuration, and others that have deliveries.
func (b *Board) hookRows() ([]hookRow, error) {
	counts, err := b.Store.HookCounts()
	if err != nil {
		return nil, err
	}
	states, err := b.Store.States()
	if err != nil {
		return nil, err
	}
	now, rows := time.Now(), map[string]*hookRow{}
	for _, name := range b.settings.Load().Hooks().Names() {
		rows[name] = &hookRow{Hook: name, State: "fine"}
	}
	for _, c := range counts {
		if rows[c.Hook] == nil && c.Pending+c.Dead > 0 {
			rows[c.Hook] = &hookRow{Hook: c.Hook, State: "unknown"}
		}
		if row := rows[c.Hook]; row != nil {
			row.Pending, row.Dead, row.Oldest = c.Pending, c.Dead, c.Oldest
		}
	}
	for i := range states {
		if row := rows[states[i].Hook]; row != nil && row.State != "unknown" {
			row.set(&states[i], now)
		}
	}
	list := make([]hookRow, 0, len(rows))
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		row := rows[name]
		if row.State == "fine" && row.Pending > 0 {
			// A single failure changes no stored state of a hook, but the hook is not fine.
			last, _, failing, err := b.Store.Failing(name)
			if err != nil {
				return nil, err
			}
			if failing {
				row.State, row.Reason = "failing", last.Class
			}
		}
		list = append(list, *row)
	}
	return list, nil
}

// set sets the stored state of a hook.
func (row *hookRow) set(st *hooks.HookState, now time.Time) {
	switch {
	case st.Disabled != "":
		row.State, row.Reason = "disabled", pops.Clean(st.Disabled, maxValue)
	case now.Before(st.Until):
		row.State, row.Until, row.Reason = "waiting", st.Until, st.Class
	default:
		row.State, row.Reason = "failing", st.Class
	}
}

// deliveryView is the page of a delivery.
type deliveryView struct {
	Row      deliveryRow
	Facts    []fact
	Attempts []attemptRow
	Request  *hooks.Preview // as it would be sent now, without secrets; nil if its hook is not configured
}

type attemptRow struct {
	At     time.Time
	Took   time.Duration
	Chip   string
	Mark   string
	Answer string
}

func (b *Board) deliveryPage(w http.ResponseWriter, r *http.Request, f *Frame) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		b.problem(w, r, f, http.StatusNotFound, "no_delivery")
		return
	}
	d, attempts, err := b.Store.Show(id)
	switch {
	case errors.Is(err, browse.ErrNotFound):
		b.problem(w, r, f, http.StatusNotFound, "no_delivery")
		return
	case err != nil:
		b.broken(w, r, f, "delivery", err)
		return
	}
	view := deliveryView{Row: rowOfDelivery(&d)}
	params := b.settings.Load().Links.Params(d.Event.Params)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		view.Facts = append(view.Facts, fact{name, pops.Clean(fmt.Sprint(params[name]), maxValue)})
	}
	for _, a := range attempts {
		row := attemptRow{At: a.Started, Took: a.Took, Chip: a.Class, Mark: cmp.Or(marks[a.Class], "bad"), Answer: pops.Clean(a.Excerpt, 2000)}
		if a.Status != 0 {
			row.Chip += " " + strconv.Itoa(a.Status)
		}
		view.Attempts = append(view.Attempts, row)
	}
	if p, err := b.settings.Load().Hooks().Render(&d.Event, d.Hook); err == nil {
		p.Method, p.URL, p.Body = visible(p.Method), visible(p.URL), visible(indent(p.Body))
		for i := range p.Headers {
			p.Headers[i] = [2]string{visible(p.Headers[i][0]), visible(p.Headers[i][1])}
		}
		view.Request = &p
	}
	b.show(w, r, f, http.StatusOK, "delivery", view)
}

// visible removes characters that are not seen or change the direction of the text, and keeps lines.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.Is(unicode.Cf, r) || unicode.IsControl(r)) {
			return -1
		}
		return r
	}, s)
}

// indent makes JSON readable, and leaves its values as they are.
func indent(body string) string {
	var text bytes.Buffer
	if json.Indent(&text, []byte(body), "", "  ") != nil {
		return body
	}
	return text.String()
}

// changeOutbox tries deliveries again, or drops them: those that are chosen, or all of a hook and state.
func (b *Board) changeOutbox(w http.ResponseWriter, r *http.Request, f *Frame) {
	what, o := r.PathValue("what"), b.Store
	change := o.Retry
	switch what {
	case "retry":
	case "drop":
		change = o.Drop
	default:
		b.problem(w, r, f, http.StatusNotFound, "no_page")
		return
	}
	if err := r.ParseForm(); err != nil {
		b.problem(w, r, f, http.StatusBadRequest, "bad_request")
		return
	}
	view := outboxOf(r.PostForm)
	ids, err := chosen(r.PostForm["id"])
	if err != nil || len(ids) == 0 && r.PostForm.Get("all") == "" {
		b.problem(w, r, f, http.StatusBadRequest, "nothing_chosen")
		return
	}
	if len(ids) == 0 {
		filter := view.filter()
		filter.Limit = maxChanged
		if ids, err = o.Changeable(filter); err != nil {
			b.broken(w, r, f, "outbox", err)
			return
		}
	}
	n, err := change(r.Context(), ids...)
	b.settings.Load().Hooks().WakeAll()
	b.Log.Info("deliveries changed at the desk", "what", what, "by", f.Viewer.Name, "deliveries", n, "hook", view.Hook, "err", err)
	if err != nil {
		b.broken(w, r, f, "outbox", err)
		return
	}
	q, _ := url.ParseQuery(view.Query)
	q.Set("changed", strconv.Itoa(n))
	q.Set("did", what)
	http.Redirect(w, r, "/desk/outbox?"+q.Encode(), http.StatusSeeOther)
}

// chosen reads the numbers of deliveries.
func chosen(texts []string) (ids []int64, err error) {
	if len(texts) > outboxRows {
		return nil, errors.New("too many deliveries")
	}
	for _, text := range texts {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
