package desk

import (
	"net/http"
	"slices"
)

const (
	// maxTabs is the maximum number of streams of one agent, and of one supervisor.
	maxTabs = 8
	// maxPlain is the maximum number of streams of one browser over HTTP/1.1: browsers have six connections to a host, and
	// the other requests need some.
	maxPlain = 3
)

// tabs are the streams of one person's pages of one kind, the one that was focused or opened last first.
type tabs struct{ streams []*stream }

// plainSession returns the session of a browser over HTTP/1.1, empty for others.
func plainSession(r *http.Request, me *visitor) string {
	if r.ProtoMajor < 2 {
		return me.secret
	}
	return ""
}

func newStream(session string) *stream {
	return &stream{id: randomID(), session: session, out: make(chan []byte, streamRoom), gone: make(chan string, 1), check: make(chan struct{}, 1)}
}

// join registers a stream. If there are too many, those that were focused the longest time ago sleep. The caller holds
// d.mu.
func (d *Desk) join(t *tabs, s *stream) (status int) {
	switch {
	case d.closed, d.streams >= d.current.Load().Config.MaxStreams && len(t.streams) < maxTabs:
		d.metrics.dropped.WithLabelValues(dropFull).Inc()
		return http.StatusServiceUnavailable
	case len(t.streams) >= maxTabs:
		d.metrics.dropped.WithLabelValues(dropAgent).Inc()
		// It is no longer counted, also if its browser does not read the end.
		t.streams[len(t.streams)-1].end(byeSleep)
		t.streams = t.streams[:len(t.streams)-1]
		d.streams--
	}
	t.streams = append([]*stream{s}, t.streams...)
	d.streams++
	return http.StatusOK
}

// part removes a stream, and returns its place; -1 if it was removed before. The caller holds d.mu.
func (d *Desk) part(t *tabs, s *stream) (was int) {
	was = slices.Index(t.streams, s)
	if was >= 0 {
		t.streams = slices.Delete(t.streams, was, was+1)
		d.streams--
	}
	return was
}

// sleep ends streams of the browser of a new one that has too many over HTTP/1.1: first those of pages of supervisors, and
// of each kind those that were focused the longest time ago. The caller holds d.mu.
func (d *Desk) sleep(person string, opened *stream) {
	if opened.session == "" {
		return
	}
	n := 1
	for _, t := range d.tabsOf(person) {
		t.streams = slices.DeleteFunc(t.streams, func(s *stream) bool {
			if s == opened || s.session != opened.session {
				return false
			}
			if n++; n <= maxPlain {
				return false
			}
			s.end(byeSleep)
			d.streams--
			return true
		})
	}
}

// tabsOf returns the tabs of a person: as an agent, then as a supervisor. The caller holds d.mu.
func (d *Desk) tabsOf(person string) (list []*tabs) {
	if h := d.hubs[person]; h != nil {
		list = append(list, &h.tabs)
	}
	if h := d.lives[person]; h != nil {
		list = append(list, &h.tabs)
	}
	return list
}

// endTabs ends all streams of a person.
func (d *Desk) endTabs(person, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.tabsOf(person) {
		for _, s := range t.streams {
			s.end(why)
		}
	}
}
