// Package control keeps the live state of each Asterisk: channels, calls, queues, waiting callers,
// members and parked calls.
//
// The state is built from events and corrected by lists: after each connect, after events were
// lost, and every minute. A difference that the minute's comparison finds twice is counted, so that an event
// that is not handled shows in a metric. Memory is bounded by what is alive on Asterisk.
package control

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
)

// Control holds one server for each [[ami]] table. Make one with New.
type Control struct {
	log         *slog.Logger
	metrics     *ami.Metrics
	differences *prometheus.CounterVec

	mu      sync.Mutex
	servers []*server // guarded by mu; in the order of the configuration
}

// New returns a Control without servers.
func New(log *slog.Logger, reg prometheus.Registerer) *Control {
	c := &Control{
		log: log, metrics: ami.NewMetrics(reg),
		differences: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_ami_state_differences_total",
			Help: "Entries of the live state that events had wrong, by kind: channel, caller, member, queue, parked, phone.",
		}, []string{"server", "kind"}),
	}
	reg.MustRegister(c.differences)
	return c
}

// Prepare makes the servers of a configuration, of which those that stay as they are keep their
// connection. It returns an error if one cannot be made; nothing has changed then.
func (c *Control) Prepare(configs []ami.Config) (*Servers, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := &Servers{}
	for _, cfg := range configs {
		if i := slices.IndexFunc(c.servers, func(s *server) bool { return s.config == cfg }); i >= 0 {
			next.list = append(next.list, c.servers[i])
			continue
		}
		s := &server{config: cfg, log: c.log.With("server", cfg.Name), state: newState(), differences: c.differences}
		var err error
		if s.client, err = ami.New(cfg, eventNames(), c.log, c.metrics); err != nil {
			return nil, err
		}
		s.from = s.client
		next.list = append(next.list, s)
	}
	return next, nil
}

// Servers are made by Prepare for Exchange.
type Servers struct{ list []*server }

// Exchange puts prepared servers in force: it ends those that are not among them, and connects the new ones.
func (c *Control) Exchange(next *Servers) {
	c.mu.Lock()
	old := c.servers
	c.servers = next.list
	c.mu.Unlock()
	for _, s := range old {
		if !slices.Contains(next.list, s) {
			s.stop()
			if !slices.ContainsFunc(next.list, func(n *server) bool { return n.config.Name == s.config.Name }) {
				c.metrics.Forget(s.config.Name)
				c.differences.DeletePartialMatch(prometheus.Labels{"server": s.config.Name})
			}
		}
	}
	for _, s := range next.list {
		if s.stop == nil {
			s.start()
		}
	}
}

// Close ends all connections and waits for them.
func (c *Control) Close() error {
	c.Exchange(&Servers{})
	return nil
}

func (c *Control) all() []*server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers
}

// start connects in the background, until stop, which waits.
func (s *server) start() {
	for _, kind := range kinds {
		s.differences.WithLabelValues(s.config.Name, kind)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := s.client.Start(ctx, s)
	s.stop = func() {
		cancel()
		<-done
	}
}
