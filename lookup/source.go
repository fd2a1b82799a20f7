package lookup

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ringhook/loglimit"
)

// backgroundTimeout is the maximum time of a request that no call waits for any
// more. It goes on to fill the cache.
const backgroundTimeout = 10 * time.Second

// source is one configured lookup at work: a backend with its cache, circuit
// breaker and metrics.
type source struct {
	cfg     Config
	backend backend
	cache   Cache
	limited *loglimit.Limiter // for values that are left out
	states  *loglimit.Limiter // for changes of the source's state
	metrics gauges
	breaker *breaker
	now     func() time.Time

	mu       sync.Mutex
	flights  map[string]*flight
	landed   [maxLanded]string // keys of the latest requests that were answered
	landings int
	closed   bool
	failing  int // requests in a row without an answer
	running  sync.WaitGroup
}

func newSource(cfg Config, cache Cache, r resources, limited, states *loglimit.Limiter, m *metrics) (*source, error) {
	s := &source{
		cfg: cfg, cache: cache, metrics: m.of(cfg.Name, cfg.Shadow), now: time.Now,
		limited: limited, states: states, flights: make(map[string]*flight),
	}
	s.breaker = newBreaker(cfg.Concurrency, s.say)
	kind, known := sourceTypes[cfg.Type]
	if !known {
		return nil, fmt.Errorf("unknown type %q", cfg.Type)
	}
	var err error
	s.backend, err = kind.open(&s.cfg, r)
	return s, err
}

// close closes the backend after the requests in flight.
func (s *source) close() {
	s.running.Wait()
	if c, ok := s.backend.(interface{ Close() }); ok {
		c.Close()
	}
}

// ask asks the backend. A bug of ours costs this answer only.
func (s *source) ask(req *request, deadline time.Time) (r result) {
	defer func() {
		if p := recover(); p != nil {
			s.say(slog.LevelError, "bug: reading an answer panicked", "err", fmt.Sprint(p))
			r = failure(&fault{reason: reasonPanic, err: errors.New("reading the answer panicked")})
		}
	}()
	r = req.ask(deadline)
	if r.fault != nil {
		r.fault = s.hideFault(r.fault)
	}
	return r
}

// hideFault hides the source's secrets in an error, which goes to the log and to the trace on disk: a source may repeat in
// its answer what the request says.
func (s *source) hideFault(f *fault) *fault {
	text := f.err.Error()
	hidden := s.hide(text)
	if hidden == text {
		return f
	}
	return &fault{reason: f.reason, down: f.down, err: errors.New(hidden)}
}

// say logs a change of the source's state. A source that fails at every other request changes with each call.
func (s *source) say(level slog.Level, msg string, args ...any) {
	s.states.Log(level, s.cfg.Name+" "+msg, msg, append(args, "lookup", s.cfg.Name)...)
}

// note counts a failure. It logs the first one after a success: a source that
// is down would write a line for each call.
func (s *source) note(r result) {
	s.mu.Lock()
	failing := s.failing
	if r.fault != nil {
		s.failing++
	} else {
		s.failing = 0
	}
	s.mu.Unlock()
	switch {
	case r.fault != nil:
		s.metrics.errors[r.fault.reason].Inc()
		if failing == 0 {
			s.say(slog.LevelWarn, "lookup fails; further failures are only counted", "reason", r.fault.reason, "err", r.fault.err)
		}
	case failing > 0:
		s.say(slog.LevelInfo, "lookup answers again", "failures", failing)
	}
	for _, note := range r.notes {
		s.limited.Warn(s.cfg.Name+" left out", "value of an answer left out", "lookup", s.cfg.Name, "err", note)
	}
}
