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
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/control/campaign"
	"ringhook/control/report"
	"ringhook/control/switching"
	"ringhook/httpclient"
	"ringhook/loglimit"
	"ringhook/store/desk"
)

// Control holds one server for each [[ami]] table. Make one with New.
type Control struct {
	log         *slog.Logger
	limited     *loglimit.Limiter // for lines that Asterisk can cause again and again
	metrics     *ami.Metrics
	differences *prometheus.CounterVec

	points report.Destination // takes points of [[ami]] points; nil: none are reported

	mu      sync.Mutex
	servers []*server // guarded by mu; in the order of the configuration

	settings   atomic.Pointer[Settings]
	desk       Store // nil before Use
	calls      Calls // nil before Use
	slots      chan struct{}
	pace       pace
	commands   *prometheus.CounterVec
	unrecorded prometheus.Counter

	endWork func() // nil before Use
	working sync.WaitGroup
	ending  context.Context // of the work; nil before Use

	clicks    clicks
	campaigns *campaign.Runner // nil before Use

	duty duty // work alone uses it, after Use

	endsMu   sync.Mutex
	ends     []desk.PauseEnd // of pauses; guarded by endsMu
	changes  int             // of ends by this process; guarded by endsMu
	unstored []desk.PauseEnd // of ends, what could not be stored; guarded by endsMu
}

// New returns a Control without servers.
func New(log *slog.Logger, reg prometheus.Registerer) *Control {
	c := &Control{
		log: log, limited: loglimit.New(log, time.Minute), metrics: ami.NewMetrics(reg),
		differences: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_ami_state_differences_total",
			Help: "Entries of the live state that events had wrong, by kind: channel, caller, member, queue, parked, phone.",
		}, []string{"server", "kind"}),
	}
	c.Configure(Settings{Click: DefaultClick()})
	c.slots = make(chan struct{}, maxCommands)
	c.commands = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ringhook_commands_total", Help: "Commands for the PBX, by outcome: ok, partial, or the code of an error.",
	}, []string{"command", "outcome"})
	c.unrecorded = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ringhook_commands_unrecorded_total", Help: "Commands that could not be recorded in the store.",
	})
	for _, command := range Commands() {
		for _, code := range append(Codes(), OK, partial) {
			c.commands.WithLabelValues(command, string(code))
		}
	}
	reg.MustRegister(c.differences, c.commands, c.unrecorded)
	return c
}

// Report has points of calls reported to a destination, by the servers that are prepared afterwards.
func (c *Control) Report(to report.Destination) { c.points = to }

// Prepare makes the servers of a configuration, of which those that stay as they are keep their
// connection. It returns an error if one cannot be made; nothing has changed then.
func (c *Control) Prepare(configs []ami.Config) (*Servers, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := &Servers{}
	for _, cfg := range configs {
		if i := slices.IndexFunc(c.servers, func(s *server) bool { return s.config.Equal(&cfg) && s.files == httpclient.DigestFiles(cfg.CAFile) }); i >= 0 {
			next.list = append(next.list, c.servers[i])
			continue
		}
		s := &server{config: cfg, files: httpclient.DigestFiles(cfg.CAFile), log: c.log.With("server", cfg.Name), limited: c.limited, state: newState(), differences: c.differences, asking: make(chan struct{}, 1)}
		var err error
		if s.client, err = ami.New(cfg, eventNames(cfg.Points), c.log, c.metrics); err != nil {
			return nil, err
		}
		s.from = s.client
		if len(cfg.Points) > 0 && c.points != nil {
			s.reporter = report.New(&cfg, c.points, s.client, s.log, s.askResync)
		}
		next.list = append(next.list, s)
	}
	return next, nil
}

// Servers are made by Prepare for Exchange.
type Servers struct{ list []*server }

// Configure puts the settings of commands in force, for those that begin after it.
func (c *Control) Configure(s Settings) {
	s.numbers = switching.NewNumbers(s.Dials, s.Click.To, s.Reader)
	c.settings.Store(&s)
}

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

// Close ends the work in the background and all connections, and waits for them.
func (c *Control) Close() error {
	if c.endWork != nil {
		c.endWork()
		c.working.Wait()
		if c.campaigns != nil {
			c.campaigns.Wait()
		}
	}
	c.Exchange(&Servers{})
	c.limited.Close()
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
	var reporting sync.WaitGroup
	if s.reporter != nil {
		reporting.Go(func() { s.reporter.Run(ctx) })
	}
	done := s.client.Start(ctx, s)
	var reading sync.WaitGroup
	reading.Go(func() { s.keepContacts(ctx) })
	reading.Go(func() { s.keepPresentations(ctx) })
	s.stop = func() {
		cancel()
		<-done
		reporting.Wait()
		reading.Wait()
	}
}
