package lookup

import (
	"errors"
	"slices"
	"time"
)

// flight is one request in flight, and those that want its result. It goes on if
// the call that began it has ended. (golang.org/x/sync/singleflight would
// need a goroutine for each that waits; here each leaves a function.)
type flight struct {
	waiters []func(result)
	report  func(result) // to the breaker
	early   *result      // the answer as far as it is known; nil if it is not
}

// maxLanded is the number of requests whose end is remembered.
const maxLanded = 64

// errLanded means that an equal request has just been answered: the answer is in the cache.
var errLanded = &fault{reason: "landed", err: errors.New("an equal request has just been answered")}

// share joins the flight of an equal request, or begins one, and returns it; it calls then with the result. The fault is
// why it did neither: errLanded if again is false and an equal request was answered recently, so that a caller that missed
// the cache just before looks there once more.
func (s *source) share(req *request, again bool, then func(result)) (*flight, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[req.key]; f != nil {
		f.waiters = append(f.waiters, then)
		return f, nil
	}
	if !again && slices.Contains(s.landed[:], req.key) {
		return nil, errLanded
	}
	if s.closed {
		return nil, s.refuse(reasonClosed, "shutting down")
	}
	report, refused := s.breaker.allow(len(s.flights))
	if refused != "" {
		return nil, s.refuse(refused, "not asked")
	}
	f := &flight{waiters: []func(result){then}, report: report}
	s.flights[req.key] = f
	s.metrics.inFlight.Inc()
	s.running.Add(1)
	go s.run(f, req)
	return f, nil
}

// early returns the answer of a request in flight as far as it is known.
func (s *source) early(f *flight) (r result, ok bool) {
	if f == nil {
		return result{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.early == nil {
		return result{}, false
	}
	return *f.early, true
}

func (s *source) refuse(reason, text string) *fault {
	s.metrics.errors[reason].Inc()
	return &fault{reason: reason, err: errors.New(text)}
}

// run makes the request, fills the cache and calls those that wait.
func (s *source) run(f *flight, req *request) {
	defer s.running.Done()
	asked := s.now()
	req.early = func(r result) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f.early = &r
	}
	r := s.ask(req, time.Now().Add(max(s.cfg.Timeout, backgroundTimeout)))
	s.keep(req, r, asked)
	s.note(r)
	f.report(r)

	s.mu.Lock()
	delete(s.flights, req.key)
	if r.fault == nil {
		s.landed[s.landings%maxLanded] = req.key
		s.landings++
	}
	s.mu.Unlock()
	s.metrics.inFlight.Dec()
	for _, then := range f.waiters {
		then(r)
	}
}
