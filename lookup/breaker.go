package lookup

import (
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"ringhook/httpclient"
)

const (
	// openFor is the time for which the circuit breaker stays open before one
	// request tries the source again.
	openFor = 5 * time.Second
	// The breaker opens after tripRow failures in a row, or when half of at
	// least tripMany requests within tripWindow failed.
	tripRow    = 5
	tripMany   = 20
	tripWindow = 30 * time.Second
	// slowStart is the factor by which each answer after an outage raises the
	// limit of requests: 1, 4, 16, all.
	slowStart = 4
)

// unasked are the reasons for which the source was not asked at all.
var unasked = []string{httpclient.ClassBusy, httpclient.ClassRate, httpclient.ClassRequest}

// errUnasked is the result of a request that was not made.
var errUnasked = errors.New("the source was not asked")

// breaker is the circuit breaker of a source: calls do not wait for one that is down,
// and one that comes back does not get all of them at once.
type breaker struct {
	circuit *gobreaker.TwoStepCircuitBreaker[result]
	full    int32
	limit   atomic.Int32 // of requests in flight, at most full
}

// newBreaker returns a closed breaker, which logs its changes by say.
func newBreaker(full int, say func(level slog.Level, msg string, args ...any)) *breaker {
	b := &breaker{full: int32(full)}
	b.limit.Store(b.full)
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[result](gobreaker.Settings{
		MaxRequests:  1,
		Interval:     tripWindow,
		BucketPeriod: tripWindow / 10,
		Timeout:      openFor,
		IsExcluded:   func(err error) bool { return errors.Is(err, errUnasked) },
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= tripRow || c.Requests >= tripMany && 2*c.TotalFailures >= c.Requests
		},
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case to == gobreaker.StateOpen:
				b.limit.Store(1)
				if from == gobreaker.StateClosed {
					say(slog.LevelWarn, "circuit breaker open: lookup is not asked", "again_in", openFor)
				}
			case to == gobreaker.StateClosed:
				say(slog.LevelInfo, "circuit breaker closed: lookup is asked again")
			}
		},
	})
	return b
}

// allow reports whether one more request may go out beside those in flight: it returns
// a function to call with its result, or the reason why not.
func (b *breaker) allow(inFlight int) (done func(result), refused string) {
	if limit := b.limit.Load(); inFlight >= int(limit) {
		if limit < b.full {
			return nil, reasonOpen
		}
		return nil, reasonBusy
	}
	report, err := b.circuit.Allow()
	if err != nil {
		return nil, reasonOpen
	}
	return func(r result) {
		switch {
		case r.fault == nil:
		case r.fault.down:
			report(r.fault)
			return
		case slices.Contains(unasked, r.fault.reason): // says nothing about the source
			report(errUnasked)
			return
		}
		report(nil)
		if limit := b.limit.Load(); limit < b.full && b.circuit.State() == gobreaker.StateClosed {
			b.limit.CompareAndSwap(limit, min(limit*slowStart, b.full))
		}
	}, ""
}
