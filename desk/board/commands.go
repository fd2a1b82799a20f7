package board

import (
	"ringhook/control"
	"ringhook/dialplan"
)

// MayChange returns why a viewer may not change a call of an agent, nil if package control decides: for the own ones, those
// that were in a queue that the viewer sees, and all for an administrator. The call is named by its linkedid or by an attended
// transfer; the other one is empty.
func (b *Board) MayChange(v *Viewer, agent, linkedid, transfer string) error {
	if !v.May(dialplan.RoleSupervisor) || v.all() || v.Agent != "" && v.Agent == agent {
		return nil
	}
	calls := []string{linkedid}
	if transfer != "" {
		list, err := b.Control.AgentCalls(v.Actor, agent)
		if err != nil {
			return err
		}
		for i := range list {
			if list[i].Transfer == transfer {
				calls = append(calls, list[i].LinkedID)
			}
		}
	}
	for _, call := range calls {
		if call != "" && !b.seesLive(v, call, b.Control.Live().Calls) {
			return &control.Error{Code: control.Forbidden, Text: v.Name + " may not change this call: it was in none of the supervised queues"}
		}
	}
	return nil
}

// seesLive reports whether a viewer sees every live call of a linkedid: by the queue in which it waits, or because the
// points reported it. A live call that they did not report may be another Asterisk's.
func (b *Board) seesLive(v *Viewer, linkedid string, live []control.Call) bool {
	calls, waiting := 0, 0
	for i := range live {
		if live[i].LinkedID != linkedid {
			continue
		}
		calls++
		if v.Sees(live[i].Queue) {
			waiting++
		}
	}
	if calls > 0 && waiting == calls {
		return true
	}
	c, err := b.call(v, linkedid)
	return err == nil && c.last != nil && c.whole && calls <= c.open
}
