package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"ringhook/hooks"
	"ringhook/httpclient"
	"ringhook/lookup"
	"ringhook/store/sqlite"
)

// The limits of a stop in order. With the last lines of the log they stay below
// systemd's stop timeout of 20 s (TimeoutStopSec of the unit).
const (
	stopTime     = 15 * time.Second // everything but metrics and log
	sessionTime  = 4 * time.Second  // calls in progress, if their budget is longer
	reloadTime   = 2 * time.Second  // a reload in progress
	attemptDrain = 8 * time.Second  // deliveries in flight
	lookupTime   = time.Second      // lookups that no call waits for
	partTime     = time.Second      // any other part
	// tokenTime is for requests for tokens in progress: a refresh token in a lost answer is lost.
	tokenTime = httpclient.TokenWait + time.Second
	deskDrain = time.Second // requests of browsers
	httpDrain = time.Second // metrics and the API

	// stopGrace is the time that a part has to return after its limit.
	stopGrace = 200 * time.Millisecond
)

// step stops one part. Stop returns when ctx ends at the latest; if it does not, it
// is left to end with the process.
type step struct {
	name  string
	limit time.Duration
	stop  func(ctx context.Context) error
}

// onStop adds a part that has been built. Parts are stopped in reverse order.
func (a *App) onStop(name string, limit time.Duration, stop func(context.Context) error) {
	a.undo = append(a.undo, step{name, limit, stop})
}

// unwind stops what was built. A part that fails does not keep the rest from stopping.
func (a *App) unwind(ctx context.Context) (err error) {
	for i := len(a.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, a.end(ctx, a.undo[i]))
	}
	a.undo = nil
	return err
}

// end stops one part within its limit. What is cut short is logged and is no error:
// everything that was accepted is on disk, and is done after the next start.
func (a *App) end(ctx context.Context, s step) error {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.stop(ctx) }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		select {
		case err = <-ended:
		case <-time.After(stopGrace):
			err = context.Cause(ctx)
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), sqlite.ClassOf(err) == sqlite.Busy:
		a.log.Warn("cut short at the stop", "part", s.name, "err", err, "hint", "what was accepted is done after the next start")
		return nil
	}
	return fmt.Errorf("stop %s: %w", s.name, err)
}

func (a *App) closeLookups(ctx context.Context, s *lookup.Service) error {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Load().FastAGI.Budget)
	defer cancel()
	return s.Close(ctx)
}

func (a *App) closeHooks(ctx context.Context, d *hooks.Dispatcher) error {
	ctx, cancel := context.WithTimeout(ctx, attemptDrain)
	defer cancel()
	return d.Close(ctx)
}

// without makes a stop of a part that takes no context.
func without(stop func() error) func(context.Context) error {
	return func(context.Context) error { return stop() }
}

// closeListener closes a listener that its server may have closed already.
func closeListener(l net.Listener) func(context.Context) error {
	return func(context.Context) error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}
