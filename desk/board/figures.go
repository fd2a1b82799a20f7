package board

import (
	"cmp"
	"encoding/csv"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/desk/figures"
	"ringhook/dialplan"
	"ringhook/pops"
)

// Today returns the figures that a viewer sees.
func (b *Board) Today(v *Viewer) figures.Today {
	set := b.settings.Load()
	b.mu.Lock()
	times := b.times
	b.mu.Unlock()
	s := figures.Scope{Names: map[string]string{}, Times: times, Phones: map[string]string{}, Others: v.all()}
	if !v.all() {
		s.Queues = append([]string{}, v.Queues...)
	}
	for _, id := range set.queueIDs(v) {
		s.Names[id] = set.queueName(id)
	}
	for i := range set.Agents {
		a := &set.Agents[i]
		if a.ID != "" {
			s.Phones[a.ID] = a.Phone
		}
		if a.Phone != "" && v.seesAgent(a) {
			s.Agents = append(s.Agents, figures.Agent{Agent: a.ID, Name: cmp.Or(pops.Clean(a.Name, maxShown), a.Phone), Phone: a.Phone})
		}
	}
	return b.book.Today(s)
}

func (b *Board) livePage(w http.ResponseWriter, r *http.Request, f *Frame) {
	b.show(w, r, f, http.StatusOK, "live", b.settings.Load().reasons(f.Tag))
}

func (b *Board) wallPage(w http.ResponseWriter, r *http.Request, f *Frame) {
	b.show(w, r, f, http.StatusOK, "wall", nil)
}

// figuresView is what the page of the figures says around them.
type figuresView struct {
	Level int // seconds
	From  time.Time
	Short bool // calls are kept for less than the day lasts already
}

func (b *Board) figuresPage(w http.ResponseWriter, r *http.Request, f *Frame) {
	now := time.Now()
	set := b.settings.Load()
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.Local)
	b.show(w, r, f, http.StatusOK, "figures", figuresView{int(set.Level / time.Second), now.Add(-set.Kept), now.Add(-set.Kept).After(midnight)})
}

// reason is a reason of a pause.
type reason struct{ Name, Text string }

func (s *Settings) reasons(tag string) (list []reason) {
	for i := range s.Pauses {
		p := &s.Pauses[i]
		list = append(list, reason{p.Name, cmp.Or(p.Text[tag], p.Text["en"], p.Name)})
	}
	return list
}

// sheet writes a table for spreadsheets.
type sheet struct {
	w   *csv.Writer
	err error
}

// newSheet begins a table. The mark at its beginning makes spreadsheets read UTF-8. Those of some languages expect a
// semicolon, because the comma is their decimal point.
func newSheet(w http.ResponseWriter, f *Frame, name string) *sheet {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+"-"+time.Now().Format(time.DateOnly)+`.csv"`)
	_, err := w.Write([]byte("\ufeff"))
	s := &sheet{csv.NewWriter(w), err}
	s.w.UseCRLF = true
	if f.Tag == "ru" || f.Tag == "fr" {
		s.w.Comma = ';'
	}
	return s
}

// row adds cells.
func (s *sheet) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case string:
			texts[i] = harmless(c)
		case int:
			texts[i] = strconv.Itoa(c)
		case *int:
			if c != nil {
				texts[i] = strconv.Itoa(*c)
			}
		case time.Time:
			if !c.IsZero() {
				texts[i] = c.Local().Format(time.DateTime)
			}
		}
	}
	s.err = cmp.Or(s.err, s.w.Write(texts))
}

// end writes what is left, and logs a failure: the browser has gone.
func (s *sheet) end(b *Board) {
	s.w.Flush()
	if err := cmp.Or(s.err, s.w.Error()); err != nil {
		b.Log.Debug("table for a spreadsheet not written", "err", err)
	}
}

// formula matches the beginning of a formula: at the beginning of a cell, and after what separates cells for a spreadsheet
// of another language.
var formula = regexp.MustCompile(`(^|[;,])([\p{Z}\p{Cf}"]*[=+\-@|%＝＋－＠])`)

// harmless returns a text in which no spreadsheet finds a formula: an apostrophe stands before what begins as one. It is
// cleaned as all texts of callers are.
func harmless(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s)
	return formula.ReplaceAllString(s, "$1'$2")
}

// header adds the names of the columns, by the keys of their texts.
func (s *sheet) header(f *Frame, keys ...string) {
	cells := make([]any, len(keys))
	for i, key := range keys {
		cells[i] = f.T(key)
	}
	s.row(cells...)
}

func (b *Board) queuesCSV(w http.ResponseWriter, _ *http.Request, f *Frame) {
	b.refresh(time.Now())
	s := newSheet(w, f, "queues")
	s.header(f, "queue_id", "queue", "offered", "waiting", "answered", "abandoned", "left", "unknown", "within_csv", "level_csv", "lost_csv", "wait_csv", "longest_csv", "talk_csv", "average_csv", "occupancy_csv")
	today := b.Today(&f.Viewer)
	for _, q := range today.Queues {
		s.row(q.Queue, q.Name, q.Offered, q.Waiting, q.Answered, q.Abandoned, q.Left, q.Unknown, q.Within, q.Level, q.Lost, q.Wait, q.Longest, q.Talk, q.Average, q.Occupancy)
	}
	s.end(b)
}

func (b *Board) agentsCSV(w http.ResponseWriter, _ *http.Request, f *Frame) {
	b.refresh(time.Now())
	s := newSheet(w, f, "agents")
	s.header(f, "agent_id", "agent", "phone", "offered", "answered", "missed", "abandoned", "elsewhere", "outgoing", "level_csv", "wait_csv", "longest_csv", "ring_csv", "talk_csv", "average_csv", "logged_in_csv", "paused_csv", "occupancy_csv")
	today := b.Today(&f.Viewer)
	for _, a := range today.Agents {
		s.row(a.Agent, a.Name, a.Phone, a.Offered, a.Answered, a.Missed, a.Abandoned, a.Elsewhere, a.Outgoing, a.Level, a.Wait, a.Longest, a.Ring, a.Talk, a.Average, a.LoggedIn, a.Paused, a.Occupancy)
	}
	s.end(b)
}

func (b *Board) hoursCSV(w http.ResponseWriter, _ *http.Request, f *Frame) {
	b.refresh(time.Now())
	s := newSheet(w, f, "hours")
	s.header(f, "from", "queue_id", "queue", "offered", "answered", "abandoned", "left")
	today := b.Today(&f.Viewer)
	for i, from := range today.Bars {
		for _, q := range today.Queues {
			s.row(from, q.Queue, q.Name, q.Plot[i].Offered, q.Plot[i].Answered, q.Plot[i].Abandoned, q.Plot[i].Left)
		}
	}
	s.end(b)
}

// visibleAgents returns the agents that a viewer sees, sorted.
func (s *Settings) visibleAgents(v *Viewer) (list []dialplan.Agent) {
	for i := range s.Agents {
		if a := &s.Agents[i]; a.ID != "" && v.seesAgent(a) {
			named := *a
			named.Name = cmp.Or(pops.Clean(a.Name, maxShown), a.ID)
			list = append(list, named)
		}
	}
	slices.SortFunc(list, func(a, b dialplan.Agent) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	return list
}
