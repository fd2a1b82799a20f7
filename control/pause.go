package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"ringhook/ami"
	"ringhook/dialplan"
	"ringhook/store/desk"
)

// longestPause is the latest end of a pause that can be given.
const longestPause = 7 * 24 * time.Hour

// PauseRequest asks to pause an agent in queues, or to resume.
type PauseRequest struct {
	Agent  string     `json:"-"` // id
	Server string     `json:"-"`
	Queues []string   `json:"queues,omitempty"` // default: all in which the agent is
	Reason string     `json:"reason,omitempty"`
	Until  *time.Time `json:"until,omitempty"` // when the pause ends by itself
}

// Pause pauses an agent, or changes the reason of a pause.
func (c *Control) Pause(ctx context.Context, who Actor, in PauseRequest) (Results, error) {
	at := &on{server: in.Server, agent: in.Agent, detail: in}
	return run(ctx, c, who, "pause", at, func(ctx context.Context) (r Results, err error) {
		settings, a, err := c.subject(who, "pause", in.Agent)
		if err != nil {
			return r, err
		}
		reason, err := settings.reason(in.Reason, who)
		if err != nil {
			return r, err
		}
		now := time.Now()
		until := in.Until
		if until == nil && reason.Ends == "resume" && reason.Longest > 0 {
			end := now.Add(reason.Longest)
			until = &end
		}
		if until != nil && (!until.After(now) || until.Sub(now) > longestPause) {
			return r, errorf(BadRequest, "until must be in the future, and at most %d days away", longestPause/(24*time.Hour))
		}
		iface := memberOf(a)
		return c.each(ctx, who, a, in.Server, in.Queues, func(s *server, queue string) error {
			err := s.pause(ctx, queue, iface, true, in.Reason)
			switch {
			case err != nil && !ami.MayHaveRun(err):
			case until != nil:
				err = pauseError(err, c.keepPauseEnd(desk.PauseEnd{Server: s.config.Name, Interface: iface, Queue: queue, From: now, At: *until, Who: who.Name}))
			case err == nil:
				c.forgetPauseEnds(s.config.Name, iface, queue)
			}
			return err
		})
	})
}

// pauseError returns the error of a pause that began, or may have, and has an end: paused is that of Asterisk, kept that of
// the store; nil for none.
func pauseError(paused, kept error) error {
	const lost = "the end of the pause could not be stored: it is lost if ringhook restarts"
	switch {
	case kept == nil:
		return paused
	case paused == nil:
		return &Error{Broken, "paused, but " + lost + "; the log has the reason", kept}
	}
	failed := errorOf(paused)
	return &Error{failed.Code, failed.Text + "; " + lost, errors.Join(paused, kept)}
}

// Resume ends the pause of an agent.
func (c *Control) Resume(ctx context.Context, who Actor, in PauseRequest) (Results, error) {
	at := &on{server: in.Server, agent: in.Agent, detail: in}
	return run(ctx, c, who, "resume", at, func(ctx context.Context) (r Results, err error) {
		_, a, err := c.subject(who, "resume", in.Agent)
		if err == nil && (in.Reason != "" || in.Until != nil) {
			err = errorf(BadRequest, "reason and until are for pause")
		}
		if err != nil {
			return r, err
		}
		iface := memberOf(a)
		return c.each(ctx, who, a, in.Server, in.Queues, func(s *server, queue string) error {
			err := s.pause(ctx, queue, iface, false, "")
			if err == nil {
				c.forgetPauseEnds(s.config.Name, iface, queue)
			}
			return err
		})
	})
}

// pause pauses a member of a queue, or ends the pause.
func (s *server) pause(ctx context.Context, queue, iface string, paused bool, reason string) error {
	fields := []ami.Field{{Key: "Queue", Value: queue}, {Key: "Interface", Value: iface}, {Key: "Paused", Value: fmt.Sprint(paused)}}
	if reason != "" {
		fields = append(fields, ami.Field{Key: "Reason", Value: reason})
	}
	_, err := s.client.Do(ctx, ami.Action{Name: "QueuePause", Fields: fields})
	if rejectedWith(err, "Interface not found") {
		return errorf(State, "not logged in to %s", queue)
	}
	if err != nil {
		return err
	}
	s.settle(ctx, func(s *state) bool {
		q := s.queues[queue]
		return q == nil || q.members[iface] == nil || q.members[iface].paused == paused && (!paused || q.members[iface].reason == reason)
	})
	return nil
}

// keepPauseEnd keeps the end of a pause, and stores it for the time after a restart. After an error it is kept until then.
func (c *Control) keepPauseEnd(e desk.PauseEnd) error {
	c.endsMu.Lock()
	defer c.endsMu.Unlock()
	c.ends = append(slices.DeleteFunc(c.ends, e.SameMember), e)
	c.changes++
	c.unstored = slices.DeleteFunc(c.unstored, e.SameMember)
	if c.desk == nil {
		return nil
	}
	err := c.desk.SetPauseEnds(e)
	if err != nil {
		c.unstored = append(c.unstored, e)
	}
	return err
}

// forgetPauseEnds removes the end of a pause that was ended, or has none.
func (c *Control) forgetPauseEnds(server, iface, queue string) {
	c.endsMu.Lock()
	defer c.endsMu.Unlock()
	e := desk.PauseEnd{Server: server, Interface: iface, Queue: queue}
	if !slices.ContainsFunc(c.ends, e.SameMember) {
		return
	}
	c.ends = slices.DeleteFunc(c.ends, e.SameMember)
	c.changes++
	c.unstored = slices.DeleteFunc(c.unstored, e.SameMember)
	if c.desk != nil {
		if err := c.desk.RemovePauseEnds(e); err != nil {
			c.limited.Warn("end of a pause", "cannot remove the end of a pause", "queue", queue, "err", err)
		}
	}
}

// pauseEnd returns when a pause ends by itself, nil if it does not.
func (c *Control) pauseEnd(server, iface, queue string) *time.Time {
	c.endsMu.Lock()
	defer c.endsMu.Unlock()
	e := desk.PauseEnd{Server: server, Interface: iface, Queue: queue}
	if i := slices.IndexFunc(c.ends, e.SameMember); i >= 0 {
		end := c.ends[i].At // a copy: the list moves when another pause ends
		return &end
	}
	return nil
}

// workEvery is the time between two looks at what has to be done in the background.
const workEvery = time.Second

// work ends pauses and stores the states of agents, until ctx ends. Of several nodes, one does it.
func (c *Control) work(ctx context.Context) {
	var from earlier
	if c.desk != nil {
		defer c.duty.leave(c)
		if c.duty.on(time.Now()) {
			from.take(c)
		}
	}
	tick := time.NewTicker(workEvery)
	defer tick.Stop()
	var times agentTimes
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if c.desk != nil && c.desk.Shared() {
			c.share(ctx)
			if !c.duty.on(time.Now()) { // what is known of before may be old when the duty begins
				from, times = earlier{}, agentTimes{}
				if c.duty.unknown { // a pause may be ended twice, but must not last
					c.endPauses(ctx, time.Now())
				}
				continue
			}
		}
		c.endPauses(ctx, time.Now())
		if c.desk != nil && from.take(c) {
			times.observe(c, time.Now())
		}
	}
}

const (
	// dutyTime is the time for which a node has the duty, unless it extends it, which it does every dutyEvery.
	dutyTime  = 15 * time.Second
	dutyEvery = 5 * time.Second
	// dutySure is the time after which a node that could not extend the duty ends it.
	dutySure = 10 * time.Second
	// dutyName names the duty in the store.
	dutyName = "work on the PBX"
)

// duty is the work in the background that one node does at a time: campaigns, ends of pauses, and times of agents.
type duty struct {
	holder  string
	since   time.Time // when it was extended last; zero for none
	asked   time.Time
	unknown bool               // the store could not be asked last
	stop    context.CancelFunc // of the campaigns; nil if none were started
	resumed time.Time
}

// on reports whether this node has the duty.
func (d *duty) on(now time.Time) bool { return !d.since.IsZero() && now.Sub(d.since) < dutySure }

// take takes or extends the duty, and begins or ends the campaigns with it.
func (d *duty) take(ctx context.Context, c *Control, now time.Time) {
	if d.asked.IsZero() || d.unknown || now.Sub(d.asked) >= dutyEvery {
		d.asked = now
		if d.holder == "" {
			d.holder = rand.Text()
		}
		held, err := c.desk.Hold(dutyName, d.holder, dutyTime)
		d.unknown = err != nil
		switch {
		case held && err == nil:
			d.since = now
		case err == nil: // another node has it
			d.since = time.Time{}
		}
	}
	switch on := d.on(now); {
	case on && d.stop == nil:
		campaigns, cancel := context.WithCancel(ctx)
		if err := c.campaigns.Start(campaigns); err != nil {
			cancel()
			c.limited.Error("campaigns", "campaigns not continued", "err", err, "hint", "see the error of the store")
			if !c.desk.Shared() {
				d.stop = cancel // a damaged file stays so
			}
			return
		}
		d.stop, d.resumed = cancel, now
	case !on && d.stop != nil:
		d.stop()
		d.stop = nil
		c.log.Warn("campaigns and times of agents are left to another node", "hint", "the store could not be used, or another node was faster")
	}
}

// leave lets another node take the duty.
func (d *duty) leave(c *Control) {
	if d.stop != nil {
		d.stop()
		c.campaigns.Stopped()
	}
	if d.since.IsZero() || !c.desk.Shared() {
		return
	}
	if err := c.desk.Release(dutyName, d.holder); err != nil {
		c.limited.Warn("duty", "another node takes the work on the PBX later", "err", err)
	}
}

// resumeEvery is the time between two looks for campaigns that other nodes have added.
const resumeEvery = 2 * time.Second

// share follows what other nodes do.
func (c *Control) share(ctx context.Context) {
	now := time.Now()
	c.duty.take(ctx, c, now)
	if c.duty.unknown { // the store has logged it
		return
	}
	c.expectAgain(expectWithin)
	c.sharePauseEnds()
	if c.duty.stop != nil && now.Sub(c.duty.resumed) >= resumeEvery {
		c.duty.resumed = now
		if err := c.campaigns.Resume(); err != nil {
			c.limited.Warn("resume", "cannot look for campaigns", "err", err)
		}
	}
}

// expectWithin is the age of clicks of other nodes that are looked for, whose clocks may differ.
const expectWithin = 30 * time.Second

// sharePauseEnds replaces the ends of pauses by those of the store, and stores what could not be stored.
func (c *Control) sharePauseEnds() {
	c.endsMu.Lock()
	changes, unstored := c.changes, slices.Clone(c.unstored)
	c.endsMu.Unlock()
	var stored []desk.PauseEnd
	if len(unstored) > 0 && c.desk.SetPauseEnds(unstored...) == nil {
		stored = unstored
	}
	ends, err := c.desk.PauseEnds()
	c.endsMu.Lock()
	defer c.endsMu.Unlock()
	if err != nil || c.changes != changes { // then later
		return
	}
	if len(stored) > 0 {
		c.unstored = nil
	}
	c.ends = ends
	for _, e := range c.unstored {
		c.ends = append(slices.DeleteFunc(c.ends, e.SameMember), e)
	}
}

// earlier is what has been taken over of what an earlier process stored.
type earlier struct{ ends, states bool }

// take takes over what is left, and reports whether all is. A file that cannot be used has nothing.
func (e *earlier) take(c *Control) bool {
	if e.ends && e.states || c.desk.Err() != nil {
		return true
	}
	if !e.ends {
		ends, err := c.desk.PauseEnds()
		if err != nil {
			c.limited.Error("ends", "cannot read the ends of pauses", "err", err, "hint", "pauses that began before the start do not end by themselves until they are read")
			return false
		}
		c.addPauseEnds(ends)
		e.ends = true
	}
	// Only this writes: a full disk must not keep pauses from ending.
	if err := c.desk.CutStates(time.Now().Add(-longestGap)); err != nil {
		c.limited.Error("states", "cannot end the stored states of agents", "err", err, "hint", "times of agents are not stored until then")
		return false
	}
	e.states = true
	return true
}

// addPauseEnds keeps the ends of pauses that an earlier process stored, if the members have no later ones.
func (c *Control) addPauseEnds(ends []desk.PauseEnd) {
	c.endsMu.Lock()
	defer c.endsMu.Unlock()
	now := time.Now()
	for _, e := range ends {
		if e.From.After(now) { // the clock was ahead when the pause began
			e.From, e.At = now, now.Add(e.At.Sub(e.From))
		}
		if !slices.ContainsFunc(c.ends, e.SameMember) {
			c.ends = append(c.ends, e)
		}
	}
}

// endPauses ends the pauses that are due on connected Asterisks.
func (c *Control) endPauses(ctx context.Context, now time.Time) {
	c.endsMu.Lock()
	due := slices.DeleteFunc(slices.Clone(c.ends), func(e desk.PauseEnd) bool { return e.At.After(now) })
	c.endsMu.Unlock()
	for _, e := range due {
		i := slices.IndexFunc(c.all(), func(s *server) bool { return s.config.Name == e.Server })
		if i < 0 {
			if now.Sub(e.At) > longestPause { // the server was removed from the configuration
				c.forgetPauseEnds(e.Server, e.Interface, e.Queue)
			}
			continue
		}
		c.endPause(ctx, c.all()[i], e)
	}
}

// pauseSlack is how much later than ringhook Asterisk can have noted the beginning of a pause.
const pauseSlack = 2 * time.Second

// endPause ends one pause, unless it has ended already, or a later one was begun by other means.
func (c *Control) endPause(ctx context.Context, s *server, e desk.PauseEnd) {
	s.mu.Lock()
	connected, paused := s.connected, false
	if q := s.state.queues[e.Queue]; q != nil && q.members[e.Interface] != nil {
		m := q.members[e.Interface]
		paused = m.paused && !m.lastPause.After(e.From.Add(pauseSlack))
	}
	s.mu.Unlock()
	if !connected {
		return
	}
	if paused {
		who := Actor{Name: "end of the pause by " + e.Who, Role: dialplan.RoleAdministrator}
		at := &on{server: e.Server, agent: c.settings.Load().agentOf(e.Interface), queue: e.Queue}
		_, err := run(ctx, c, who, "resume", at, func(ctx context.Context) (any, error) {
			return nil, s.pause(ctx, e.Queue, e.Interface, false, "")
		})
		if code := errorOf(err); code != nil && code.Code != State && code.Code != PBX {
			return // it is tried again
		}
	}
	c.forgetPauseEnds(e.Server, e.Interface, e.Queue)
}

// agentTimes stores when agents are logged in and paused.
type agentTimes struct {
	last    map[desk.AgentState]bool
	at      time.Time
	failing bool
}

const (
	// observeEvery is the longest time between two notes of states that last.
	observeEvery = time.Minute
	// longestGap is the longest time in which nothing was known of a state that counts as one that lasted.
	longestGap = 5 * time.Minute
)

// observe stores the states of now if they have changed, or a minute is over. While an Asterisk is not connected
// nothing is stored: the states are not known.
func (t *agentTimes) observe(c *Control, now time.Time) {
	states, known := c.agentStates()
	if !known || len(states) == 0 && t.last == nil {
		return
	}
	same := len(states) == len(t.last)
	list := make([]desk.AgentState, 0, len(states))
	for s := range states {
		list = append(list, s)
		same = same && t.last[s]
	}
	if same && now.Sub(t.at) < observeEvery && !now.Before(t.at) {
		return
	}
	err := c.desk.ObserveStates(list, now)
	if err != nil && !t.failing {
		c.log.Warn("cannot store the states of agents", "err", err)
	}
	if t.failing = err != nil; !t.failing {
		t.last = states
	}
	t.at = now
}

// agentStates returns who is logged in, who is paused, and who serves which queue; known is false if an Asterisk is not connected.
func (c *Control) agentStates() (states map[desk.AgentState]bool, known bool) {
	settings, states := c.settings.Load(), map[desk.AgentState]bool{}
	type seen struct {
		serves []string // queues
		reason string
	}
	byInterface := map[string]*seen{}
	servers := c.all()
	for _, s := range servers {
		s.mu.Lock()
		if !s.connected {
			s.mu.Unlock()
			return nil, false
		}
		for _, q := range s.state.queues {
			for iface, m := range q.members {
				if byInterface[iface] == nil {
					byInterface[iface] = &seen{}
				}
				if !m.paused {
					byInterface[iface].serves = append(byInterface[iface].serves, q.name)
				}
				if m.paused && m.reason > byInterface[iface].reason {
					byInterface[iface].reason = m.reason
				}
			}
		}
		s.mu.Unlock()
	}
	for i := range settings.Agents {
		a := &settings.Agents[i]
		have := byInterface[memberOf(a)]
		if a.ID == "" || have == nil {
			continue
		}
		states[desk.AgentState{Agent: a.ID, State: desk.AgentIn}] = true
		for _, queue := range have.serves {
			states[desk.AgentState{Agent: a.ID, State: desk.AgentServes, Reason: queue}] = true
		}
		if len(have.serves) == 0 { // paused in every queue
			states[desk.AgentState{Agent: a.ID, State: desk.AgentPaused, Reason: have.reason}] = true
		}
	}
	return states, len(servers) > 0
}
