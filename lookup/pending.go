package lookup

import (
	"sync"
	"time"
)

// Pending is a question that is being answered.
type Pending struct {
	question *Question // within Ask
	deadline time.Time

	mu      sync.Mutex
	queries []sourceQuery // in the order in which their answers count
	shadows []sourceQuery // whose answers are only compared
	done    bool
	answer  Answer
	wake    func()
	late    *Answer      // of a source that the answer did not wait for
	onLate  func(Answer) // wants it
}

// Ask begins to answer a question and returns at once; an answer from the
// cache is there already (Done).
func (svc *Service) Ask(q Question) *Pending {
	at := svc.at(q.Point)
	p := &Pending{question: &q, deadline: q.Deadline, queries: make([]sourceQuery, len(at.sources))}
	for i, src := range at.sources {
		p.queries[i].source = src
	}
	defer func() { p.question = nil }() // the call's parameters may be gone later
	if p.peek() && len(at.shadows) == 0 {
		return p
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		for i := range p.queries {
			p.queries[i].prepare(&q)
		}
		p.advance()
	}
	p.shadows = make([]sourceQuery, len(at.shadows))
	for i, src := range at.shadows {
		s := &p.shadows[i]
		s.source = src
		s.prepare(&q)
		p.begin(s, p.compare)
		if s.done && p.done {
			s.compareWith(&p.answer)
		}
	}
	return p
}

// Done reports whether the answer is there.
func (p *Pending) Done() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// OnDone calls f once when the answer is there, on any goroutine.
func (p *Pending) OnDone(f func()) {
	p.mu.Lock()
	done := p.done
	if !done {
		p.wake = f
	}
	p.mu.Unlock()
	if done {
		f()
	}
}

// OnLate calls f, at most once and on any goroutine, if a source that the answer did not wait for knows
// the caller after all. It is of use after an Answer that is Timeout. F must not block.
func (p *Pending) OnLate(f func(Answer)) {
	p.mu.Lock()
	late := p.late
	if late == nil {
		p.onLate = f
	}
	p.mu.Unlock()
	if late != nil {
		f(*late)
	}
}

// tooLate keeps a result that came after the answer. It returns what must be called once the lock is free.
func (p *Pending) tooLate(s *sourceQuery, r result) (wake func()) {
	if p.answer.Outcome != Timeout || !s.late || r.outcome != Found || p.late != nil {
		return nil
	}
	p.late = &Answer{Outcome: Found, Vars: r.vars, Source: s.source.cfg.Name}
	if f, a := p.onLate, *p.late; f != nil {
		return func() { f(a) }
	}
	return nil
}

// Answer returns the answer, or the best there is if it is not there yet:
// what is stale, else Timeout. That is then the question's answer; requests in
// flight go on in the background and fill the cache.
func (p *Pending) Answer() Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		for i := range p.queries {
			s := &p.queries[i]
			s.peek()
			s.finish(result{outcome: Timeout})
		}
		p.complete()
	}
	return p.answer
}

// peek tries to answer from the cache alone, and looks no further into it than
// the answer needs.
func (p *Pending) peek() bool {
	for {
		_, waits := p.verdict()
		if waits < 0 {
			p.complete()
			return true
		}
		s := &p.queries[waits]
		if s.peeked {
			return false
		}
		s.prepare(p.question)
		s.peek()
	}
}

// verdict returns the first query that knows the caller, and the query that the
// answer still waits for; -1 is none. After a query that knows, only those count
// that fill what it left empty.
func (p *Pending) verdict() (winner, waits int) {
	winner = -1
	for i := range p.queries {
		s := &p.queries[i]
		if winner >= 0 && !s.source.cfg.Fill {
			continue
		}
		if !s.done {
			return winner, i
		}
		if winner < 0 && s.knows() {
			winner = i
		}
	}
	return winner, -1
}

// advance asks the sources that are next, until the answer waits for one of
// them or is there. It returns what must be called once the lock is free.
func (p *Pending) advance() (wake func()) {
	for {
		winner, waits := p.verdict()
		if waits < 0 {
			p.complete()
			return p.wake
		}
		first := &p.queries[waits]
		if first.asked {
			return nil
		}
		for i := waits; i < len(p.queries); i++ {
			s := &p.queries[i]
			if winner >= 0 && s.source.cfg.Fill || winner < 0 && s.source.cfg.Rank == first.source.cfg.Rank {
				p.begin(s, p.arrived)
			}
		}
	}
}

// arrived takes a query's result, or that its time is over.
func (p *Pending) arrived(s *sourceQuery, r result) {
	p.mu.Lock()
	var wake func()
	switch {
	case p.done:
		wake = p.tooLate(s, r)
	case !s.done:
		s.finish(r)
		wake = p.advance()
	}
	p.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// compare takes a shadow's result.
func (p *Pending) compare(s *sourceQuery, r result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.done {
		return
	}
	s.finish(r)
	if p.done {
		s.compareWith(&p.answer)
	}
}

// complete makes the answer of what the sources know.
func (p *Pending) complete() {
	p.done = true
	p.answer = p.combine()
	for i := range p.shadows {
		if s := &p.shadows[i]; s.done {
			s.compareWith(&p.answer)
		}
	}
}
