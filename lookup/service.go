package lookup

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/httpclient"
	"ringhook/loglimit"
)

// Service asks the sources. A changed configuration is a new Service; questions
// of the old one end as they began.
type Service struct {
	sources []*source
	points  map[string]*pointSources
	limited *loglimit.Limiter // for values that are left out
	states  *loglimit.Limiter // for changes of the sources' states
}

// The times between two summaries of a repeated log message: of values that are left out, and of changes of a source's
// state, of which an administrator must not hear late.
const (
	logInterval   = 10 * time.Minute
	stateInterval = time.Minute
)

// pointSources are the sources of one point.
type pointSources struct {
	sources []*source // in the order in which their answers count
	shadows []*source
}

func (at *pointSources) add(src *source) {
	list := &at.sources
	if src.cfg.Shadow {
		list = &at.shadows
	}
	if !slices.Contains(*list, src) {
		*list = append(*list, src)
	}
}

func (at *pointSources) sort() {
	slices.SortStableFunc(at.sources, func(a, b *source) int { return a.cfg.Rank - b.cfg.Rank })
}

// Own holds what ringhook itself knows. A part may be nil if no lookup is of its type.
type Own struct {
	Phonebook Phonebook // for lookups of the type phonebook
	DIDs      DIDs      // for lookups of the type did
	// Accounts are the tokens of lookups that use an [[account]].
	Accounts httpclient.Accounts
}

// New returns a Service of lookups that have passed Check. Close ends it.
func New(cfgs []Config, cache Cache, own Own, log *slog.Logger, reg prometheus.Registerer) (*Service, error) {
	svc := &Service{points: make(map[string]*pointSources), limited: loglimit.New(log, logInterval), states: loglimit.New(log, stateInterval)}
	m := newMetrics(reg)
	for _, cfg := range cfgs {
		src, err := newSource(cfg, cache, resources{book: own.Phonebook, dids: own.DIDs, accounts: own.Accounts}, svc.limited, svc.states, m)
		if err != nil {
			return nil, fmt.Errorf("set up lookup %s: %w", cfg.Name, err)
		}
		svc.sources = append(svc.sources, src)
		for _, point := range cfg.Points {
			if svc.points[point] == nil {
				svc.points[point] = &pointSources{}
			}
			svc.points[point].add(src)
		}
	}
	for _, at := range svc.points {
		at.sort()
	}
	return svc, nil
}

// Wants reports whether a point has lookups.
func (svc *Service) Wants(point string) bool { return len(svc.at(point).sources) > 0 }

// Names returns the names of a point's lookups, without shadows.
func (svc *Service) Names(point string) (names []string) {
	for _, src := range svc.at(point).sources {
		names = append(names, src.cfg.Name)
	}
	return names
}

// noSources are asked at a point without lookups.
var noSources = &pointSources{}

func (svc *Service) at(point string) *pointSources {
	if at := svc.points[point]; at != nil {
		return at
	}
	return noSources
}

// Close refuses further requests, waits for those in flight, which is seconds
// at most, and closes the connections. It returns the context's error if that
// ends first. Calls that still use the Service get ERROR, so it is for a time
// when no session has it any more.
func (svc *Service) Close(ctx context.Context) error {
	for _, s := range svc.sources {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, s := range svc.sources {
			s.close()
		}
		svc.limited.Close()
		svc.states.Close()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close lookups: %w", ctx.Err())
	}
}
