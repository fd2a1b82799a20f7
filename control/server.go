package control

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/control/report"
	"ringhook/control/switching"
	"ringhook/loglimit"
)

// kinds are the parts of the state that are compared, and label values.
var kinds = []string{"channel", "caller", "member", "queue", "parked", "phone"}

// rereadPause is the shortest time between two readings of the lists that events caused.
const rereadPause = time.Second

// server is one Asterisk. It is an ami.Watcher.
type server struct {
	config      ami.Config
	files       [sha256.Size]byte // a digest of the CA certificates' file
	client      *ami.Client
	from        source // the client
	log         *slog.Logger
	limited     *loglimit.Limiter
	differences *prometheus.CounterVec
	stop        func()           // nil before start
	reporter    *report.Reporter // nil if no points are reported
	resync      atomic.Bool      // the reporter lost events, and needs the lists
	asking      chan struct{}    // has one if there may be channels whose presentation has to be asked

	suspects map[string]string // what the last comparison found, by entry, with its kind
	read     time.Time         // when the lists were read last
	reread   atomic.Bool       // as soon as rereadPause is over

	mu        sync.Mutex
	state     *state   // guarded by mu
	connected bool     // guarded by mu: the state is complete
	names     []string // by which calls are identified: see report.Snapshot; guarded by mu, as a whole
}

// Connected reads the state.
func (s *server) Connected(ctx context.Context) error {
	if err := s.identify(ctx); err != nil {
		return err
	}
	began := time.Now()
	next, err := s.lists(ctx)
	if err != nil {
		return err
	}
	s.replace(next)
	s.reportSince(ctx, next, began)
	return nil
}

// replace puts a state from the lists in force.
func (s *server) replace(next *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, c := range next.channels {
		// No list says who is on hold, muted or in a transfer.
		if old := s.state.channels[id]; old != nil && old.bridge == c.bridge && c.bridge != "" {
			c.held = old.held
		}
		if old := s.state.channels[id]; old != nil {
			c.muted, c.presentation = old.muted, old.presentation
			if switching.Consults(c.context, c.extension) {
				c.transfer, c.to, c.asked = old.transfer, old.to, old.asked
			}
		}
	}
	next.keepSince(s.state)
	for device, known := range s.state.contacts {
		if next.devices[device] != "" {
			next.contacts[device] = known
		}
	}
	s.state, s.connected = next, true
	s.ask()
	s.suspects = nil
}

// Disconnected forgets the state: what is not known to be true is not shown.
func (s *server) Disconnected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.connected = newState(), false
	s.suspects = nil
	if s.reporter != nil {
		s.reporter.Away()
	}
}

// Event changes the state.
func (s *server) Event(ctx context.Context, m ami.Message) {
	now := time.Now()
	if s.reporter != nil {
		s.reporter.Event(m, now)
	}
	s.mu.Lock()
	if handle := handlers[m.Event()]; handle != nil && !handle(s.state, m, now) {
		s.reread.Store(true)
	}
	if c := s.state.channels[text(m.Get("Uniqueid"))]; c != nil && c.asks() {
		s.ask()
	}
	s.mu.Unlock()
	if s.reread.Load() && now.Sub(s.read) >= rereadPause {
		s.refresh(ctx)
	}
}

// checkEvery is the time between two comparisons with the lists.
const checkEvery = time.Minute

// Tick compares the state with the lists. Events that have not been processed yet can explain a difference, so
// only one that the next tick finds too is counted.
func (s *server) Tick(ctx context.Context) {
	switch {
	case s.resync.Load() && time.Since(s.read) >= rereadPause:
		s.resync.Store(false)
		if err := s.Connected(ctx); err != nil {
			s.resync.Store(true)
			s.warn("lists", "cannot read Asterisk's lists", "err", err)
		}
		return
	case s.reread.Load():
		s.refresh(ctx)
		return
	case len(s.suspects) == 0 && time.Since(s.read) < checkEvery:
		return
	}
	next, err := s.lists(ctx)
	if err != nil {
		s.warn("lists", "cannot compare the live state with Asterisk's lists", "err", err)
		return
	}
	found := s.compare(next)
	first := s.suspects == nil
	for entry, kind := range found {
		if s.suspects[entry] != "" {
			s.differences.WithLabelValues(s.config.Name, kind).Inc()
			s.warn(kind, "live state corrected by Asterisk's lists", "kind", kind)
		}
	}
	if first && len(found) > 0 {
		s.suspects = found
		return
	}
	s.replace(next)
}

// refresh reads the lists because an event was about something unknown, such as a queue that a reload brought.
func (s *server) refresh(ctx context.Context) {
	next, err := s.lists(ctx)
	if err != nil {
		s.warn("lists", "cannot read Asterisk's lists", "err", err)
		return
	}
	s.replace(next)
}

// warn logs a warning about a subject of Asterisk, and counts those that follow it, whatever Asterisk says in them.
func (s *server) warn(subject, msg string, args ...any) {
	s.limited.Warn(s.config.Name+"\x00"+subject+"\x00"+msg, msg, append(args, "server", s.config.Name)...)
}

// lists reads the whole state.
func (s *server) lists(ctx context.Context) (*state, error) {
	s.read = time.Now()
	s.reread.Store(false) // a wish that comes meanwhile counts
	return readState(ctx, s.from)
}

// lister is an *ami.Client.
type lister interface {
	List(ctx context.Context, a ami.Action) ([]ami.Message, error)
}

// source is an *ami.Client.
type source interface {
	lister
	Names(ctx context.Context) (system, entity string, err error)
}

// readState reads the state of an Asterisk from its lists.
func readState(ctx context.Context, from lister) (*state, error) {
	s := newState()
	channels, err := from.List(ctx, ami.Action{Name: "CoreShowChannels"})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for _, m := range channels {
		c := newChannel(m, now.Add(-duration(m.Get("Duration"))))
		c.bridge = text(m.Get("BridgeId"))
		c.held = switching.Held(m.Get("Context"), m.Get("Exten"))
		s.channels[c.uniqueID] = c
	}
	queues, err := from.List(ctx, ami.Action{Name: "QueueStatus"})
	if err != nil {
		return nil, err
	}
	for _, m := range queues {
		s.queueEntry(m, time.Now())
	}
	calls, err := from.List(ctx, ami.Action{Name: "ParkedCalls"})
	if rejected := new(ami.RejectedError); errors.As(err, &rejected) && strings.Contains(rejected.Message, "Invalid/unknown command") {
		err = nil // Asterisk runs without res_parking
	}
	if err != nil {
		return nil, err
	}
	now = time.Now()
	for _, m := range calls {
		p := newParked(m, now)
		s.parked[p.uniqueID] = p
	}
	devices, err := from.List(ctx, ami.Action{Name: "DeviceStateList"})
	if err != nil {
		return nil, err
	}
	for _, m := range devices {
		s.device(m)
	}
	return s, nil
}

// queueEntry takes one message of QueueStatus.
func (s *state) queueEntry(m ami.Message, now time.Time) {
	name := text(m.Get("Queue"))
	q := s.queues[name]
	if q == nil {
		q = &queue{name: name, members: map[string]*member{}}
		s.queues[name] = q
	}
	switch m.Event() {
	case "QueueParams":
		q.strategy = text(m.Get("Strategy"))
		q.completed, q.abandoned = integer(m.Get("Completed")), integer(m.Get("Abandoned"))
	case "QueueMember":
		member := newMember(m)
		q.members[member.iface] = member
	case "QueueEntry":
		w := &waiting{
			uniqueID: text(m.Get("Uniqueid")), channel: text(m.Get("Channel")),
			number: known(m.Get("CallerIDNum")), callerName: known(m.Get("CallerIDName")),
			priority: integer(m.Get("Priority")),
			since:    now.Add(-time.Duration(integer(m.Get("Wait"))) * time.Second),
		}
		if c := s.channels[w.uniqueID]; c != nil {
			w.linkedID = c.linkedID
		}
		q.join(w, integer(m.Get("Position")))
	}
}

// duration reads 00:01:30.
func duration(s string) time.Duration {
	var h, m, sec int
	if _, err := fmt.Sscanf(s, "%d:%d:%d", &h, &m, &sec); err != nil {
		return 0
	}
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second
}

// compare returns every entry that is not in both states, with its kind.
func (s *server) compare(next *state) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, b := s.state.entries(), next.entries()
	found := map[string]string{}
	for entry, kind := range a {
		if b[entry] == "" {
			found[entry] = kind
		}
	}
	for entry, kind := range b {
		if a[entry] == "" {
			found[entry] = kind
		}
	}
	return found
}

// entries describes all that is compared, each with its kind.
func (s *state) entries() map[string]string {
	entries := make(map[string]string, len(s.channels)+len(s.parked)+4*len(s.queues))
	for id, c := range s.channels {
		entries[fmt.Sprintf("channel %q in %q", id, c.bridge)] = "channel"
	}
	for id := range s.parked {
		entries[fmt.Sprintf("parked %q", id)] = "parked"
	}
	for name, state := range s.devices {
		entries[fmt.Sprintf("phone %q %s", name, state)] = "phone"
	}
	for name, q := range s.queues {
		entries[fmt.Sprintf("queue %q", name)] = "queue"
		for i, w := range q.waiting {
			entries[fmt.Sprintf("caller %q in %q at %d", w.uniqueID, name, i)] = "caller"
		}
		for iface, m := range q.members {
			entries[fmt.Sprintf("member %q in %q: %d %t %q %d", iface, name, m.status, m.paused, m.reason, m.penalty)] = "member"
		}
	}
	return entries
}
