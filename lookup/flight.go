package lookup

import (
	"errors"
	"time"
)

// flight is one request under way, and those who want its result. It belongs
// to none of them: it goes on when the one who began it is gone.
type flight struct {
	waiters []func(result)
	landed  func(result) // tells the breaker
}

// join has then called with the result of a request for key: of the one that
// is under way, or of a new one. Where that cannot be, it says why.
func (s *source) join(key, number string, attempts []attempt, then func(result)) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[key]; f != nil {
		f.waiters = append(f.waiters, then)
		return nil
	}
	if s.closed {
		return s.refuse(reasonClosed, "shutting down")
	}
	landed, refused := s.breaker.allow(len(s.flights))
	if refused != "" {
		return s.refuse(refused, "not asked")
	}
	f := &flight{waiters: []func(result){then}, landed: landed}
	s.flights[key] = f
	s.metrics.inFlight.Inc()
	s.under.Add(1)
	go s.fly(f, key, number, attempts)
	return nil
}

func (s *source) refuse(reason, text string) *fault {
	s.metrics.errors[reason].Inc()
	return &fault{reason: reason, err: errors.New(text)}
}

// fly makes the request, fills the cache and tells everyone.
func (s *source) fly(f *flight, key, number string, attempts []attempt) {
	defer s.under.Done()
	_, _, r := s.fetch(attempts, time.Now().Add(max(s.cfg.Timeout, patience)))
	s.keep(key, number, r)
	s.note(r)
	f.landed(r)

	s.mu.Lock()
	delete(s.flights, key)
	s.mu.Unlock()
	s.metrics.inFlight.Dec()
	for _, then := range f.waiters {
		then(r)
	}
}

// note counts a failure, and logs it where it is the first after a success:
// a source that is down would else write a line for each call.
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
			s.log.Warn("lookup fails; its next failures are counted and not logged until it answers", "reason", r.fault.reason, "err", r.fault.err)
		}
	case failing > 0:
		s.log.Info("lookup answers again", "failures", failing)
	}
}
