package pops

import (
	"cmp"
	"container/list"
	"crypto/sha256"
	"encoding/base32"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/hooks"
	"ringhook/loglimit"
)

const (
	// maxHeard is the number of events that wait for the decision at most. Further ones are dropped.
	maxHeard = 4096
	// maxLive is the number of calls that are followed at most; the longest idle one is dropped.
	maxLive = 20_000
	// keepPolled is the time for which a pop of a program that polls is held.
	keepPolled = 10 * time.Minute
	// sweepEvery is the interval at which calls whose end was not reported are forgotten.
	sweepEvery = time.Minute
)

// Tracer stores records for the trace of a call. It does not wait or fail.
type Tracer interface {
	Trace(at time.Time, record []byte)
}

// Setup is what a reload exchanges.
type Setup struct {
	Rules  *Rules
	Agents []Agent
	// MaxCall is the time without an event after which a call is forgotten.
	MaxCall time.Duration
	// Members returns the ids of the agents who are logged in to a queue and not paused; nil if they are not
	// known. It must not wait.
	Members func(queue string) []string
	// Screen shows calls and pops to agents who are signed in; nil for none.
	Screen Screen
	// Hooks sends pops to the hooks that rules name in open or else; nil for none.
	Hooks Hooker
}

// Pop is one page for one call and one agent.
type Pop struct {
	Decision
	ID       string // the same for the same event, agent and rule, on every server
	LinkedID string
	Agent    Agent
	Number   string // of the other party
	At       time.Time
	Way      Way // the one in use
	Life     Life
	why      string // why the way in use failed, if it is known
	event    *hooks.Event
}

// Live applies the rules to the events of calls as they are made. It holds the pops of the calls that
// go on. Its methods may be called concurrently.
type Live struct {
	log     *slog.Logger
	limited *loglimit.Limiter // for log lines that every pop can cause
	trace   Tracer
	metrics *metrics
	now     func() time.Time

	heard chan heard
	quit  chan struct{}
	ended sync.WaitGroup

	mu       sync.Mutex
	setup    Setup
	personal *Personal
	calls    map[string]*call           // by key
	idle     *list.List                 // of the calls, the longest idle first
	screens  map[string]map[*call]bool  // the calls that an agent's screen has or had a card or a pop of, by the agent's id
	talks    map[string]map[string]bool // the calls in which a phone talks
	polled   map[string]*Pop            // the latest pop of a phone whose program polls
	rang     map[string]ring            // the latest ring of a phone
	recent   map[string][]CallView      // the latest ended calls of an agent, the last first
	again    []again                    // decisions that wait for a lookup
	swept    time.Time
	closed   bool
	demands  uint64 // number of pops on demand

	sending chan struct{} // holds one for each pop on its way to a hook
}

// heard is an event that waits for the decision.
type heard struct {
	event  hooks.Event
	result Result
}

// again is a decision to take again.
type again struct {
	at    time.Time
	heard heard
}

// ring is the beginning of a ring.
type ring struct {
	call string // its key
	at   time.Time
}

// call is a call as agents see it.
type call struct {
	key      string
	linkedid string
	queues   []string // in which it was
	answered bool     // by an agent
	result   Result
	rings    map[string]int      // number of open rings of each phone that has to do with the call
	popped   map[string][]string // rules by agent
	pops     []*Pop
	views    map[string]*CallView // by the id of the agent
	screens  []string             // ids of the agents whose screens have or had a card or a pop of it
	last     *hooks.Event         // the latest one; nil for an agent's pops on demand that belong to no call
	seen     time.Time
	place    *list.Element // in Live.idle
}

// NewLive returns a Live that decides until Close.
func NewLive(setup Setup, trace Tracer, log *slog.Logger, reg prometheus.Registerer) *Live {
	l := &Live{
		log: log, limited: loglimit.New(log, time.Minute), trace: trace, metrics: newMetrics(reg), now: time.Now,
		heard: make(chan heard, maxHeard), quit: make(chan struct{}),
		calls: map[string]*call{}, idle: list.New(), screens: map[string]map[*call]bool{}, talks: map[string]map[string]bool{}, polled: map[string]*Pop{}, rang: map[string]ring{}, recent: map[string][]CallView{}, sending: make(chan struct{}, maxSending),
	}
	l.Exchange(setup)
	l.ended.Go(l.run)
	return l
}

// Exchange replaces rules and agents for the events that come after it.
func (l *Live) Exchange(setup Setup) {
	l.metrics.prepare(setup.Rules.Names())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setup = setup
}

// Heard takes an event and what the lookups of its call found. It never waits: if too many events wait
// already, it drops and counts this one.
func (l *Live) Heard(ev *hooks.Event, result string) {
	select {
	case l.heard <- heard{*ev, Result(result)}:
	default:
		l.metrics.dropped.WithLabelValues("event").Inc()
	}
}

// Close stops deciding.
func (l *Live) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	close(l.quit)
	l.ended.Wait()
	l.limited.Close()
	return nil
}

func (l *Live) run() {
	for {
		var wake <-chan time.Time
		var timer *time.Timer
		if at := l.nextAgain(); !at.IsZero() {
			timer = time.NewTimer(at.Sub(l.now()))
			wake = timer.C
		}
		select {
		case <-l.quit:
			return
		case h := <-l.heard:
			l.hear(h)
		case <-wake:
		}
		if timer != nil {
			timer.Stop()
		}
		l.decideAgain()
	}
}

// nextAgain returns the time of the next decision that waits for a lookup, zero if there is none.
func (l *Live) nextAgain() (next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.again {
		if next.IsZero() || a.at.Before(next) {
			next = a.at
		}
	}
	return next
}

// decideAgain takes the decisions whose time has come.
func (l *Live) decideAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	var due []again
	l.again = slices.DeleteFunc(l.again, func(a again) bool {
		if a.at.After(now) {
			return false
		}
		due = append(due, a)
		return true
	})
	for _, a := range due {
		if c := l.calls[keyOf(&a.heard.event)]; c != nil {
			l.decide(c, &a.heard.event, cmp.Or(c.result, a.heard.result))
		}
	}
}

// keyOf returns the key of an event's call: two Asterisks may have the same linkedid.
func keyOf(ev *hooks.Event) string { return cmp.Or(text(ev, "call_uuid"), ev.LinkedID) }

// hear applies an event to its call and decides about it.
func (l *Live) hear(h heard) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ev, now := &h.event, l.now()
	c := l.callOf(keyOf(ev), ev.LinkedID, now)
	c.result, c.last = h.result, ev
	if queue := text(ev, "queue_id"); queue != "" && !slices.Contains(c.queues, queue) {
		c.queues = append(c.queues, queue)
	}
	l.follow(c, ev, now)
	l.view(c, ev, now)
	if l.setup.Rules.Moment(ev.Name) {
		l.decide(c, ev, h.result)
	}
	if ev.Final {
		l.forget(c)
	}
	l.sweep(now)
}

// callOf returns the call of a key.
func (l *Live) callOf(key, linkedid string, now time.Time) *call {
	c := l.calls[key]
	if c == nil {
		c = &call{key: key, linkedid: linkedid, rings: map[string]int{}, popped: map[string][]string{}, views: map[string]*CallView{}}
		if len(l.calls) >= maxLive {
			l.forget(l.longestIdle())
			l.metrics.dropped.WithLabelValues("call").Inc()
		}
		l.calls[key], c.place = c, l.idle.PushBack(c)
	}
	c.seen = now
	l.idle.MoveToBack(c.place)
	return c
}

// longestIdle returns the call without an event for the longest time, nil if there is none.
func (l *Live) longestIdle() *call {
	if first := l.idle.Front(); first != nil {
		return first.Value.(*call)
	}
	return nil
}

// onScreen records that an agent's screen has a card or a pop of a call, so that no question about an agent reads all
// calls: where no ends are reported there are many.
func (l *Live) onScreen(c *call, agent string) {
	if slices.Contains(c.screens, agent) {
		return
	}
	c.screens = append(c.screens, agent)
	if l.screens[agent] == nil {
		l.screens[agent] = map[*call]bool{}
	}
	l.screens[agent][c] = true
}

// forget removes a call that has ended.
func (l *Live) forget(c *call) {
	for phone := range c.rings {
		l.talk(c, phone, false)
	}
	for _, agent := range c.screens {
		if delete(l.screens[agent], c); len(l.screens[agent]) == 0 {
			delete(l.screens, agent)
		}
	}
	delete(l.calls, c.key)
	l.idle.Remove(c.place)
}

// sweep forgets what no event ends.
func (l *Live) sweep(now time.Time) {
	if now.Sub(l.swept) < sweepEvery {
		return
	}
	l.swept = now
	for c := l.longestIdle(); c != nil && now.Sub(c.seen) > l.setup.MaxCall; c = l.longestIdle() {
		l.forget(c)
	}
	for phone, p := range l.polled {
		if now.Sub(p.At) > keepPolled {
			delete(l.polled, phone)
		}
	}
	for phone, r := range l.rang {
		if now.Sub(r.at) > keepPolled {
			delete(l.rang, phone)
		}
	}
}

// turn changes the fate of a pop, and records it.
func (l *Live) turn(p *Pop, fate Fate, now time.Time) {
	if l.change(p, fate, now) && fate != Sent {
		l.trace.Trace(now, fateRecord(p, now))
	}
}

// change changes the fate of a pop, and closes one that is over. It reports whether the fate may follow.
func (l *Live) change(p *Pop, fate Fate, now time.Time) bool {
	if err := p.Life.Turn(fate, now); err != nil {
		l.log.Debug("fate of a pop ignored", "pop", p.ID, "err", err)
		return false
	}
	l.metrics.fates.WithLabelValues(p.Way.label(), string(fate)).Inc()
	if p.Life.Fate.Over() && p.Way.NeedsDesk() && l.setup.Screen != nil {
		l.setup.Screen.Closed(*p)
	}
	return true
}

// decide takes the decisions about an event, and sends what pops.
func (l *Live) decide(c *call, ev *hooks.Event, result Result) {
	now := l.now()
	waits := false
	for _, a := range l.setup.Rules.Addressees(ev, l.agentsAt(ev)) {
		a.Choices = l.personal.choicesOf(a.ID)
		d := l.setup.Rules.Decide(ev, &a, Situation{
			Now: now, Result: result, Busy: l.busy(a.Phone, c.key), Popped: c.popped[a.key()], Desks: l.desks(a.ID),
			Exception: l.personal.find(a.ID, Other(ev), raw(ev)),
		})
		if !d.Again.IsZero() {
			if !waits {
				l.again = append(l.again, again{d.Again, heard{*ev, result}})
			}
			waits = true
			continue
		}
		l.metrics.pops.WithLabelValues(d.Rule, string(d.Reason)).Inc()
		l.trace.Trace(now, decisionRecord(ev, &a, &d, now))
		if d.Pops() {
			l.send(c, ev, &a, d, now)
		} else {
			l.unpopped(c, &a, &d)
		}
	}
}

// agentsAt returns the agents, with the queue of an event for those who are logged in to it, if a rule asks for
// members.
func (l *Live) agentsAt(ev *hooks.Event) []Agent {
	queue := text(ev, "queue_id")
	if queue == "" || l.setup.Members == nil || !l.setup.Rules.wantsMembers(ev.Name) {
		return l.setup.Agents
	}
	members := l.setup.Members(queue)
	agents := slices.Clone(l.setup.Agents)
	for i := range agents {
		if slices.Contains(members, agents[i].ID) {
			agents[i].Queues = []string{queue}
		}
	}
	return agents
}

// busy reports whether a phone talks in another call.
func (l *Live) busy(phone, key string) bool {
	calls := l.talks[phone]
	return len(calls) > 1 || len(calls) == 1 && !calls[key]
}

// send makes a pop.
func (l *Live) send(c *call, ev *hooks.Event, a *Agent, d Decision, now time.Time) *Pop {
	p := &Pop{Decision: d, ID: popID(ev, a, d.Rule), LinkedID: ev.LinkedID, Agent: *a, Number: Other(ev), At: now, Way: d.Ways[0], event: ev}
	if !slices.Contains(c.popped[a.key()], d.Rule) {
		c.popped[a.key()] = append(c.popped[a.key()], d.Rule)
	}
	c.pops = append(c.pops, p)
	l.onScreen(c, a.ID)
	l.turn(p, Sent, now)
	if p.Way == GetEvent {
		l.polled[a.Phone] = p
		return p
	}
	l.show(p)
	return p
}

// show shows a pop by its way.
func (l *Live) show(p *Pop) {
	if hook := p.Way.Hook(); hook != "" {
		l.deliver(*p, hook)
		return
	}
	l.setup.Screen.Show(*p)
}

// popID returns the id of a pop.
func popID(ev *hooks.Event, a *Agent, rule string) string {
	sum := sha256.Sum256([]byte(ev.ID + "\x00" + a.key() + "\x00" + rule))
	return "p-" + base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").EncodeToString(sum[:])[:20]
}

// Poll returns the number of the latest pop of a phone whose program polls, if it popped within hold,
// no other agent has answered the call, and no newer call rang at the phone.
func (l *Live) Poll(phone string, hold time.Duration) (number string, rings bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, now := l.polled[phone], l.now()
	if p == nil || now.Sub(p.At) >= hold || p.Life.Fate == Elsewhere {
		return "", false
	}
	if r := l.rang[phone]; r.call != keyOf(p.event) && !r.at.Before(p.At) {
		return "", false
	}
	if p.Life.Fate == Sent {
		l.turn(p, Shown, now)
	}
	return p.Number, true
}
