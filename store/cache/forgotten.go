package cache

import (
	"sync"
	"time"
)

// RememberForgotten is the time for which a forgotten number is remembered: longer than
// any request takes.
const RememberForgotten = 10 * time.Minute

// forgotten holds the numbers that this process has forgotten. The file has those of
// every process. The zero value is ready.
type forgotten struct {
	mu sync.Mutex
	at map[string]time.Time // "" stands for all
}

func (f *forgotten) add(number string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil {
		f.at = map[string]time.Time{}
	}
	for n, at := range f.at {
		if now.Sub(at) > RememberForgotten {
			delete(f.at, n)
		}
	}
	f.at[number] = now
}

// since reports whether a number was forgotten at that time or later.
func (f *forgotten) since(number string, asked time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range []string{"", number} {
		if at, ok := f.at[n]; ok && !at.Before(asked) {
			return true
		}
	}
	return false
}
