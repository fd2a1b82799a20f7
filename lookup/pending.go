package lookup

import "sync"

// Pending is a question on its way.
type Pending struct {
	question Question

	mu      sync.Mutex
	legs    []leg // in the order in which their answers count
	shadows []leg // whose answers are only compared
	done    bool
	answer  Answer
	wake    func()
}

// Ask begins to answer a question and returns at once; an answer that the
// cache holds is there already (Done).
func (svc *Service) Ask(q Question) *Pending {
	at := svc.at(q.Point)
	p := &Pending{question: q, legs: make([]leg, len(at.sources))}
	for i, src := range at.sources {
		p.legs[i].source = src
	}
	if p.peek() && len(at.shadows) == 0 {
		return p
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		for i := range p.legs {
			p.legs[i].prepare(&p.question)
		}
		p.advance()
	}
	p.shadows = make([]leg, len(at.shadows))
	for i, src := range at.shadows {
		l := &p.shadows[i]
		l.source = src
		l.prepare(&p.question)
		p.begin(l, p.compare)
		if l.done && p.done {
			l.compareWith(&p.answer)
		}
	}
	return p
}

// Done tells whether the answer is there.
func (p *Pending) Done() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// OnDone has f called, once, when the answer is there, on any goroutine.
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

// Answer gives the answer, or the best there is when it is not there yet:
// what is stale, else Timeout. That then is the question's answer; what was
// asked goes on in the background and fills the cache.
func (p *Pending) Answer() Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		for i := range p.legs {
			l := &p.legs[i]
			l.peek(p.question.Number)
			l.finish(result{outcome: Timeout})
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
		l := &p.legs[waits]
		if l.peeked {
			return false
		}
		l.prepareKey(&p.question)
		l.peek(p.question.Number)
	}
}

// verdict gives the first leg that knows, and the leg that the answer still
// waits for; -1 is none. Behind a leg that knows only those count that fill
// what it left empty.
func (p *Pending) verdict() (winner, waits int) {
	winner = -1
	for i := range p.legs {
		l := &p.legs[i]
		if winner >= 0 && !l.source.cfg.Fill {
			continue
		}
		if !l.done {
			return winner, i
		}
		if winner < 0 && l.knows() {
			winner = i
		}
	}
	return winner, -1
}

// advance asks the legs whose turn it is, until the answer waits for one of
// them or is there. It gives what is to be called once the lock is free.
func (p *Pending) advance() (wake func()) {
	for {
		winner, waits := p.verdict()
		if waits < 0 {
			p.complete()
			return p.wake
		}
		turn := &p.legs[waits]
		if turn.asked {
			return nil
		}
		for i := waits; i < len(p.legs); i++ {
			l := &p.legs[i]
			if winner >= 0 && l.source.cfg.Fill || winner < 0 && l.source.cfg.Rank == turn.source.cfg.Rank {
				p.begin(l, p.arrived)
			}
		}
	}
}

// arrived takes a leg's result, or that its time is over.
func (p *Pending) arrived(l *leg, r result) {
	p.mu.Lock()
	var wake func()
	if !p.done && !l.done {
		l.finish(r)
		wake = p.advance()
	}
	p.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// compare takes a shadow's result.
func (p *Pending) compare(l *leg, r result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.done {
		return
	}
	l.finish(r)
	if p.done {
		l.compareWith(&p.answer)
	}
}

// complete makes the answer of what the legs know.
func (p *Pending) complete() {
	p.done = true
	p.answer = p.combine()
	for i := range p.shadows {
		if l := &p.shadows[i]; l.done {
			l.compareWith(&p.answer)
		}
	}
}
