package products

import (
	"cmp"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/conf"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/store"
)

// day is the longest that a delivery waits.
const day = 25 * time.Hour

// session is a product that is used by the clock of a bubble.
type session struct {
	*gate
	t     *testing.T
	cfg   *conf.Config
	store *store.Store
	hooks *hooks.Dispatcher
	found map[*call]map[string]any
}

// inBubble plays with a product by a clock that begins when the calls do.
func inBubble(t *testing.T, g *gate, cfg *conf.Config, calls []*call, test func(s *session)) {
	t.Helper()
	folder := store.DefaultConfig()
	folder.Folder, folder.Synchronous = t.TempDir(), "normal"
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(began))
		g.fake.t = t
		s := &session{gate: g, t: t, cfg: cfg, found: make(map[*call]map[string]any)}
		var err error
		if s.store, err = store.Open(folder, slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.store.Close(); err != nil {
				t.Error(err)
			}
		}()
		tokens := accounts(t, cfg)
		for _, c := range calls { // what a call cannot learn while the product is down is not what is tested
			s.found[c] = g.lookup(cfg, c, tokens)
		}
		s.hooks, err = hooks.NewShared(cfg.Hooks, hooks.Shared{Accounts: tokens, Recordings: recordingsOf(cfg)}, s.store.Outbox(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.store.Outbox().EnsureHooks(t.Context(), s.hooks.Names()); err != nil {
			t.Fatal(err)
		}
		s.hooks.Start()
		test(s)
		if err := s.hooks.Close(t.Context()); err != nil {
			t.Error(err)
		}
		g.fake.mu.Lock()
		defer g.fake.mu.Unlock()
		for _, problem := range g.problems {
			t.Error(problem)
		}
	})
}

// play adds the events of calls at their times, and returns after the last one.
func (s *session) play(calls []*call) {
	var events []hooks.Event
	for _, c := range calls {
		events = append(events, c.events(s.product.product(), s.found[c])...)
	}
	slices.SortStableFunc(events, func(a, b hooks.Event) int { return a.Time.Compare(b.Time) })
	for _, ev := range events {
		time.Sleep(time.Until(ev.Time))
		routes := s.hooks.Match(&ev)
		due, err := s.store.Journal().Keep(s.t.Context(), dialplan.Record{
			Call: ev.LinkedID, State: []byte("{}"), Events: []dialplan.Accepted{{Event: ev, Hooks: routes}},
		})
		if err != nil {
			s.t.Fatal(err)
		}
		s.hooks.Committed(routes, due)
	}
}

// await waits until no delivery waits.
func (s *session) await() {
	for end := time.Now().Add(day); len(s.deliveries(hooks.Pending)) > 0 && time.Now().Before(end); {
		time.Sleep(time.Minute)
	}
}

// deliveries returns those in some states, all if none is named, in the order of their acceptance.
func (s *session) deliveries(states ...hooks.State) []store.Item {
	s.t.Helper()
	list, err := s.store.Operator().List(store.Filter{States: states, Limit: 10_000})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

// check checks that every delivery of a journal arrived, in the order of its call: one that fails for longer than order_hold
// may be passed. Those of screens may be too late.
func (s *session) check(t *testing.T) {
	t.Helper()
	type sent struct{ accepted, end time.Time }
	last := make(map[string]sent) // by hook and call
	for _, row := range s.deliveries() {
		_, attempts, err := s.store.Operator().Show(row.ID)
		if err != nil {
			t.Fatal(err)
		}
		of := s.cfg.Hooks[slices.IndexFunc(s.cfg.Hooks, func(c hooks.Config) bool { return c.Name == row.Hook })]
		screen := of.GiveUp < time.Hour
		if row.State != hooks.Delivered && !(screen && row.State == hooks.Dead) {
			t.Errorf("%s for %s is %v: %+v", row.Event.Name, row.Hook, row.State, attempts)
			continue
		}
		if row.State == hooks.Delivered && of.Order != "none" {
			key, a := row.Hook+" "+row.Event.LinkedID, attempts[len(attempts)-1]
			if before := last[key]; a.Started.Before(before.end) && a.Started.Before(before.accepted.Add(of.OrderHold)) {
				t.Errorf("%s for %s was sent before the event that came earlier", row.Event.Name, row.Hook)
			}
			last[key] = sent{row.Accepted, a.Started.Add(a.Took)}
		}
	}
}

// journal checks that the journal has one entry for each call that makes one, with its times, and no other.
func (f *fake) journal(t *testing.T, calls []*call) {
	t.Helper()
	var want, got []entry
	for _, c := range calls {
		if e, made := f.product.expected(c); made {
			want = append(want, e)
		}
	}
	for _, e := range f.entries {
		got = append(got, f.product.shorten(e))
	}
	byTime := func(a, b entry) int {
		return cmp.Or(a.started.Compare(b.started), cmp.Compare(a.number, b.number), cmp.Compare(a.agent, b.agent), cmp.Compare(a.seconds, b.seconds))
	}
	slices.SortFunc(want, byTime)
	slices.SortFunc(got, byTime)
	if !slices.Equal(got, want) {
		t.Errorf("the journal has\n%+v, want\n%+v", got, want)
	}
}

// TestDownForAnHour plays every call to every product while it is down for an hour: it answers 503, then nothing. When
// it is back, its journal has every call once, with the call's own times.
func TestDownForAnHour(t *testing.T) {
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			g, url := newGate(t, p)
			cfg := configuration(t, p, url)
			if len(cfg.Hooks) == 0 {
				return
			}
			var played []*call
			for i, c := range calls {
				played = append(played, c.at(time.Duration(i)*9*time.Minute))
			}
			inBubble(t, g, cfg, played, func(s *session) {
				g.set(unavailable)
				time.AfterFunc(30*time.Minute, func() { g.set(silent) })
				time.AfterFunc(time.Hour, func() { g.set(up) })
				s.play(played)
				s.await()
				s.check(t)
				if g.refused == 0 {
					t.Error("no request came while the product was down")
				}
			})
			g.journal(t, played)
		})
	}
}

// TestTokenEnds ends the token of a product with each request of a call in turn. ringhook gets another one, and the
// journal has the call once.
func TestTokenEnds(t *testing.T) {
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			one := calls[:1]
			if p.only != nil && !p.only(one[0]) {
				one = calls[2:3]
			}
			for request := 1; ; request++ {
				g, url := newGate(t, p)
				cfg := configuration(t, p, url)
				if len(cfg.Hooks) == 0 || !p.hasTokens(t, cfg) {
					return
				}
				later := []*call{one[0].at(40 * time.Minute)} // the token is no new one
				before := 0
				inBubble(t, g, cfg, later, func(s *session) {
					before, g.expireAt = g.tokens, request
					s.play(later)
					s.await()
					s.check(t)
				})
				if g.hooks < request {
					return
				}
				if g.tokens == before {
					t.Errorf("request %d: no further token was requested", request)
				}
				g.journal(t, later)
			}
		})
	}
}

// TestTokenEndsInLookup ends the token of a lookup's account before its time: the caller is found all the same, with a new one.
func TestTokenEndsInLookup(t *testing.T) {
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			g, url := newGate(t, p)
			cfg := configuration(t, p, url)
			if !slices.ContainsFunc(cfg.Lookups, func(c lookup.Config) bool { return c.Account != "" }) {
				return
			}
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(began))
				g.fake.t = t
				tokens := accounts(t, cfg)
				g.lookup(cfg, calls[0], tokens)
				time.Sleep(40 * time.Minute) // the token is no new one
				g.mu.Lock()
				g.ended = true
				before := g.tokens
				g.mu.Unlock()
				g.lookup(cfg, calls[0], tokens)
				g.mu.Lock()
				defer g.mu.Unlock()
				if g.tokens == before {
					t.Error("no further token was requested")
				}
				for _, problem := range g.problems {
					t.Error(problem)
				}
			})
		})
	}
}
