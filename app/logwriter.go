package app

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxLines bounds the log that waits to be written, in bytes.
	maxLines = 1 << 20
	// lastLines is how long the end of the program waits for them.
	lastLines = 2 * time.Second
)

// logWriter lets nothing wait for a log: a terminal that is paused, a pipe that
// nobody reads or a disk that is full would otherwise hold every call at its
// first line. What does not fit is dropped and counted.
type logWriter struct {
	out     io.Writer
	journal bool // lines begin with their priority
	dropped atomic.Int64

	mu    sync.Mutex
	held  []byte // guarded by mu
	lost  int    // lines since the last that was held; guarded by mu
	over  bool   // nothing is taken any more; guarded by mu
	wake  chan struct{}
	ended chan struct{}
}

func newLogWriter(out io.Writer, journal bool) *logWriter {
	l := &logWriter{out: out, journal: journal, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go l.run()
	return l
}

// Write takes whole lines. It never waits, and its error is always nil.
func (l *logWriter) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || len(l.held)+len(text) > maxLines {
		l.lost++
		l.dropped.Add(1)
		return len(text), nil
	}
	if l.journal {
		l.held = append(l.held, priority(text)...)
	}
	l.held = append(l.held, text...)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return len(text), nil
}

// Lost tells how many lines were dropped; none where there is no logWriter.
func (l *logWriter) Lost() float64 {
	if l == nil {
		return 0
	}
	return float64(l.dropped.Load())
}

// Close writes what is held, and waits for that a moment. Lines that come later
// are dropped.
func (l *logWriter) Close() {
	l.mu.Lock()
	l.over = true
	close(l.wake)
	l.mu.Unlock()
	select {
	case <-l.ended:
	case <-time.After(lastLines): // it ends with the program
	}
}

func (l *logWriter) run() {
	defer close(l.ended)
	var gap bytes.Buffer
	var spare []byte
	for open := true; open; {
		_, open = <-l.wake
		l.mu.Lock()
		batch, lost := l.held, l.lost
		l.held, l.lost = spare[:0], 0
		l.mu.Unlock()
		if len(batch) > 0 {
			if _, err := l.out.Write(batch); err != nil {
				l.dropped.Add(int64(bytes.Count(batch, []byte("\n"))))
			}
		}
		if lost > 0 {
			gap.Reset()
			slog.New(slog.NewTextHandler(&gap, nil)).Warn("lines are missing here: the log was not read fast enough", "lines", lost)
			line := gap.Bytes()
			if l.journal {
				line = append(priority(line), line...)
			}
			_, _ = l.out.Write(line) // lost as well if it fails
		}
		spare = batch
	}
}
