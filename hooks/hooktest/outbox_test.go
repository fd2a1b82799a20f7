package hooktest

import (
	"context"
	"testing"
	"time"

	"ringhook/hooks"
	"ringhook/store/storetest"
)

type accepting struct{ *Outbox }

// Accept implements storetest.Outbox.
func (a accepting) Accept(_ context.Context, ev hooks.Event, routes []hooks.Route) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range routes {
		a.add(ev, r)
	}
	return nil
}

// TestOutbox checks that the outbox in memory behaves as a store does.
func TestOutbox(t *testing.T) {
	storetest.RunOutbox(t, func(_ *testing.T, now func() time.Time) (storetest.Outbox, func() storetest.Outbox) {
		o := NewOutbox()
		o.Now = now
		return accepting{o}, func() storetest.Outbox { return accepting{o} }
	})
}
