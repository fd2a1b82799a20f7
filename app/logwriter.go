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
	// maxLines is the maximum size of the lines that wait to be written, in bytes.
	maxLines = 1 << 20
	// lastLines bounds the wait for them at the end of the program.
	lastLines = 2 * time.Second
)

// logWriter keeps calls from waiting for the log: a paused terminal, a pipe that is not
// read or a full disk would otherwise block every call at its first line. Lines that do
// not fit are dropped and counted.
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

// Lost returns the number of dropped lines; 0 for a nil logWriter.
func (l *logWriter) Lost() float64 {
	if l == nil {
		return 0
	}
	return float64(l.dropped.Load())
}

// Close writes the lines that are held, and waits up to lastLines. Later lines are dropped.
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
