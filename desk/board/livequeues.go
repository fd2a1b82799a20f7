package board

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"ringhook/dialplan"
	"ringhook/pops"
)

// queueEntry is a queue with its members.
type queueEntry struct {
	Queue   string     `json:"queue"`
	Name    string     `json:"name"`
	Server  string     `json:"server,omitempty"`
	Waiting int        `json:"waiting"`
	Longest *time.Time `json:"longest,omitempty"`
	Free    int        `json:"free"`
	Busy    int        `json:"busy"`
	Paused  int        `json:"paused"`
	Members int        `json:"members"`
	Known   bool       `json:"known"` // by an Asterisk that is connected
}

// waitEntry is a caller who waits.
type waitEntry struct {
	Queue    string    `json:"queue"`
	Name     string    `json:"name"` // of the queue
	Server   string    `json:"server,omitempty"`
	Call     string    `json:"call"`
	UniqueID string    `json:"uniqueid"`
	Caller   string    `json:"caller,omitempty"`
	Person   string    `json:"person,omitempty"`
	Position int       `json:"position"`
	Priority int       `json:"priority"`
	Since    time.Time `json:"since"`
	Steer    bool      `json:"steer"`
}

// queues returns the queues of a viewer and who waits there: as Asterisk has them, else as the points reported them.
func (l *Look) queues(v *Viewer) (queues []queueEntry, waits []waitEntry) {
	have := map[string]bool{}
	for i := range l.live.Queues {
		q := &l.live.Queues[i]
		if !v.Sees(q.ID) || v.all() && l.set.unnamed(q.ID) && len(q.Members)+len(q.Waiting) == 0 {
			continue
		}
		have[q.ID] = true
		e := queueEntry{
			Queue: q.ID, Name: l.set.queueName(q.ID), Server: q.Server, Waiting: len(q.Waiting), Longest: q.Longest, Free: q.Free, Busy: q.Busy,
			Paused: q.Paused, Members: len(q.Members), Known: true,
		}
		queues = append(queues, e)
		for _, w := range q.Waiting {
			waits = append(waits, waitEntry{
				Queue: q.ID, Name: e.Name, Server: q.Server, Call: w.LinkedID, UniqueID: w.UniqueID, Caller: v.number(w.Caller),
				Person: v.name(pops.Clean(w.Name, maxShown)), Position: w.Position, Priority: w.Priority, Since: w.Since, Steer: true,
			})
		}
	}
	reported := map[string]*queueEntry{}
	for _, id := range l.set.queueIDs(v) {
		if !have[id] {
			reported[id] = &queueEntry{Queue: id, Name: l.set.queueName(id)}
		}
	}
	if !l.set.PBX {
		waits = append(waits, l.reported(v, reported)...)
	}
	for _, e := range reported {
		queues = append(queues, *e)
	}
	slices.SortFunc(queues, func(a, b queueEntry) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Queue, b.Queue), strings.Compare(a.Server, b.Server))
	})
	return queues, waits
}

// reported adds the callers who wait as the points reported them, in the order of their coming.
func (l *Look) reported(v *Viewer, queues map[string]*queueEntry) (waits []waitEntry) {
	for _, o := range l.open {
		for i := range o.Visits {
			visit := &o.Visits[i]
			q := queues[visit.Queue()]
			if q == nil || visit.Began.IsZero() || !visit.Answered.IsZero() || !visit.Ended.IsZero() {
				continue
			}
			q.Waiting++
			if q.Longest == nil || visit.Began.Before(*q.Longest) {
				q.Longest = &visit.Began
			}
			waits = append(waits, waitEntry{
				Queue: q.Queue, Name: q.Name, Call: o.LinkedID, UniqueID: visit.Marker.UniqueID, Caller: v.number(callerOf(&o.Call)),
				Person: v.name(nameOf(&o.Call)), Position: q.Waiting, Since: visit.Began,
			})
		}
	}
	return waits
}

// queueName returns the name of a queue.
func (s *Settings) queueName(id string) string {
	for i := range s.Queues {
		if s.Queues[i].ID == id && s.Queues[i].Name != "" {
			return s.Queues[i].Name
		}
	}
	return id
}

// unnamed reports whether the configuration does not name a queue.
func (s *Settings) unnamed(id string) bool {
	return !slices.ContainsFunc(s.Queues, func(q dialplan.Queue) bool { return q.ID == id })
}

// queueIDs returns the queues of the configuration that a viewer sees.
func (s *Settings) queueIDs(v *Viewer) (ids []string) {
	for i := range s.Queues {
		if v.Sees(s.Queues[i].ID) {
			ids = append(ids, s.Queues[i].ID)
		}
	}
	for _, id := range v.Queues {
		if !v.all() && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
