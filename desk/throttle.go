package desk

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// maxFailures is the number of wrong passwords that an address, or an agent, may have within failureWindow.
	maxFailures   = 10
	failureWindow = time.Minute
	// maxWatched is the number of addresses and of names without an agent that are counted. While there are so many, others
	// are not refused: the agents are still counted.
	maxWatched = 4096
)

// throttle slows down clients that guess passwords. Its memory is bounded, however long and many the keys are.
type throttle struct {
	most int // 0 for no limit
	mu   sync.Mutex
	seen map[[sha256.Size]byte]failures // by the digest of the key
}

type failures struct {
	count int
	until time.Time
}

func newThrottle(most int) *throttle {
	return &throttle{most: most, seen: map[[sha256.Size]byte]failures{}}
}

// refuses reports whether a key has failed too often.
func (t *throttle) refuses(key string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.seen[sha256.Sum256([]byte(key))]
	return f.count >= maxFailures && now.Before(f.until)
}

// fail counts a failure.
func (t *throttle) fail(key string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	place := sha256.Sum256([]byte(key))
	f, watched := t.seen[place]
	if !watched && !t.room(now) {
		return
	}
	if !now.Before(f.until) {
		f = failures{until: now.Add(failureWindow)}
	}
	f.count++
	t.seen[place] = f
}

// room reports whether one more key can be counted. It forgets the keys whose window is over if there is none.
func (t *throttle) room(now time.Time) bool {
	if t.most == 0 || len(t.seen) < t.most {
		return true
	}
	for old, f := range t.seen {
		if !now.Before(f.until) {
			delete(t.seen, old)
		}
	}
	return len(t.seen) < t.most
}
