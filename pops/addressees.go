package pops

import (
	"slices"

	"ringhook/hooks"
)

// Addressees returns the agents who may get a pop of an event: its own agent, and those whom the rules
// of the event name. An agent of the event who is not among agents is known by the phone alone.
func (r *Rules) Addressees(ev *hooks.Event, agents []Agent) []Agent {
	var list []Agent
	add := func(a Agent) {
		if !slices.ContainsFunc(list, func(b Agent) bool { return a.key() == b.key() }) {
			list = append(list, a)
		}
	}
	for _, rule := range r.rules {
		if !slices.Contains(rule.Events, ev.Name) {
			continue
		}
		if slices.Contains(rule.To, toAgent) {
			if a, ok := agentOf(ev, agents); ok {
				add(a)
			}
		}
		for i := range agents {
			if rule.addresses(ev, &agents[i]) {
				add(agents[i])
			}
		}
	}
	return list
}

// agentOf returns the agent of an event.
func agentOf(ev *hooks.Event, agents []Agent) (Agent, bool) {
	phone, id := text(ev, "agent_phone"), text(ev, "agent_id")
	for _, a := range agents {
		if phone != "" && a.Phone == phone || phone == "" && id != "" && a.ID == id {
			return a, true
		}
	}
	return Agent{Phone: phone, ID: id, Name: text(ev, "agent_name")}, phone != ""
}

// addresses reports whether the rule's to names an agent at an event.
func (r *rule) addresses(ev *hooks.Event, a *Agent) bool {
	for _, to := range r.To {
		switch to {
		case toAgent:
			phone, id := text(ev, "agent_phone"), text(ev, "agent_id")
			if phone != "" && a.Phone == phone || phone == "" && id != "" && a.ID == id {
				return true
			}
		case toMembers:
			if queue := text(ev, "queue_id"); queue != "" && slices.Contains(a.Queues, queue) {
				return true
			}
		case toSupervisors:
			if a.Supervisor {
				return true
			}
		default:
			if a.ID == to {
				return true
			}
		}
	}
	return false
}
