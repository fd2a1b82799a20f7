// Package storetest is the test suite of any store for calls, events and deliveries.
package storetest

import (
	"context"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
)

// Home is a store under test. Its parts share the committed records.
type Home interface {
	dialplan.Calls
	dialplan.Acceptor
	hooks.Outbox
}

// test is one test of a home. reopen closes it and opens it again.
type test struct {
	name string
	run  func(t *testing.T, c *clock, h Home, reopen func() Home)
}

// groups are the tests of a home, by what they are about.
var groups = map[string][]test{
	"calls":  calls,
	"events": events,
	"order":  order,
}

// Run checks what dialplan.Calls, dialplan.Acceptor and hooks.Outbox promise. open returns an empty store that takes the
// time from now and is closed when the test ends. reopen closes it and opens it again with what it holds.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) (h Home, reopen func() Home)) {
	for name, tests := range groups {
		t.Run(name, func(t *testing.T) {
			for _, test := range tests {
				t.Run(test.name, func(t *testing.T) {
					c := newClock()
					h, reopen := open(t, c.now)
					test.run(t, c, h, reopen)
				})
			}
		})
	}
	t.Run("outbox", func(t *testing.T) {
		RunOutbox(t, func(t *testing.T, now func() time.Time) (Outbox, func() Outbox) {
			h, reopen := open(t, now)
			return acceptor{h}, func() Outbox { return acceptor{reopen()} }
		})
	})
}

// acceptor accepts events in records of their own.
type acceptor struct{ Home }

// Accept implements Outbox.
func (a acceptor) Accept(ctx context.Context, ev hooks.Event, routes []hooks.Route) error {
	_, err := commit(ctx, a, dialplan.Record{Call: ev.LinkedID, State: []byte("{}"), Events: []dialplan.Accepted{{Event: ev, Hooks: routes}}})
	return err
}

// commit queues a record and waits for its commit.
func commit(ctx context.Context, a dialplan.Acceptor, r dialplan.Record) ([]hooks.Delivery, error) {
	c, err := a.Queue(ctx, r)
	if err != nil {
		return nil, err
	}
	return c.Wait(ctx)
}
