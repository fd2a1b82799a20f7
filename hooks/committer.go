package hooks

import (
	"context"
	"time"
)

const (
	// commitDelay is the time that a success waits for other results to share a commit with, while nothing waits for it. It
	// bounds what is sent a second time after ringhook was killed.
	commitDelay = 20 * time.Millisecond
	// commitBatch is the number of results that are committed without further delay.
	commitBatch = 64
	// maxUncommitted is the number of results that may wait for a commit before nothing more is attempted.
	maxUncommitted = 512
)

// committer stores the results of attempts. It runs one commit at a time in the background, so that no attempt waits for
// one. Results that the outbox refuses are kept and committed later.
type committer struct {
	queue     Queue
	waiting   []Result        // to be committed
	commitNow bool            // one of them must not wait for others
	oldest    time.Time       // when the first of them was added
	running   []Result        // being committed
	done      chan settlement // receives the end of that commit
	refused   time.Time       // when the outbox last failed, zero if it works
}

// settlement is how a commit ended.
type settlement struct {
	released bool
	err      error
}

func newCommitter(queue Queue) committer {
	return committer{queue: queue, done: make(chan settlement, 1)}
}

// add has a result committed, at once or with others.
func (c *committer) add(r *Result, now bool) {
	if len(c.waiting) == 0 {
		c.oldest = time.Now()
	}
	c.commitNow = c.commitNow || now
	c.waiting = append(c.waiting, *r)
}

// uncommitted is the number of results that are not committed yet.
func (c *committer) uncommitted() int { return len(c.waiting) + len(c.running) }

// overloaded reports whether the outbox takes no results, or fewer than there are. Nothing is attempted then.
func (c *committer) overloaded() bool { return !c.refused.IsZero() || len(c.waiting) >= maxUncommitted }

// begin starts a commit if one is due. hurry does not wait for further results.
func (c *committer) begin(ctx context.Context, hurry bool) {
	now := time.Now()
	switch {
	case len(c.waiting) == 0 || c.running != nil || ctx.Err() != nil:
		return
	case now.Before(c.refused.Add(pause)):
		return
	case !c.commitNow && !hurry && len(c.waiting) < commitBatch && now.Before(c.oldest.Add(commitDelay)):
		return
	}
	c.running, c.waiting, c.commitNow = c.waiting, nil, false
	results := c.running
	go func() { // drain waits for it
		released, err := c.queue.Settle(ctx, results)
		c.done <- settlement{released, err}
	}()
}

// end notes how the running commit ended and returns its results, none if they are to be committed again.
func (c *committer) end(s settlement) []Result {
	results := c.running
	c.running = nil
	if s.err != nil {
		c.waiting, c.refused = append(results, c.waiting...), time.Now()
		return nil
	}
	c.refused = time.Time{}
	return results
}

// next returns when a commit is due, or the given time if that is earlier.
func (c *committer) next(other time.Time) time.Time {
	switch {
	case c.overloaded() && c.running != nil: // its end wakes the sender
		return time.Now().Add(pause)
	case !c.refused.IsZero():
		return c.refused.Add(pause)
	case len(c.waiting) == 0 || c.running != nil:
		return other
	}
	if due := c.oldest.Add(commitDelay); due.Before(other) {
		return due
	}
	return other
}

// drain commits every result and waits for that, calling confirm after each commit.
func (c *committer) drain(ctx context.Context, confirm func(settlement)) {
	for range 2 {
		if c.running != nil {
			confirm(<-c.done)
		}
		c.commitNow, c.refused = true, time.Time{}
		c.begin(ctx, true)
	}
	if c.running != nil {
		confirm(<-c.done)
	}
}
