package control

import (
	"context"
	"regexp"
	"slices"
	"strconv"

	"ringhook/ami"
)

// KickRequest asks to take waiting callers out of a queue.
type KickRequest struct {
	Server string `json:"-"`
	Queue  string `json:"-"`
	// Calls are linkedids, or uniqueids of the callers' channels.
	Calls []string `json:"calls"`
	// To is the extension to which the callers go; without it they are hung up.
	To string `json:"to,omitempty"`
}

var extensionPattern = regexp.MustCompile(`^[A-Za-z0-9_.*#+-]{1,79}$`)

// Kick takes waiting callers out of a queue. The result of each is ok, unknown, or connected if an agent has
// answered meanwhile: then the call goes on.
func (c *Control) Kick(ctx context.Context, who Actor, in KickRequest) (Results, error) {
	at := &on{server: in.Server, queue: in.Queue, detail: in}
	return run(ctx, c, who, "kick", at, func(ctx context.Context) (r Results, err error) {
		if err := allowed(who, "kick", nil, in.Queue); err != nil {
			return r, err
		}
		if err := in.check(); err != nil {
			return r, err
		}
		reached, err := c.reach(ctx, in.Server)
		if err != nil {
			return r, err
		}
		s, err := reached.queue(in.Queue)
		if err != nil {
			return r, err
		}
		at.server = s.config.Name
		k := &kicking{Control: c, server: s, who: who, in: in, context: c.settings.Load().context(in.Queue), checked: map[string]bool{}}
		for _, id := range in.Calls {
			w, err := reached.caller(s, in.Queue, id)
			if err == nil {
				of := s.touched(w.linkedID, w.uniqueID, w.channel, c.settings.Load().ShowWithheld)
				err = k.kick(ctx, w)
				of.failed = err
				at.calls = append(at.calls, of)
			}
			r.add(Result{Server: s.config.Name, Call: text(id)}, err)
		}
		return r, nil
	})
}

func (in *KickRequest) check() error {
	switch {
	case len(in.Calls) == 0:
		return errorf(BadRequest, "calls is missing: name at least one")
	case len(in.Calls) > maxItems:
		return errorf(BadRequest, "at most %d calls at once", maxItems)
	case in.To != "" && !extensionPattern.MatchString(in.To):
		return errorf(BadRequest, "to must be an extension: letters, digits and _.*#+-")
	}
	for i, id := range in.Calls {
		if slices.Contains(in.Calls[:i], id) {
			return errorf(BadRequest, "a call is named twice")
		}
	}
	return nil
}

// caller returns a caller who waits in a queue of an Asterisk, by linkedid or uniqueid. Another one, which is away, may have
// the queue too.
func (r reached) caller(s *server, queue, id string) (waiting, error) {
	w, err := s.caller(queue, id)
	if failed := errorOf(err); failed != nil && failed.Code == Unknown {
		err = r.missing(Unknown, failed.Text)
	}
	return w, err
}

// caller returns a caller who waits in a queue, by linkedid or uniqueid.
func (s *server) caller(queue, id string) (w waiting, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.state.queues[queue]
	if q == nil {
		return w, errorf(Unknown, "there is no queue %s", text(queue))
	}
	found := 0
	for _, c := range q.waiting {
		if id != "" && (c.uniqueID == id || c.linkedID == id) {
			w = *c
			found++
			if c.uniqueID == id {
				return w, nil
			}
		}
	}
	switch {
	case found == 1:
		return w, nil
	case found > 1:
		return w, errorf(Unclear, "%d callers of this call wait: name one by its uniqueid", found)
	}
	for _, ch := range s.state.channels {
		if id != "" && ch.bridge != "" && (ch.uniqueID == id || ch.linkedID == id) {
			return w, errorf(Connected, "the caller is connected")
		}
	}
	return w, errorf(Unknown, "no such caller waits in queue %s", text(queue))
}

// kicking is one Kick.
type kicking struct {
	*Control
	server  *server
	who     Actor
	in      KickRequest
	context string          // of the destination; "" for that of the caller
	checked map[string]bool // contexts that have the destination
}

// kick moves one caller, or hangs up. Redirect does not look at its destination and would hang up, so that is
// checked first.
func (k *kicking) kick(ctx context.Context, w waiting) error {
	s := k.server
	dialplan := k.context
	if k.in.To != "" {
		if dialplan == "" {
			var err error
			if dialplan, err = s.client.Variable(ctx, w.uniqueID, ami.ChannelContext); err != nil {
				return unsent(gone(err))
			}
		}
		if !k.checked[dialplan] {
			exists, err := s.client.Exists(ctx, dialplan, k.in.To)
			if err != nil {
				return unsent(err)
			}
			if !exists {
				return errorf(BadRequest, "there is no extension %s in the context %s", k.in.To, text(dialplan))
			}
			k.checked[dialplan] = true
		}
	}
	undo := func() {}
	if k.calls != nil {
		var err error
		if undo, err = k.calls.NoteEnd(ctx, s.call(w.linkedID), w.uniqueID, k.who.Name); err != nil {
			s.limited.Warn("kick not noted", "kick of a caller is not noted in the call", "linkedid", w.linkedID, "err", err)
			undo = func() {}
		}
	}
	// The agent may have answered since.
	if _, err := s.caller(k.in.Queue, w.uniqueID); err != nil {
		undo()
		return err
	}
	// Cause 17 is 486 Busy Here for a caller whose call was not answered.
	action := ami.Action{Name: "Hangup", Fields: []ami.Field{{Key: "Channel", Value: w.uniqueID}, {Key: "Cause", Value: "17"}}}
	if k.in.To != "" {
		action = ami.Action{Name: "Redirect", Fields: []ami.Field{
			{Key: "Channel", Value: w.uniqueID}, {Key: "Context", Value: dialplan}, {Key: "Exten", Value: k.in.To}, {Key: "Priority", Value: "1"},
		}}
	}
	if _, err := s.client.Do(ctx, action); err != nil {
		if !ami.MayHaveRun(err) {
			undo()
		}
		return gone(err)
	}
	s.settle(ctx, func(st *state) bool {
		q := st.queues[k.in.Queue]
		return q == nil || !slices.ContainsFunc(q.waiting, func(c *waiting) bool { return c.uniqueID == w.uniqueID })
	})
	return nil
}

// gone returns the error of an action on a channel that has ended as unknown.
func gone(err error) error {
	if rejectedWith(err, "No such channel", "Channel does not exist") {
		return errorf(Unknown, "the caller has just gone")
	}
	return err
}

// PriorityRequest asks to change the priority of a waiting caller.
type PriorityRequest struct {
	Server   string `json:"-"`
	Queue    string `json:"-"`
	Call     string `json:"-"` // linkedid, or uniqueid of the caller's channel
	Priority *int   `json:"priority"`
}

// PriorityResult is a caller's place in the queue after the command.
type PriorityResult struct {
	Server   string `json:"server"`
	Queue    string `json:"queue"`
	Priority int    `json:"priority"`
	// Position is counted from 1. Older versions of Asterisk do not move the caller, but place later ones by
	// the new priority.
	Position int `json:"position"`
}

// maxPriority is the largest priority that is given; the smallest is its negative.
const maxPriority = 1_000_000

// Priority changes the priority of a waiting caller.
func (c *Control) Priority(ctx context.Context, who Actor, in PriorityRequest) (PriorityResult, error) {
	at := &on{server: in.Server, queue: in.Queue, detail: in}
	return run(ctx, c, who, "priority", at, func(ctx context.Context) (r PriorityResult, err error) {
		if err := allowed(who, "priority", nil, in.Queue); err != nil {
			return r, err
		}
		if in.Priority == nil || *in.Priority > maxPriority || *in.Priority < -maxPriority {
			return r, errorf(BadRequest, "priority must be a number from %d to %d", -maxPriority, maxPriority)
		}
		reached, err := c.reach(ctx, in.Server)
		if err != nil {
			return r, err
		}
		s, err := reached.queue(in.Queue)
		if err != nil {
			return r, err
		}
		at.server = s.config.Name
		w, err := reached.caller(s, in.Queue, in.Call)
		if err != nil {
			return r, err
		}
		at.calls = []touched{s.touched(w.linkedID, w.uniqueID, w.channel, c.settings.Load().ShowWithheld)}
		if err := s.changePriority(ctx, in.Queue, w.channel, strconv.Itoa(*in.Priority)); err != nil {
			if rejectedWith(err, "No such caller") {
				return r, errorf(Connected, "the caller no longer waits")
			}
			return r, err
		}
		// No event says where the caller stands now, and that differs between versions.
		s.reread.Store(true)
		s.client.Wake()
		r = PriorityResult{Server: s.config.Name, Queue: in.Queue, Priority: *in.Priority}
		s.settle(ctx, func(st *state) bool {
			q := st.queues[in.Queue]
			if q == nil {
				return true
			}
			for i, c := range q.waiting {
				if c.uniqueID == w.uniqueID {
					r.Position = i + 1
					return c.priority == r.Priority
				}
			}
			r.Position = 0
			return true
		})
		return r, nil
	})
}

// changePriority sends the action. Immediate is ignored by versions that cannot move a caller.
func (s *server) changePriority(ctx context.Context, queue, channel, priority string) error {
	_, err := s.client.Do(ctx, ami.Action{Name: "QueueChangePriorityCaller", Fields: []ami.Field{
		{Key: "Queue", Value: queue}, {Key: "Caller", Value: channel}, {Key: "Priority", Value: priority}, {Key: "Immediate", Value: "yes"},
	}})
	return err
}
