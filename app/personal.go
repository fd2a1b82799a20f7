package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"ringhook/pops"
	storedesk "ringhook/store/desk"
)

// personalEvery is the interval at which changes by other processes are looked for, personalEveryShared that for changes by other
// nodes.
const (
	personalEvery       = 2 * time.Second
	personalEveryShared = 500 * time.Millisecond
)

// personal passes the settings of agents and the list of exceptions to the screen pops.
type personal struct {
	mu   sync.Mutex
	last storedesk.Revision // that is in force
	read bool               // settings and exceptions have been read; guarded by mu, like last
	seen bool               // last has the numbers of erased numbers and ended sessions
}

// readPersonal reads settings and exceptions, if they have changed since they were last read.
func (a *App) readPersonal() error {
	a.personal.mu.Lock()
	defer a.personal.mu.Unlock()
	d, p := a.data.desk, &a.personal
	now, err := d.Revision()
	if err != nil {
		return err
	}
	if p.seen && now.Erased != p.last.Erased {
		a.forgetEnded()
	}
	if p.seen && now.Ended != p.last.Ended && a.desk != nil {
		a.desk.CheckSessions()
	}
	p.seen, p.last.Erased, p.last.Ended = true, now.Erased, now.Ended
	if p.read && now.Personal == p.last.Personal {
		return nil
	}
	settings, err := d.Settings()
	list, err2 := d.Exceptions()
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	exceptions := make([]pops.ListedException, len(list))
	for i, e := range list {
		exceptions[i] = pops.ListedException{Number: e.Number, Agent: e.Agent, Note: e.Note, Who: e.Who, Created: e.Created}
	}
	a.pops.SetPersonal(pops.NewPersonal(settings, exceptions))
	p.read, p.last.Personal = true, now.Personal
	return nil
}

// forgetEnded drops the ended calls and the pops of numbers that agents' pages show, because a number was erased. Which one
// is not kept anywhere.
func (a *App) forgetEnded() {
	a.pops.ForgetEnded()
	if a.desk != nil {
		a.desk.ForgetSent()
	}
}

// keepPersonal looks for changes until ctx ends.
func (a *App) keepPersonal(ctx context.Context) {
	tick := time.NewTicker(a.data.personalEvery)
	defer tick.Stop()
	for failing := false; ; {
		err := a.readPersonal()
		if err != nil && !failing {
			a.log.Error("cannot read settings of agents and exceptions of screen pops", "err", err, "hint", "those read before stay in force")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
