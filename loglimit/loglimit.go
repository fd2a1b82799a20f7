// Package loglimit keeps a repeated message from filling the log.
//
// It guarantees at most two lines per interval for each key, and that every
// suppressed line is counted in a summary.
package loglimit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxKeys is the maximum number of keys at one moment. Further keys share one.
const maxKeys = 1000

// Limiter logs the first line of a key at once. It counts the lines that follow
// within an interval and logs one summary at its end: the last of these lines
// with the attributes repeated (their number) and within (the interval). A
// Limiter may be used from many goroutines.
type Limiter struct {
	log      *slog.Logger
	interval time.Duration

	mu     sync.Mutex
	keys   map[string]*entry
	closed bool

	writing sync.WaitGroup // summaries of intervals that ended
}

// entry is one key in its current interval.
type entry struct {
	timer    *time.Timer
	repeated int // lines since the last one that was logged
	level    slog.Level
	msg      string
	args     []any // of the last suppressed line
}

// New returns a Limiter that writes to log. Close ends it.
func New(log *slog.Logger, interval time.Duration) *Limiter {
	return &Limiter{log: log, interval: interval, keys: make(map[string]*entry)}
}

// Log logs a line, or counts it if key was logged within the interval. Args are
// attributes as in slog; they are kept until the summary, so they must not hold
// large data.
func (l *Limiter) Log(level slog.Level, key, msg string, args ...any) {
	if !l.suppress(level, key, msg, args) {
		l.log.Log(context.Background(), level, msg, args...)
	}
}

// Warn logs a warning by the rules of Log.
func (l *Limiter) Warn(key, msg string, args ...any) { l.Log(slog.LevelWarn, key, msg, args...) }

// Error logs an error by the rules of Log.
func (l *Limiter) Error(key, msg string, args ...any) { l.Log(slog.LevelError, key, msg, args...) }

// suppress counts a line, or reports that it is the first of its key.
func (l *Limiter) suppress(level slog.Level, key, msg string, args []any) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	e := l.keys[key]
	if e == nil && len(l.keys) >= maxKeys {
		key = ""
		e = l.keys[key]
	}
	if e != nil {
		e.repeated++
		e.level, e.msg, e.args = level, msg, args
		return true
	}
	e = &entry{}
	e.timer = time.AfterFunc(l.interval, func() { l.next(key, e) })
	l.keys[key] = e
	return false
}

// next begins a key's next interval, or forgets the key if nothing was
// suppressed in the last one.
func (l *Limiter) next(key string, e *entry) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.writing.Add(1)
	defer l.writing.Done()
	summary := *e
	switch {
	case e.repeated == 0:
		delete(l.keys, key)
	default:
		e.repeated, e.args = 0, nil
		e.timer.Reset(l.interval)
	}
	l.mu.Unlock()
	l.summarize(summary)
}

func (l *Limiter) summarize(e entry) {
	if e.repeated > 0 {
		args := append(e.args[:len(e.args):len(e.args)], "repeated", e.repeated, "within", l.interval)
		l.log.Log(context.Background(), e.level, e.msg, args...)
	}
}

// Close logs the outstanding summaries, and returns when all are written. Later lines are logged without limit.
func (l *Limiter) Close() {
	l.mu.Lock()
	keys := l.keys
	l.keys, l.closed = nil, true
	l.mu.Unlock()
	for _, e := range keys {
		e.timer.Stop()
		l.summarize(*e)
	}
	l.writing.Wait()
}
