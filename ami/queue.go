package ami

import "sync/atomic"

// The events that wait for the watcher: about half a second of the most that one reader
// was measured to receive.
const (
	maxQueued      = 10000
	maxQueuedBytes = 16 << 20
)

type queued struct {
	message Message
	size    int // of its text
}

// queue is bounded. After an overflow it takes nothing until it is cleared: events
// behind a gap are of no use before the state was read again.
type queue struct {
	events   chan queued
	bytes    atomic.Int64
	lost     atomic.Bool
	overflow chan struct{} // wakes deliver
}

func newQueue() *queue {
	return &queue{events: make(chan queued, maxQueued), overflow: make(chan struct{}, 1)}
}

// put queues an event, or returns false. It does not block.
func (q *queue) put(m Message, size int) bool {
	if q.lost.Load() {
		return false
	}
	if q.bytes.Add(int64(size)) <= maxQueuedBytes {
		select {
		case q.events <- queued{m, size}:
			return true
		default:
		}
	}
	q.bytes.Add(-int64(size))
	q.lose()
	return false
}

// lose marks a gap.
func (q *queue) lose() {
	q.lost.Store(true)
	select {
	case q.overflow <- struct{}{}:
	default:
	}
}

// clear drops what is queued, takes events again, and returns the number that it dropped. Only deliver calls it.
func (q *queue) clear() (dropped int) {
	for {
		select {
		case e := <-q.events:
			q.bytes.Add(-int64(e.size))
			dropped++
		default:
			q.lost.Store(false)
			return dropped
		}
	}
}
