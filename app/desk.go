package app

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"

	"ringhook/conf"
	"ringhook/control"
	"ringhook/desk"
	"ringhook/desk/board"
	"ringhook/desk/framing"
	"ringhook/dialplan"
	"ringhook/lookup/number"
	"ringhook/pops"
	"ringhook/pops/getevent"
)

// popSetup returns the rules of screen pops and the agents who may get them.
func (a *App) popSetup(cfg *conf.Config) (pops.Setup, error) {
	rules, err := pops.Compile(cfg.Pops)
	if err != nil {
		return pops.Setup{}, fmt.Errorf("[[pop]]: %w", err)
	}
	s := pops.Setup{Rules: rules, MaxCall: cfg.Dialplan.MaxCall, Members: a.members}
	for _, agent := range cfg.Agents {
		s.Agents = append(s.Agents, pops.Agent{ID: agent.ID, Phone: agent.Phone, Name: agent.Name, Supervisor: agent.Role != dialplan.RoleAgent})
	}
	return s, nil
}

// members returns the ids of the agents who are logged in to a queue and not paused.
func (a *App) members(queue string) (ids []string) {
	for _, agent := range a.control.Agents(control.Administrator("screen pops")) {
		for _, q := range agent.Queues {
			if q.Queue == queue && q.LoggedIn && !q.Paused {
				ids = append(ids, agent.Agent)
				break
			}
		}
	}
	return ids
}

// deskSettings returns what a reload exchanges of the desk.
func (a *App) deskSettings(cfg *conf.Config, setup *pops.Setup) desk.Settings {
	return desk.Settings{
		Config: cfg.Desk, Agents: cfg.Agents, Queues: cfg.Queues, Pauses: cfg.Pauses, Frames: setup.Rules.Frames(), PBX: len(cfg.AMI) > 0,
		Polls: getevent.New(cfg.GetEvent, a.pops), Yemot: cfg.Yemot, Numbers: number.NewReader(cfg.Number),
		Board: board.Settings{Moments: moments(cfg.Pops), Kept: cfg.Store.KeepCalls, Hooks: a.api.Hooks, Links: cfg.Recordings.Shown()},
	}
}

// moments returns the events of all rules.
func moments(rules []pops.Config) (events []string) {
	for i := range rules {
		for _, e := range rules[i].Events {
			if !slices.Contains(events, e) {
				events = append(events, e)
			}
		}
	}
	return events
}

// buildDesk builds the desk and binds its port, if the configuration has one.
func (a *App) buildDesk(cfg *conf.Config, setup pops.Setup) (err error) {
	if cfg.Desk.Listen == "" {
		return nil
	}
	a.desk, err = desk.New(a.deskSettings(cfg, &setup), desk.Parts{
		Live: a.pops, Control: a.control, API: a.api, Accounts: a.data.desk, Store: a.data.browse, Clicks: a.clicks, Recordings: a.recordings, Notes: a.note, Changed: a.readPersonal, Frames: framing.NewChecker(framing.Head),
	}, a.log, a.registry)
	if err != nil {
		return err
	}
	if a.deskAt, err = net.Listen("tcp", cfg.Desk.Listen); err != nil {
		return fmt.Errorf("[desk] listen: %w", err)
	}
	a.onStop("desk listener", partTime, closeListener(a.deskAt))
	a.onStop("desk", deskDrain, a.desk.Shutdown)
	setup.Screen = a.desk
	a.pops.Exchange(setup)
	return nil
}

// note makes the event of an agent's note about the call of a linkedid and call_uuid.
func (a *App) note(ctx context.Context, linkedid, call, agentPhone, note string) bool {
	held, err := a.data.browse.Calls(linkedid)
	if err != nil {
		a.limited.Error("note", "note of an agent not reported", "linkedid", linkedid, "err", err)
		return false
	}
	for i := range held {
		if id := dialplan.IdentityOf(held[i].Key); id.UUID() == call {
			return a.points.Note(ctx, id, agentPhone, note)
		}
	}
	return false
}

// serveDesk serves the desk until it is stopped, and returns the function that waits for its end. Calls go on without it.
func (a *App) serveDesk() (wait func()) {
	var serving sync.WaitGroup
	if a.desk != nil {
		serving.Go(func() {
			if err := a.desk.Serve(a.deskAt); err != nil {
				a.log.Error("desk has ended, calls continue", "err", err, "hint", "restart ringhook")
			}
		})
	}
	return serving.Wait
}

// prepareDesk prepares a reload of the desk, and returns the function that puts it in force.
func (a *App) prepareDesk(cfg *conf.Config, setup *pops.Setup) (exchange func(), err error) {
	if a.desk == nil {
		return func() {}, nil
	}
	setup.Screen = a.desk
	return a.desk.Prepare(a.deskSettings(cfg, setup))
}

// DeskAddr returns the address that serves browsers, nil if the desk is off.
func (a *App) DeskAddr() net.Addr {
	if a.deskAt == nil {
		return nil
	}
	return a.deskAt.Addr()
}

// DeskTabs returns the number of open tabs of an agent.
func (a *App) DeskTabs(agent string) int {
	if a.desk == nil {
		return 0
	}
	return a.desk.Desks(agent)
}
