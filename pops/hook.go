package pops

import (
	"maps"

	"ringhook/hooks"
)

// PopEvent is the event that a hook gets of a pop.
const PopEvent = "pop"

// Hooker sends an event to a hook once, without storing or repeating it, and returns why the hook did not take it, without a
// secret or a word of its answer: the trace gets it.
type Hooker func(hook string, ev *hooks.Event) error

// deliver sends a pop to a hook in the background. The caller holds mu.
func (l *Live) deliver(p Pop, hook string) {
	if l.setup.Hooks == nil || p.event == nil || l.closed {
		return
	}
	send, ev := l.setup.Hooks, *p.event
	ev.Name, ev.Params = PopEvent, maps.Clone(p.event.Params)
	ev.ID = p.ID
	for name, value := range map[string]string{
		"event": PopEvent, "pop": p.ID, "pop_rule": p.Rule, "pop_url": p.URL, "pop_title": p.Title, "pop_mode": string(p.Action),
		"agent_id": p.Agent.ID, "agent_phone": p.Agent.Phone, "agent_name": p.Agent.Name,
	} {
		ev.Params[name] = value
	}
	select {
	case l.sending <- struct{}{}:
	default:
		l.metrics.dropped.WithLabelValues("hook").Inc()
		return
	}
	l.ended.Go(func() {
		err := send(hook, &ev)
		<-l.sending
		if err == nil {
			_ = l.Receipt(p.Agent.ID, p.ID, Shown) // it may be over
			return
		}
		l.limited.Warn(hook, "hook did not take a pop", "hook", hook, "pop", p.ID, "err", err)
		l.mu.Lock()
		defer l.mu.Unlock()
		if next, moved := l.next(p.Agent.ID, p.ID, NoReceipt, err.Error()); moved && next.Way.NeedsDesk() {
			l.show(&next)
		}
	})
}

// PopParameters returns the parameters that the event has beside those of its call.
func PopParameters() []string { return []string{"pop", "pop_rule", "pop_url", "pop_title", "pop_mode"} }

// maxSending is the maximum number of pops that are on their way to hooks.
const maxSending = 64
