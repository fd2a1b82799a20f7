package control

import (
	"slices"
	"sync"
	"time"

	"ringhook/dialplan"
)

// Actor is the source of a command.
type Actor struct {
	// Name is recorded, such as "agent 7" or "token crm".
	Name string
	// Agent is the id of the agent that the actor is; empty for none.
	Agent string
	// Role is one of those of dialplan.Agent.
	Role string
	// Queues are those of a supervisor.
	Queues []string
}

// Administrator returns an actor with all rights.
func Administrator(name string) Actor { return Actor{Name: name, Role: dialplan.RoleAdministrator} }

// Sees reports whether the actor sees a queue and its calls: a supervisor the own ones, an administrator all. An empty id is
// that of no queue.
func (a *Actor) Sees(queue string) bool {
	return a.Role == dialplan.RoleAdministrator || a.Role == dialplan.RoleSupervisor && queue != "" && slices.Contains(a.Queues, queue)
}

// AgentActor returns the actor that an agent is, with the rights of the agent's role.
func (c *Control) AgentActor(id, name string) (Actor, error) {
	a, err := c.settings.Load().agent(id)
	if err != nil {
		return Actor{}, err
	}
	return Actor{Name: name, Agent: id, Role: a.Role, Queues: a.Supervises}, nil
}

// scope is on what a command acts, which decides who may give it. An administrator may give all.
type scope int

const (
	ofAgent  scope = iota // the agent, and supervisors of one of the agent's queues
	ofQueue               // supervisors of the queue
	ofServer              // administrators alone
)

// rights are those of each command. A command without a row is refused.
var rights = map[string]scope{
	"login": ofAgent, "logout": ofAgent, "pause": ofAgent, "resume": ofAgent,
	"hangup": ofAgent, "mute": ofAgent, "unmute": ofAgent, "dtmf": ofAgent,
	"hold": ofAgent, "unhold": ofAgent, "answer": ofAgent, "transfer": ofAgent, "complete": ofAgent, "cancel": ofAgent, "dial": ofAgent,
	"kick": ofQueue, "priority": ofQueue,
	"campaign": ofServer, "campaign-stop": ofServer, "account": ofServer, "account-change": ofServer, "account-delete": ofServer,
}

// Commands returns the names of all commands.
func Commands() []string {
	names := make([]string, 0, len(rights))
	for name := range rights {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// allowed returns why an actor may not give a command, nil if it may. The agent is nil for a command that
// acts on none, and queue is empty for one that acts on none.
func allowed(who Actor, command string, agent *dialplan.Agent, queue string) error {
	of, known := rights[command]
	refused := errorf(Forbidden, "%s may not give the command %s here", who.Name, command)
	switch {
	case !known:
		return refused
	case who.Role == dialplan.RoleAdministrator:
		return nil
	case of == ofAgent && agent != nil && who.Agent != "" && who.Agent == agent.ID:
		return nil
	case who.Role != dialplan.RoleSupervisor:
		return refused
	case of == ofAgent && agent != nil && slices.ContainsFunc(agent.Queues, func(q string) bool { return slices.Contains(who.Queues, q) }):
		return nil
	case of == ofQueue && slices.Contains(who.Queues, queue):
		return nil
	}
	return refused
}

const (
	// paceBurst is the number of commands that an agent, a supervisor or a token of theirs may give at once. Each is
	// recorded on disk, which calls need too.
	paceBurst = 100
	// paceEvery is the time after which one more may be given.
	paceEvery = 100 * time.Millisecond
	// paceRunning is the maximum number of commands of such an actor that run at once. A phone that does not do what it is
	// asked keeps a command running for seconds.
	paceRunning = maxCommands / 4
)

// pace bounds the commands of each actor. Its memory is that of the agents and tokens.
type pace struct {
	mu      sync.Mutex
	free    map[string]time.Time // when an actor may give paceBurst again if it sends none until then; guarded by mu
	running map[string]int       // commands of an actor that run, if any do; guarded by mu
}

// allows counts a command, or reports false if its actor has given too many. Administrators are not bounded.
func (p *pace) allows(who Actor, now time.Time) bool {
	if who.Role == dialplan.RoleAdministrator {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	free := p.free[who.Name]
	if free.Before(now) {
		free = now
	}
	if free = free.Add(paceEvery); free.Sub(now) > paceBurst*paceEvery {
		return false
	}
	if p.free == nil {
		p.free = map[string]time.Time{}
	}
	p.free[who.Name] = free
	return true
}

// begin counts a command that is to run, or reports false if its actor has too many that do. Administrators are not bounded.
func (p *pace) begin(who Actor) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if who.Role != dialplan.RoleAdministrator && p.running[who.Name] >= paceRunning {
		return false
	}
	if p.running == nil {
		p.running = map[string]int{}
	}
	p.running[who.Name]++
	return true
}

// end takes back a begin that returned true.
func (p *pace) end(who Actor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running[who.Name]--; p.running[who.Name] <= 0 {
		delete(p.running, who.Name)
	}
}
