package control

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/ami"
	"ringhook/control/switching"
	"ringhook/dialplan"
)

// AgentView is what is known of an agent now.
type AgentView struct {
	Agent  string       `json:"agent"` // id
	Name   string       `json:"name,omitempty"`
	Role   string       `json:"role"`
	Phone  string       `json:"phone,omitempty"`
	State  string       `json:"state"`           // of the phone: free, busy, ringing, held, unavailable, invalid or unknown
	Since  *time.Time   `json:"since,omitempty"` // of the state; absent if its beginning was not seen
	Queues []AgentQueue `json:"queues"`
	Calls  []string     `json:"calls"` // linkedids of the calls with the agent's phone
}

// AgentQueue is an agent's place in one queue.
type AgentQueue struct {
	Server   string     `json:"server,omitempty"`
	Queue    string     `json:"queue"`
	LoggedIn bool       `json:"logged_in"`
	Static   bool       `json:"static"` // from queues.conf: cannot log out
	Paused   bool       `json:"paused"`
	Reason   string     `json:"reason,omitempty"` // of the pause
	Since    *time.Time `json:"since,omitempty"`  // of the pause
	Until    *time.Time `json:"until,omitempty"`  // when the pause ends by itself
	Overdue  bool       `json:"overdue,omitempty"`
	Login    *time.Time `json:"login,omitempty"`
	Penalty  int        `json:"penalty"`
	InCall   bool       `json:"in_call"` // of this queue
}

// Agents returns the agents that an actor may see: all, those of a supervisor's queues, or the agent itself.
func (c *Control) Agents(who Actor) []AgentView {
	settings := c.settings.Load()
	list := []AgentView{}
	for i := range settings.Agents {
		if a := &settings.Agents[i]; a.ID != "" && allowed(who, "pause", a, "") == nil {
			list = append(list, c.view(settings, a))
		}
	}
	return list
}

// Agent returns one agent.
func (c *Control) Agent(who Actor, id string) (AgentView, error) {
	settings := c.settings.Load()
	a, err := settings.agent(id)
	if err == nil {
		err = allowed(who, "pause", a, "")
	}
	if err != nil {
		return AgentView{}, err
	}
	return c.view(settings, a), nil
}

func (c *Control) view(settings *Settings, a *dialplan.Agent) AgentView {
	v := AgentView{Agent: a.ID, Name: a.Name, Role: a.Role, Phone: a.Phone, State: "unknown", Queues: []AgentQueue{}, Calls: []string{}}
	iface, dev := memberOf(a), deviceOf(a)
	for _, s := range c.all() {
		s.mu.Lock()
		if state := s.state.devices[dev]; state != "" && (v.State == "unknown" || v.State == "unavailable") {
			v.State, v.Since = state, some(s.state.since[dev])
		}
		for _, q := range s.state.queues {
			if m := q.members[iface]; m != nil {
				v.Queues = append(v.Queues, c.place(settings, s.config.Name, q.name, m))
			}
		}
		for _, ch := range s.state.channels {
			if isOf(ch, dev) && !slices.Contains(v.Calls, ch.linkedID) {
				v.Calls = append(v.Calls, ch.linkedID)
			}
		}
		s.mu.Unlock()
	}
	for _, q := range a.Queues {
		if !slices.ContainsFunc(v.Queues, func(p AgentQueue) bool { return p.Queue == q }) {
			v.Queues = append(v.Queues, AgentQueue{Queue: q})
		}
	}
	slices.SortFunc(v.Queues, func(x, y AgentQueue) int {
		return cmp.Or(strings.Compare(x.Queue, y.Queue), strings.Compare(x.Server, y.Server))
	})
	slices.Sort(v.Calls)
	return v
}

func (c *Control) place(settings *Settings, server, queue string, m *member) AgentQueue {
	p := AgentQueue{Server: server, Queue: queue, LoggedIn: true, Static: !m.dynamic, Paused: m.paused, Penalty: m.penalty, InCall: m.inCall, Login: some(m.login)}
	if m.paused {
		p.Reason, p.Since = m.reason, some(m.lastPause)
		p.Until = c.pauseEnd(server, m.iface, queue)
		i := slices.IndexFunc(settings.Pauses, func(r PauseReason) bool { return r.Name == m.reason })
		p.Overdue = i >= 0 && settings.Pauses[i].Longest > 0 && !m.lastPause.IsZero() && time.Since(m.lastPause) > settings.Pauses[i].Longest
	}
	return p
}

// isOf reports whether a channel is that of a device, such as PJSIP/101-0000002a.
func isOf(ch *channel, device string) bool { return switching.IsOf(ch.name, device) }

// LoginRequest asks to log an agent in to queues, or out.
type LoginRequest struct {
	Agent   string   `json:"-"` // id
	Server  string   `json:"-"`
	Queues  []string `json:"queues,omitempty"` // default: those of the configuration, or of the agent now
	Penalty int      `json:"penalty,omitempty"`
	// Phone is the phone at which the agent says to be. Another one than that of the configuration is refused: the
	// agent's calls are known by it.
	Phone string `json:"phone,omitempty"`
}

// subject returns the agent of a command for an agent with a phone, if the actor may give it.
func (c *Control) subject(who Actor, command, id string) (*Settings, *dialplan.Agent, error) {
	settings := c.settings.Load()
	a, err := settings.agent(id)
	if err == nil {
		err = allowed(who, command, a, "")
	}
	if err == nil && a.Phone == "" {
		err = errorf(NoPhone, "agent %s has no phone", id)
	}
	return settings, a, err
}

// named checks the queues of a request.
func named(queues []string) error {
	if len(queues) > maxItems {
		return errorf(BadRequest, "at most %d queues at once", maxItems)
	}
	for i, q := range queues {
		if q == "" || len(q) > 79 || text(q) != q {
			return errorf(BadRequest, "the name of a queue is empty, too long or has a control character")
		}
		if slices.Contains(queues[:i], q) {
			return errorf(BadRequest, "queue %s is named twice", q)
		}
	}
	return nil
}

// Login logs an agent in to queues. A member from queues.conf is always logged in: its result is static.
func (c *Control) Login(ctx context.Context, who Actor, in LoginRequest) (Results, error) {
	at := &on{server: in.Server, agent: in.Agent, detail: in}
	return run(ctx, c, who, "login", at, func(ctx context.Context) (r Results, err error) {
		_, a, err := c.subject(who, "login", in.Agent)
		if err == nil {
			err = named(in.Queues)
		}
		if err == nil && (in.Penalty < 0 || in.Penalty > 1000) {
			err = errorf(BadRequest, "penalty must be 0 to 1000")
		}
		if err == nil && in.Phone != "" && dialplan.Phone(in.Phone, c.settings.Load().isAgent) != a.Phone {
			err = errorf(NoPhone, "agent %s has the phone %s in the configuration", a.ID, a.Phone)
		}
		if err != nil {
			return r, err
		}
		queues := in.Queues
		if len(queues) == 0 {
			queues = a.Queues
		}
		if len(queues) == 0 {
			return r, errorf(BadRequest, "agent %s has no queues: name some, or set [[agent]] queues", a.ID)
		}
		reached, err := c.reach(ctx, in.Server)
		if err != nil {
			return r, err
		}
		queues, refused := steered(who, a, queues, len(in.Queues) > 0)
		for _, q := range refused {
			r.add(Result{Queue: q}, errorf(Forbidden, "%s may not change the queue %s", who.Name, q))
		}
		if len(queues)+len(refused) == 0 {
			return r, errorf(Forbidden, "%s may change none of the queues of agent %s", who.Name, a.ID)
		}
		for _, q := range queues {
			s, err := reached.queue(q)
			switch {
			case err != nil:
			case who.Role != dialplan.RoleAdministrator && !slices.Contains(a.Queues, q):
				err = errorf(Forbidden, "queue %s is not among [[agent]] queues of %s", q, a.ID)
			default:
				err = s.login(ctx, a, q, in.Penalty)
			}
			r.add(Result{Server: nameOf(s), Queue: q}, err)
		}
		return r, nil
	})
}

// steered returns the queues of a command for an agent that its actor may change: a supervisor those that are the
// supervisor's. The others are refused if they were named, and else left out.
func steered(who Actor, a *dialplan.Agent, queues []string, named bool) (mine, refused []string) {
	for _, q := range queues {
		switch {
		case who.Role != dialplan.RoleSupervisor, who.Agent != "" && who.Agent == a.ID, slices.Contains(who.Queues, q):
			mine = append(mine, q)
		case named:
			refused = append(refused, q)
		}
	}
	return mine, refused
}

func nameOf(s *server) string {
	if s == nil {
		return ""
	}
	return s.config.Name
}

// login adds a member. Asterisk accepts any interface, so the phone is checked first.
func (s *server) login(ctx context.Context, a *dialplan.Agent, queue string, penalty int) error {
	iface, dev := memberOf(a), deviceOf(a)
	if err := s.reachable(ctx, dev); err != nil {
		return err
	}
	_, err := s.client.Do(ctx, ami.Action{Name: "QueueAdd", Fields: []ami.Field{
		{Key: "Queue", Value: queue}, {Key: "Interface", Value: iface}, {Key: "Penalty", Value: strconv.Itoa(penalty)}, {Key: "Paused", Value: "false"},
		{Key: "MemberName", Value: text(cmp.Or(a.Name, a.Phone))}, {Key: "StateInterface", Value: dev},
	}})
	if rejectedWith(err, "Already there") {
		if s.isStatic(queue, iface) {
			return errorf(Static, "agent %s is a member of %s by queues.conf and always logged in", a.ID, queue)
		}
		return errorf(State, "agent %s is logged in to %s already", a.ID, queue)
	}
	if err != nil {
		return err
	}
	s.settle(ctx, func(s *state) bool { q := s.queues[queue]; return q == nil || q.members[iface] != nil })
	return nil
}

func (s *server) isStatic(queue, iface string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.state.queues[queue]
	return q != nil && q.members[iface] != nil && !q.members[iface].dynamic
}

// reachable returns an error if Asterisk has no such device. A phone that is not registered is one.
func (s *server) reachable(ctx context.Context, device string) error {
	s.mu.Lock()
	known := s.state.devices[device]
	s.mu.Unlock()
	if known == "" {
		value, err := s.client.Call(ctx, ami.DeviceState, device)
		if err != nil {
			return err
		}
		known = deviceStates[value]
	}
	if known == "" || known == "invalid" {
		return errorf(NoPhone, "Asterisk has no phone %s", device)
	}
	return nil
}

// places returns the queues of servers in which an interface is a member.
func places(servers []*server, iface string, queues []string) (list []place) {
	for _, s := range servers {
		s.mu.Lock()
		for _, q := range s.state.queues {
			if q.members[iface] != nil && (len(queues) == 0 || slices.Contains(queues, q.name)) {
				list = append(list, place{s, q.name})
			}
		}
		s.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b place) int {
		return cmp.Or(strings.Compare(a.on.config.Name, b.on.config.Name), strings.Compare(a.queue, b.queue))
	})
	return list
}

// place is a queue of an Asterisk.
type place struct {
	on    *server
	queue string
}

// each calls f for the queues that a command for an agent names, or for all in which the agent is. A queue in which
// the agent is not gets a result too.
func (c *Control) each(ctx context.Context, who Actor, a *dialplan.Agent, server string, queues []string, f func(s *server, queue string) error) (r Results, err error) {
	if err := named(queues); err != nil {
		return r, err
	}
	reached, err := c.reach(ctx, server)
	if err != nil {
		return r, err
	}
	queues, refused := steered(who, a, queues, true)
	for _, q := range refused {
		r.add(Result{Queue: q}, errorf(Forbidden, "%s may not change the queue %s", who.Name, q))
	}
	if len(queues) == 0 && len(refused) > 0 {
		return r, nil
	}
	list := slices.DeleteFunc(places(reached.servers, memberOf(a), queues), func(p place) bool {
		mine, _ := steered(who, a, []string{p.queue}, false)
		return len(mine) == 0
	})
	if len(queues) == 0 && len(list) == 0 {
		return r, reached.missing(State, "agent "+a.ID+" is not logged in to any queue")
	}
	for _, p := range list {
		r.add(Result{Server: p.on.config.Name, Queue: p.queue}, f(p.on, p.queue))
	}
	for _, q := range queues {
		if slices.ContainsFunc(list, func(p place) bool { return p.queue == q }) {
			continue
		}
		s, err := reached.queue(q)
		if err == nil {
			err = reached.missing(State, "agent "+a.ID+" is not logged in to "+q)
		}
		r.add(Result{Server: nameOf(s), Queue: q}, err)
	}
	return r, nil
}

// Logout logs an agent out of queues. A call of the agent goes on. A member from queues.conf can only be
// paused: its result is static.
func (c *Control) Logout(ctx context.Context, who Actor, in LoginRequest) (Results, error) {
	at := &on{server: in.Server, agent: in.Agent, detail: in}
	return run(ctx, c, who, "logout", at, func(ctx context.Context) (r Results, err error) {
		_, a, err := c.subject(who, "logout", in.Agent)
		if err == nil && (in.Penalty != 0 || in.Phone != "") {
			err = errorf(BadRequest, "penalty and phone are for login")
		}
		if err != nil {
			return r, err
		}
		iface := memberOf(a)
		return c.each(ctx, who, a, in.Server, in.Queues, func(s *server, queue string) error {
			_, err := s.client.Do(ctx, ami.Action{Name: "QueueRemove", Fields: []ami.Field{{Key: "Queue", Value: queue}, {Key: "Interface", Value: iface}}})
			switch {
			case rejectedWith(err, "Member not dynamic"):
				return errorf(Static, "agent %s is a member of %s by queues.conf and cannot log out", a.ID, queue)
			case rejectedWith(err, "Not there", "No such queue"):
				return errorf(State, "agent %s is not logged in to %s", a.ID, queue)
			case err != nil:
				return err
			}
			c.forgetPauseEnds(s.config.Name, iface, queue)
			s.settle(ctx, func(s *state) bool { q := s.queues[queue]; return q == nil || q.members[iface] == nil })
			return nil
		})
	})
}
