package board

import (
	"encoding/json"
	"time"

	"ringhook/control"
	"ringhook/desk/figures"
)

const (
	// updateEvery is the time between two readings of the calls that changed.
	updateEvery = 2 * time.Second
	// timesEvery is the time between two readings of the times of agents.
	timesEvery = 20 * time.Second
	// maxShown is the maximum length of a text that is shown, in characters.
	maxShown = 120
)

// Look is everything that is alive at a moment, for all viewers.
type Look struct {
	board  *Board
	set    *Settings
	now    time.Time
	live   control.Live
	agents []control.AgentView
	open   []*figures.Open
	byCall map[string][]*figures.Open // by linkedid, which two Asterisks may have in common
	calls  map[string][]*control.Call // by linkedid
}

// Look returns what is alive now.
func (b *Board) Look(now time.Time) *Look {
	b.refresh(now)
	l := &Look{
		board: b, set: b.settings.Load(), now: now, live: b.Control.Live(), agents: b.Control.Agents(control.Administrator("desk")), open: b.book.OpenCalls(),
	}
	l.index()
	return l
}

// index finds the calls by linkedid.
func (l *Look) index() {
	l.byCall, l.calls = map[string][]*figures.Open{}, map[string][]*control.Call{}
	for _, o := range l.open {
		l.byCall[o.LinkedID] = append(l.byCall[o.LinkedID], o)
	}
	for i := range l.live.Calls {
		c := &l.live.Calls[i]
		l.calls[c.LinkedID] = append(l.calls[c.LinkedID], c)
	}
}

// reportedAs returns what the points reported of a call; nil if it is not known, or several calls have its linkedid.
func (l *Look) reportedAs(linkedid string) *figures.Open {
	if open := l.byCall[linkedid]; len(open) == 1 && len(l.calls[linkedid]) <= 1 {
		return open[0]
	}
	return nil
}

// refresh reads what changed of the calls, and the times of agents, if the last reading is old.
func (b *Board) refresh(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if since := now.Sub(b.updated); since >= updateEvery || since < 0 {
		if err := b.book.Update(); err != nil {
			b.Limited.Warn("calls of the day", "cannot read the calls of the day", "err", err)
		}
		b.updated = now
	}
	if since := now.Sub(b.timed); b.times == nil || since >= timesEvery || since < 0 {
		times, err := figures.ReadTimes(b.Accounts, now)
		if err != nil {
			b.Limited.Warn("times of agents", "cannot read the times of agents", "err", err)
			times = map[string]figures.Times{}
		}
		b.times, b.timed = times, now
	}
}

// serverEntry is an Asterisk.
type serverEntry struct {
	Server    string `json:"server"`
	Connected bool   `json:"connected"`
}

// Entries returns what a viewer sees, encoded, each under its key.
func (l *Look) Entries(v *Viewer) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	put := func(key string, value any) {
		text, err := json.Marshal(value)
		if err == nil { // its types are ours
			out[key] = text
		}
	}
	for _, s := range l.live.Servers {
		put("server/"+s.Server, serverEntry(s))
	}
	queues, waits := l.queues(v)
	for i := range queues {
		put("queue/"+queues[i].Server+"/"+queues[i].Queue, queues[i])
	}
	for i := range waits {
		put("wait/"+waits[i].Server+"/"+waits[i].UniqueID, waits[i])
	}
	for _, c := range l.talks(v) {
		put("call/"+c.Server+"/"+c.Call, c)
	}
	for _, a := range l.people(v) {
		put("agent/"+a.Agent, a)
	}
	today := l.board.Today(v)
	put("total", today.Total)
	put("day", map[string]any{"from": today.From, "level": today.Level, "bars": today.Bars, "pbx": l.set.PBX, "pops": len(l.set.Moments) > 0})
	for i := range today.Queues {
		put("figures/"+today.Queues[i].Queue, today.Queues[i])
	}
	for i := range today.Agents {
		put("work/"+today.Agents[i].Phone, today.Agents[i])
	}
	return out
}
