package pops

import (
	"slices"
	"time"

	"ringhook/hooks"
)

// follow keeps who rings and who talks, and closes pops.
func (l *Live) follow(c *call, ev *hooks.Event, now time.Time) {
	phone := text(ev, "agent_phone")
	switch ev.Name {
	case "agent-dial":
		c.rings[phone]++
		l.rang[phone] = ring{c.key, now}
	case "agent-custom":
		l.talk(c, phone, true)
	case "agent-answer", "agent-dialout-answer":
		l.talk(c, phone, true)
		c.answered = true
		l.closeOthers(c, phone, now)
	case "agent-hangup", "agent-cancel", "agent-dialout-hangup":
		l.talk(c, phone, false)
		c.rings[phone] = max(0, c.rings[phone]-1)
		if c.rings[phone] == 0 {
			l.closeAll(c, func(p *Pop) bool { return p.Agent.Phone == phone }, endOf(ev), now)
		}
	case "call-hangup":
		end := Ended
		if !c.answered {
			end = Abandoned
		}
		l.closeAll(c, func(*Pop) bool { return true }, end, now)
	}
}

// endOf returns the fate of the pops of an agent whose ring or talk has ended.
func endOf(ev *hooks.Event) Fate {
	if ev.Name == "agent-cancel" && text(ev, "status") == "cancel" {
		return Abandoned
	}
	return Ended
}

// talk records whether a phone talks in a call.
func (l *Live) talk(c *call, phone string, talks bool) {
	if phone == "" {
		return
	}
	calls := l.talks[phone]
	if talks {
		if calls == nil {
			calls = map[string]bool{}
			l.talks[phone] = calls
		}
		calls[c.key] = true
		c.rings[phone] += 0
		return
	}
	if delete(calls, c.key); len(calls) == 0 {
		delete(l.talks, phone)
	}
}

// closeOthers closes the pops of the agents who still rang when another one answered.
func (l *Live) closeOthers(c *call, phone string, now time.Time) {
	l.closeAll(c, func(p *Pop) bool { return p.Agent.Phone != phone && p.Agent.Phone != "" && c.rings[p.Agent.Phone] > 0 }, Elsewhere, now)
}

// closeAll ends the pops of a call that fit.
func (l *Live) closeAll(c *call, fits func(*Pop) bool, fate Fate, now time.Time) {
	c.pops = slices.DeleteFunc(c.pops, func(p *Pop) bool {
		if !fits(p) {
			return false
		}
		l.turn(p, fate, now)
		if fate == Elsewhere {
			// The call may come again, by a transfer.
			c.popped[p.Agent.key()] = slices.DeleteFunc(c.popped[p.Agent.key()], func(rule string) bool { return rule == p.Rule })
		}
		return true
	})
}
