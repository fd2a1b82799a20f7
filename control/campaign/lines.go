package campaign

import (
	"context"
	"sync"
)

// lines are those on which a campaign may have calls at once.
type lines struct {
	free  chan struct{} // holds one for each that is in use
	calls sync.WaitGroup
}

// acquire waits for a free line, and reports false if ctx ended before.
func (l *lines) acquire(ctx context.Context) bool {
	select {
	case l.free <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if ctx.Err() != nil { // the end itself freed the line: its call goes on
		l.release()
		return false
	}
	return true
}

// release frees a line.
func (l *lines) release() { <-l.free }

// use follows a call in the background, and then frees its line.
func (l *lines) use(follow func()) {
	l.calls.Go(func() {
		defer l.release()
		follow()
	})
}
