package lookup

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Service asks the sources. A changed configuration is a new Service; the old
// one's questions end as they would have.
type Service struct {
	sources []*source
	points  map[string]*asked
}

// asked are the sources of one point.
type asked struct {
	sources []*source // in the order in which their answers count
	shadows []*source
}

func (a *asked) add(src *source) {
	list := &a.sources
	if src.cfg.Shadow {
		list = &a.shadows
	}
	if !slices.Contains(*list, src) {
		*list = append(*list, src)
	}
}

func (a *asked) sort() {
	slices.SortStableFunc(a.sources, func(a, b *source) int { return a.cfg.Rank - b.cfg.Rank })
}

// New makes a Service of lookups that Check has nothing to say against. Those
// of the type phonebook look into book. What it starts, Close ends.
func New(cfgs []Config, cache Cache, book Phonebook, log *slog.Logger, reg prometheus.Registerer) (*Service, error) {
	svc := &Service{points: make(map[string]*asked)}
	m := newMetrics(reg)
	for _, cfg := range cfgs {
		src, err := newSource(cfg, cache, book, log, m)
		if err != nil {
			return nil, fmt.Errorf("set up lookup %s: %w", cfg.Name, err)
		}
		svc.sources = append(svc.sources, src)
		for _, point := range cfg.Points {
			if svc.points[point] == nil {
				svc.points[point] = &asked{}
			}
			svc.points[point].add(src)
		}
	}
	for _, at := range svc.points {
		at.sort()
	}
	return svc, nil
}

// Wants tells whether a point has lookups at all.
func (svc *Service) Wants(point string) bool { return len(svc.at(point).sources) > 0 }

// nobody is asked at a point without lookups.
var nobody = &asked{}

func (svc *Service) at(point string) *asked {
	if at := svc.points[point]; at != nil {
		return at
	}
	return nobody
}

// Close refuses further requests, waits for those under way, which is seconds
// at most, and closes the connections. It gives the context's error when that
// ends first.
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
			s.under.Wait()
			if s.tokens != nil {
				s.tokens.Close()
			}
			if s.client != nil {
				s.client.Close()
			}
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close lookups: %w", ctx.Err())
	}
}
