package lookup

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// openFor is how long a source that is down is left alone before one
	// request tries it again.
	openFor = 5 * time.Second
	// A source counts as down after tripRow failures in a row, or when half of
	// at least tripMany requests within tripWindow failed.
	tripRow    = 5
	tripMany   = 20
	tripWindow = 30 * time.Second
	// ramp is how many times more requests each answer after an outage lets
	// through: 1, 4, 16, all.
	ramp = 4
)

// breaker keeps calls from waiting for a source that is down, and the source
// from all of them at once when it comes back.
type breaker struct {
	circuit *gobreaker.TwoStepCircuitBreaker[result]
	full    int32
	limit   atomic.Int32 // of requests under way at once, at most full
}

func newBreaker(full int, log *slog.Logger) *breaker {
	b := &breaker{full: int32(full)}
	b.limit.Store(b.full)
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[result](gobreaker.Settings{
		MaxRequests:  1,
		Interval:     tripWindow,
		BucketPeriod: tripWindow / 10,
		Timeout:      openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= tripRow || c.Requests >= tripMany && 2*c.TotalFailures >= c.Requests
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case to == gobreaker.StateOpen:
				b.limit.Store(1)
				if from == gobreaker.StateClosed {
					log.Warn("lookup is not asked for a while, since it keeps failing", "again_in", openFor)
				}
			case to == gobreaker.StateClosed:
				log.Info("lookup is asked again")
			}
		},
	})
	return b
}

// allow tells whether one more request may go out beside those under way: with
// done to be called with its result, or with the reason why not.
func (b *breaker) allow(under int) (done func(result), refused string) {
	if limit := b.limit.Load(); under >= int(limit) {
		if limit < b.full {
			return nil, reasonOpen
		}
		return nil, reasonBusy
	}
	tell, err := b.circuit.Allow()
	if err != nil {
		return nil, reasonOpen
	}
	return func(r result) {
		if r.fault != nil && r.fault.down {
			tell(r.fault)
			return
		}
		tell(nil)
		if limit := b.limit.Load(); limit < b.full && b.circuit.State() == gobreaker.StateClosed {
			b.limit.CompareAndSwap(limit, min(limit*ramp, b.full))
		}
	}, ""
}
