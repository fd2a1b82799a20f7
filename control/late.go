package control

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/ami"
	"ringhook/dialplan"
	"ringhook/fastagi"
)

// lateVariables are those that a late answer sets on a channel that waits.
var lateVariables = map[string]ami.Variable{
	"CALLERID(name)": ami.CallerName, "__call_info": ami.CallInfo, "__agent_info": ami.AgentInfo, "QUEUE_PRIO": ami.QueuePriority,
}

// A caller whose dialplan goes on with Queue() joins it within a moment.
const (
	joinWait  = time.Second
	joinEvery = 50 * time.Millisecond
)

// Update sets the variables of a late answer on a caller who still waits, for the next agent who is rung, and
// changes the caller's priority. It is a dialplan.Waiting.
func (c *Control) Update(ctx context.Context, call dialplan.Identity, uniqueID string, vars []fastagi.Variable) (set []fastagi.Variable, outcome dialplan.LateOutcome) {
	s, outcome := c.having(call, uniqueID)
	if s == nil {
		return nil, outcome
	}
	if !s.config.LateAnswers {
		return nil, dialplan.LateOff
	}
	var failed error
	priority := ""
	for _, v := range vars {
		name, ok := lateVariables[v.Name]
		if !ok {
			continue
		}
		if name == ami.CallerName { // the dialplan has put a prefix in front of the name that this one replaces
			prefix, err := s.client.Variable(ctx, uniqueID, ami.NamePrefix)
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			v.Value = prefix + v.Value
		}
		// An answer that is longer than a line of AMI is not cut: half a URL is of no use.
		err := s.client.SetVariable(ctx, uniqueID, name, v.Value)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		set = append(set, v)
		if name == ami.QueuePriority {
			priority = v.Value
		}
	}
	// Queue() reads QUEUE_PRIO when the caller joins. One who has joined is moved.
	if priority != "" {
		failed = errors.Join(failed, s.prioritize(ctx, uniqueID, priority))
	}
	switch rejected := new(ami.RejectedError); {
	case errors.As(failed, &rejected) && strings.HasPrefix(rejected.Message, "No such"):
		return set, dialplan.LateGone
	case failed != nil:
		s.limited.Warn(s.config.Name+" late", "late answer not applied", "server", s.config.Name, "uniqueid", uniqueID, "err", failed)
		return set, dialplan.LateFailed
	case len(set) == 0:
		return nil, dialplan.LateNothing
	}
	return set, dialplan.LateApplied
}

// of returns the server whose Asterisk a call is identified by, or all if none is known to be it.
func (c *Control) of(call dialplan.Identity) []*server {
	servers := c.all()
	for _, s := range servers {
		s.mu.Lock()
		own := call.Asterisk != "" && (call.Asterisk == s.config.SystemName || slices.Contains(s.names, call.Asterisk))
		s.mu.Unlock()
		if own {
			return []*server{s}
		}
	}
	return servers
}

// having returns the Asterisk that has a call's channel which is not in a conversation, else the reason why there is none.
func (c *Control) having(call dialplan.Identity, uniqueID string) (found *server, why dialplan.LateOutcome) {
	servers := c.of(call)
	talks, away := false, len(servers) == 0
	for _, s := range servers {
		s.mu.Lock()
		connected, channel := s.connected, s.state.channels[uniqueID]
		talking := channel != nil && channel.bridge != ""
		s.mu.Unlock()
		switch {
		case !connected:
			away = true
		case talking:
			talks = true
		case channel == nil:
		case found != nil: // two Asterisks without system names; to name the wrong caller is worse than none
			return nil, dialplan.LateAway
		default:
			found = s
		}
	}
	if away && !talks {
		return found, dialplan.LateAway
	}
	return found, dialplan.LateGone
}

// prioritize changes the priority of a caller who waits, or joins within joinWait. On versions before 18 or so only
// the number changes, and later callers are sorted in by it: Immediate is ignored there.
func (s *server) prioritize(ctx context.Context, uniqueID, priority string) error {
	if _, err := strconv.Atoi(priority); err != nil {
		return err
	}
	for end := time.Now().Add(joinWait); ; {
		queue, channel := s.waitingIn(uniqueID)
		if queue != "" {
			err := s.changePriority(ctx, queue, channel, priority)
			s.reread.Store(true) // no event says where the caller stands now
			s.client.Wake()
			return err
		}
		if time.Now().After(end) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(joinEvery):
		}
	}
}

// waitingIn returns the queue that a caller waits in, and the channel's name; "" if in none.
func (s *server) waitingIn(uniqueID string) (queue, channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.state.queues {
		for _, w := range q.waiting {
			if w.uniqueID == uniqueID {
				return q.name, w.channel
			}
		}
	}
	return "", ""
}
