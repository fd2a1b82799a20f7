package lookup

import "time"

// cached is what the cache holds for a request.
type cached struct {
	entry Entry
	vars  []Var
	fresh bool // may be the answer without asking
	stale bool // may be the answer if the source fails
}

// peek looks into the cache. How old an answer may be is up to the
// configuration in force, not to the one under which it was stored.
func (s *source) peek(key string) cached {
	e, ok := s.cache.Get(key)
	if !ok {
		return cached{}
	}
	now := s.now()
	age := now.Sub(e.Stored)
	if !now.Before(e.Expires) || age < 0 {
		return cached{}
	}
	c := cached{entry: e, fresh: age < s.cfg.Cache, stale: age < s.cfg.Stale}
	switch {
	case e.Missing:
		c.fresh, c.stale = age < s.cfg.CacheMissing, false
	case e.partial():
		c.fresh = c.fresh && age < maxPartial
	}
	if !c.fresh && !c.stale {
		return cached{}
	}
	if c.vars, ok = decodeVars(e.Vars); !ok {
		return cached{}
	}
	return c
}

// maxPartial is the maximum time for which an answer without that of the second request is fresh.
const maxPartial = time.Minute

// keep stores a result. A failure stores nothing: what was known stays.
func (s *source) keep(req *request, r result, asked time.Time) {
	now := s.now()
	e := Entry{Key: req.key, Lookup: s.cfg.Name, Number: req.number, Vars: encodeVars(r.vars, r.partial), Asked: asked, Stored: now}
	switch r.outcome {
	case Found:
		e.Expires = now.Add(max(s.cfg.Cache, s.cfg.Stale))
	case Missing:
		e.Missing = true
		e.Expires = now.Add(s.cfg.CacheMissing)
	default:
		return
	}
	if e.Expires.After(now) {
		s.cache.Put(e)
	}
}
