package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"ringhook/pops"
)

// personalEvery is the interval at which changes by other processes are looked for.
const personalEvery = 2 * time.Second

// personal passes the settings of agents and the list of exceptions to the screen pops.
type personal struct {
	mu       sync.Mutex
	revision int64 // that is in force; 0 for none
	erased   int64 // up to which erased numbers are forgotten; 0 for none
}

// readPersonal reads settings and exceptions, if they have changed since they were last read.
func (a *App) readPersonal() error {
	a.personal.mu.Lock()
	defer a.personal.mu.Unlock()
	d := a.store.Desk()
	revision, erased, err := d.Revision()
	if err != nil || revision+1 == a.personal.revision {
		return err
	}
	if before := a.personal.erased; erased+1 != before {
		if before != 0 {
			a.forgetEnded()
		}
		a.personal.erased = erased + 1
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
	a.personal.revision = revision + 1
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
	tick := time.NewTicker(personalEvery)
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
