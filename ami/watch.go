package ami

import "sync"

// watched are the events that a Watch delivers.
var watched = map[string]bool{
	"OriginateResponse": true, "Newchannel": true, "Newstate": true, "DialBegin": true, "DialEnd": true,
	"Hangup": true, "Hold": true, "Unhold": true,
}

// maxWatched is the maximum number of events that wait for the user of a Watch. A call has a few.
const maxWatched = 64

// Watch delivers the events of one channel: OriginateResponse, Newchannel, Newstate, DialBegin, DialEnd, Hangup, Hold
// and Unhold.
type Watch struct {
	// Events is closed if the connection is lost, or the events were not read fast enough: then what
	// happened is not known.
	Events <-chan Message

	events   chan Message
	uniqueID string
	from     *watches
}

// Close ends the delivery.
func (w *Watch) Close() { w.from.end(w) }

// watches are all Watch of a client, by the channel's uniqueid.
type watches struct {
	mu  sync.Mutex
	all map[string]map[*Watch]struct{} // guarded by mu; a Watch that has ended is not in it
}

// Watch begins to deliver the events of a channel, which need not exist yet.
func (c *Client) Watch(uniqueID string) *Watch {
	w := &Watch{events: make(chan Message, maxWatched), uniqueID: uniqueID, from: &c.watches}
	w.Events = w.events
	c.watches.mu.Lock()
	defer c.watches.mu.Unlock()
	if c.watches.all == nil {
		c.watches.all = map[string]map[*Watch]struct{}{}
	}
	if c.watches.all[uniqueID] == nil {
		c.watches.all[uniqueID] = map[*Watch]struct{}{}
	}
	c.watches.all[uniqueID][w] = struct{}{}
	return w
}

// end closes a Watch once.
func (s *watches) end(w *Watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(w)
}

// drop is end with mu held.
func (s *watches) drop(w *Watch) {
	if _, open := s.all[w.uniqueID][w]; !open {
		return
	}
	delete(s.all[w.uniqueID], w)
	if len(s.all[w.uniqueID]) == 0 {
		delete(s.all, w.uniqueID)
	}
	close(w.events)
}

// deliver hands an event to those that watch its channel. The reader calls it, so it does not block.
func (s *watches) deliver(m Message) {
	if !watched[m.Event()] {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return
	}
	for w := range s.all[m.Get("Uniqueid")] {
		select {
		case w.events <- m:
		default:
			s.drop(w)
		}
	}
}

// lose ends every Watch: events were lost.
func (s *watches) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, set := range s.all {
		for w := range set {
			s.drop(w)
		}
	}
}
