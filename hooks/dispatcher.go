package hooks

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/httpclient"
)

// Dispatcher knows the hooks and delivers what waits for them in the outbox. A
// receiver that is away is left alone but for one attempt now and then; one that
// answers 410, or takes nothing for days, is asked no more until somebody enables the hook again.
type Dispatcher struct {
	subs    subscriptions
	senders map[string]*sender
	names   []string
	log     *slog.Logger

	stop    context.CancelFunc // no new attempts
	abandon context.CancelFunc // and no waiting for those under way
	running sync.WaitGroup
}

// New makes a dispatcher of the configured hooks, and does all that can fail.
// Deliveries of hooks that are not among them stay in the outbox as they are.
// After a reload, the old dispatcher is closed before the new one is started.
func New(cfgs []Config, outbox Outbox, log *slog.Logger, reg prometheus.Registerer) (*Dispatcher, error) {
	d := &Dispatcher{senders: make(map[string]*sender, len(cfgs)), log: log}
	var all []*hook
	for i := range cfgs {
		c := cfgs[i]
		if err := c.err(); err != nil {
			return nil, err
		}
		for n := range max(1, len(c.URL)) {
			h, err := d.add(&c, n, outbox)
			if err != nil {
				return nil, err
			}
			all, d.names = append(all, h), append(d.names, h.name)
		}
	}
	m, err := newMetrics(reg, d.names)
	if err != nil {
		return nil, fmt.Errorf("register metrics of hooks: %w", err)
	}
	for _, s := range d.senders {
		s.metrics = m
	}
	d.subs = newSubscriptions(all)
	return d, nil
}

// add makes the sender of one copy of a hook.
func (d *Dispatcher) add(c *Config, n int, outbox Outbox) (*hook, error) {
	h, err := build(c, n)
	if err != nil {
		return nil, err
	}
	if d.senders[h.name] != nil {
		return nil, fmt.Errorf("hook %q: name: another hook has it", h.name)
	}
	client, err := newClient(c)
	if err != nil {
		return nil, fmt.Errorf("hook %q: %w", h.name, err)
	}
	s := newSender(h, client, outbox, d.log)
	s.tell = func(ev *Event) []Route {
		return slices.DeleteFunc(d.Match(ev), func(r Route) bool { return r.Hook == h.name })
	}
	s.wakeOther = d.Wake
	d.senders[h.name] = s
	return h, nil
}

// Names lists the hooks, and the copies of those that have several URLs, in the
// order of the configuration.
func (d *Dispatcher) Names() []string { return slices.Clone(d.names) }

// Subscription returns a function that reports whether the hook wants an event; ok is false if there is no such hook.
func (d *Dispatcher) Subscription(hook string) (wants func(*Event) bool, ok bool) {
	s := d.senders[hook]
	if s == nil {
		return nil, false
	}
	return func(ev *Event) bool { return s.hook.wants(ev, d.log) }, true
}

func newClient(c *Config) (*httpclient.Client, error) {
	trust, err := c.TLS()
	if err != nil {
		return nil, err
	}
	return httpclient.NewClient(httpclient.ClientConfig{MaxConns: 2 * c.Concurrency, TLS: trust})
}

// Start begins to deliver. It is called once.
func (d *Dispatcher) Start() {
	stopping, stop := context.WithCancel(context.Background())
	abandoned, abandon := context.WithCancel(context.Background())
	d.stop, d.abandon = stop, abandon
	for _, s := range d.senders {
		d.running.Go(func() { s.run(stopping, abandoned) })
	}
}

// Wake has the named hook look at the outbox, in which deliveries for it have
// been committed.
func (d *Dispatcher) Wake(hook string) {
	if s := d.senders[hook]; s != nil {
		s.lookNow()
	}
}

// WakeAll has every hook look at the outbox, which somebody else has changed.
func (d *Dispatcher) WakeAll() {
	for _, s := range d.senders {
		s.lookNow()
	}
}

// Committed hands over what a commit added: due are the deliveries that may be attempted at once, routes those of every
// event that was committed. Hooks of routes without a due delivery are woken. It never waits.
func (d *Dispatcher) Committed(routes []Route, due []Delivery) {
	for i := range due {
		d.Offer(&due[i])
	}
	if len(due) == len(routes) {
		return
	}
	// What an earlier delivery of the same hook holds back comes up when that one is settled.
	for _, r := range routes {
		if !slices.ContainsFunc(due, func(o Delivery) bool { return o.Hook == r.Hook }) {
			d.Wake(r.Hook)
		}
	}
}

// Offer hands over a delivery that was just committed and is due, so that the
// outbox need not be asked for it. It never waits.
func (d *Dispatcher) Offer(delivery *Delivery) {
	s := d.senders[delivery.Hook]
	if s == nil {
		return
	}
	select {
	case s.fresh <- *delivery:
	default:
		s.lookNow()
	}
}

// Close makes no more attempts and waits for those under way until ctx ends.
// One that is not back by then ends by its own timeout, and nobody hears its
// result: the delivery stays pending as it was, and is attempted again.
func (d *Dispatcher) Close(ctx context.Context) error {
	if d.stop == nil {
		return nil
	}
	d.stop()
	defer d.abandon()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.running.Wait()
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for attempts of hooks: %w", ctx.Err())
	}
}
