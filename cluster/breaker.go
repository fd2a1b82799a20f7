package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"ringhook/pgstore"
)

const (
	// maxMisses is the number of times in a row that a point waits in vain before the breaker opens.
	maxMisses = 2
	// tryEvery is the time between two commits that are tried while the breaker is open.
	tryEvery = 250 * time.Millisecond
)

// breaker is a circuit breaker in front of the engine. While it is open, no call waits for the engine.
type breaker struct {
	log    *slog.Logger
	opened chan struct{} // receives after the breaker has opened

	mu     sync.Mutex
	open   bool      // guarded by mu
	misses int       // guarded by mu
	since  time.Time // of the opening; guarded by mu
	err    error     // why it is open, nil if it is closed; guarded by mu
}

func newBreaker(log *slog.Logger) *breaker {
	return &breaker{log: log, opened: make(chan struct{}, 1)}
}

// closed reports whether the engine may be used.
func (b *breaker) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.open
}

// state returns since when the breaker is open and why; nil if it is closed.
func (b *breaker) state() (since time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since, b.err
}

// worked notes an answer of the engine.
func (b *breaker) worked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		b.misses = 0
	}
}

var errMisses = errors.New("the engine has not confirmed two records in time")

// failed notes an error of the engine. One that only took too long opens the breaker when it comes again.
func (b *breaker) failed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		return
	}
	if late(err) {
		if b.misses++; b.misses < maxMisses {
			return
		}
		err = errMisses
	}
	b.openFor(err)
}

// trip opens the breaker.
func (b *breaker) trip(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		b.openFor(err)
	}
}

// late reports whether an error only says that the engine has not answered in time, or made a record wait for others.
func late(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || pgstore.ClassOf(err) == pgstore.Conflict
}

// openFor opens the breaker. The caller holds mu.
func (b *breaker) openFor(err error) {
	b.open, b.since, b.err, b.misses = true, time.Now(), err, 0
	b.log.Warn("PostgreSQL does not answer, events are kept on this machine", "err", err)
	select {
	case b.opened <- struct{}{}:
	default:
	}
}

// close lets the engine be used again.
func (b *breaker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		b.log.Info("PostgreSQL answers again, events are forwarded", "after", time.Since(b.since).Round(time.Millisecond))
	}
	b.open, b.err, b.misses = false, nil, 0
}

// run tries a commit while the breaker is open, waits for it in full, and closes the breaker when it has succeeded. It calls
// closed then. It ends with the context.
func (b *breaker) run(ctx context.Context, try func(context.Context) error, closed func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.opened:
		}
		for !b.closed() {
			err := try(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				b.close()
				closed()
				break
			}
			b.mu.Lock()
			b.err = err
			b.mu.Unlock()
			select {
			case <-ctx.Done():
				return
			case <-time.After(tryEvery):
			}
		}
	}
}
