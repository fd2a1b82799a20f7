package desk

import (
	"encoding/json"
	"net/http"
	"time"

	"ringhook/desk/board"
)

// liveHub holds the streams of one supervisor, and what they show.
type liveHub struct {
	tabs
	shown map[string]json.RawMessage // entries by key
}

// liveMessage is a message of the stream of supervisors: entries that are new or have changed, and keys of those that
// are gone. The first one has all of them.
type liveMessage struct {
	V    int                        `json:"v"`
	All  bool                       `json:"all,omitempty"`
	Now  time.Time                  `json:"now"`
	Set  map[string]json.RawMessage `json:"set"`
	Gone []string                   `json:"gone,omitempty"`
}

// viewer returns who looks at the pages of supervisors, by the name that records of commands have; false for an agent.
func (d *Desk) viewer(agent, name string) (board.Viewer, bool) {
	who, err := d.control.AgentActor(agent, name)
	if err != nil {
		return board.Viewer{}, false
	}
	return d.board.Viewer(who)
}

// liveEvents serves the stream of a supervisor's page.
func (d *Desk) liveEvents(w http.ResponseWriter, r *http.Request, me *visitor) {
	v, may := d.viewer(me.agent.ID, me.name)
	if !may {
		fail(w, http.StatusForbidden, "forbidden", "only for supervisors and administrators")
		return
	}
	s, status := d.openLive(me.agent.ID, &v, plainSession(r, me))
	if status != http.StatusOK {
		w.Header().Set("Retry-After", "10")
		fail(w, status, "busy", "too many open desks")
		return
	}
	stop := make(chan struct{})
	if r.URL.Query().Has("wall") {
		// A big screen is never clicked. Its session still ends after the time of [desk] session.
		go d.keepUsed(me, stop)
	}
	d.carry(w, r, me, s, func() {
		close(stop)
		d.leaveLive(me.agent.ID, s)
	})
}

// keepUsed notes the use of a session, until stop is closed.
func (d *Desk) keepUsed(me *visitor, stop <-chan struct{}) {
	tick := time.NewTicker(idleTime / 8)
	defer tick.Stop()
	wall := *me
	for {
		d.used(&wall)
		select {
		case <-stop:
			return
		case now := <-tick.C:
			wall.session.Used = now.Add(-idleTime)
		}
	}
}

// openLive registers a stream with everything as its first message. The session is that of a browser over HTTP/1.1, empty
// for others.
func (d *Desk) openLive(agent string, v *board.Viewer, session string) (s *stream, status int) {
	s = newStream(session)
	entries := d.board.Look(time.Now()).Entries(v)
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.lives[agent]
	if h == nil {
		h = &liveHub{shown: entries}
	}
	if status = d.join(&h.tabs, s); status != http.StatusOK {
		return nil, status
	}
	d.lives[agent] = h
	// The other tabs have what the hub has; this one begins with the same.
	d.push(s, encode(d.epoch+"-0", "live", &liveMessage{V: 1, All: true, Now: time.Now(), Set: h.shown}))
	d.sleep(agent, s)
	return s, http.StatusOK
}

// leaveLive removes a stream.
func (d *Desk) leaveLive(agent string, s *stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.lives[agent]
	if h == nil {
		return
	}
	d.part(&h.tabs, s)
	if len(h.streams) == 0 {
		delete(d.lives, agent)
	}
}

// showLive sends every supervisor what changed since the last message.
func (d *Desk) showLive(now time.Time) {
	d.mu.Lock()
	agents := make([]string, 0, len(d.lives))
	for agent := range d.lives {
		agents = append(agents, agent)
	}
	d.mu.Unlock()
	if len(agents) == 0 {
		return
	}
	look := d.board.Look(now)
	for _, agent := range agents {
		v, may := d.viewer(agent, "agent "+agent)
		var entries map[string]json.RawMessage
		if may {
			entries = look.Entries(&v)
		}
		d.sendLive(agent, entries, may, now)
	}
}

// sendLive sends the difference between what a supervisor's tabs show and what is now.
func (d *Desk) sendLive(agent string, entries map[string]json.RawMessage, may bool, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.lives[agent]
	if h == nil {
		return
	}
	if !may { // a reload took the role
		for _, s := range h.streams {
			s.end(byeSignedOut)
		}
		return
	}
	m := liveMessage{V: 1, Now: now, Set: map[string]json.RawMessage{}}
	for key, text := range entries {
		if string(h.shown[key]) != string(text) {
			m.Set[key] = text
		}
	}
	for key := range h.shown {
		if entries[key] == nil {
			m.Gone = append(m.Gone, key)
		}
	}
	h.shown = entries
	if len(m.Set)+len(m.Gone) == 0 {
		return
	}
	message := encode(d.epoch+"-0", "live", &m)
	for _, s := range h.streams {
		d.push(s, message)
	}
}
