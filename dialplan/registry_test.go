package dialplan

import (
	"context"
	"errors"
	"testing"
	"time"
)

// silent is a journal whose reads end at their deadline.
type silent struct{ Journal }

func (silent) Call(_ string, deadline time.Time) ([]byte, int64, error) {
	if deadline.IsZero() {
		return nil, 0, errors.New("the read would not end")
	}
	<-time.After(time.Until(deadline))
	return nil, 0, context.DeadlineExceeded
}

// TestLoadEnds checks that a point does not wait for the state of its call after its deadline. It goes on with a new call.
func TestLoadEnds(t *testing.T) {
	r := newRegistry(silent{})
	now := time.Now()
	e, err := r.acquire(Identity{LinkedID: "1.1"}, now, now)
	if e == nil || e.call == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %+v, %v, want a new call and the end of the time", e, err)
	}
	r.release(e, false)
}
