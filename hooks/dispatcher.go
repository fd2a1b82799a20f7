package hooks

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/httpclient"
	"ringhook/loglimit"
)

// Dispatcher delivers what waits in the outbox for the configured hooks. A
// receiver that fails gets one attempt now and then. One that answers 410, or
// takes nothing for days, gets none until an operator enables the hook again.
type Dispatcher struct {
	subs    subscriptions
	senders map[string]*sender
	names   []string
	log     *slog.Logger
	limited *loglimit.Limiter
	warn    func(msg string, args ...any) // about a condition; limited, because every event can cause it

	// leaving are the senders of earlier configurations that may not have ended, by hook.
	leaving  map[string]*sender
	replaced bool // another dispatcher has taken over the senders
}

// New makes a dispatcher of the configured hooks, and does all that can fail.
// Deliveries for other hooks stay in the outbox as they are. Start, or after a
// reload Replace, begins to deliver.
func New(cfgs []Config, outbox Outbox, log *slog.Logger, reg prometheus.Registerer) (*Dispatcher, error) {
	return NewShared(cfgs, Shared{}, outbox, log, reg)
}

// Shared is what hooks use of other parts. The zero value is nothing.
type Shared struct {
	Accounts   httpclient.Accounts // nil if there are none
	Recordings Recordings          // nil if there are none
	Leases     Leases              // nil if no other server uses the outbox
}

// NewShared is New for hooks of which some use accounts or send recordings.
func NewShared(cfgs []Config, with Shared, outbox Outbox, log *slog.Logger, reg prometheus.Registerer) (*Dispatcher, error) {
	d := &Dispatcher{senders: make(map[string]*sender, len(cfgs)), log: log, limited: loglimit.New(log, logInterval)}
	d.warn = func(msg string, args ...any) { d.limited.Warn(fmt.Sprint(msg, args[:2]), msg, args...) } // by the hook's name
	var all []*hook
	for i := range cfgs {
		c := cfgs[i]
		if err := c.err(); err != nil {
			return nil, err
		}
		for n := range max(1, len(c.URL)) {
			h, err := d.add(&c, n, with, outbox)
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
func (d *Dispatcher) add(c *Config, n int, with Shared, outbox Outbox) (*hook, error) {
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
	s, err := newSender(h, client, with, outbox, d.log)
	if err != nil {
		return nil, fmt.Errorf("hook %q: %w", h.name, err)
	}
	d.senders[h.name] = s
	return h, nil
}

// Names returns the names of the hooks, with those of copies for further URLs, in
// the order of the configuration.
func (d *Dispatcher) Names() []string { return slices.Clone(d.names) }

// Subscription returns a function that reports whether the hook wants an event; ok is false if there is no such hook.
func (d *Dispatcher) Subscription(hook string) (wants func(*Event) bool, ok bool) {
	s := d.senders[hook]
	if s == nil {
		return nil, false
	}
	return func(ev *Event) bool { return s.hook.wants(ev, d.warn) }, true
}

func newClient(c *Config) (*httpclient.Client, error) {
	trust, err := c.TLS()
	if err != nil {
		return nil, err
	}
	return httpclient.NewClient(httpclient.ClientConfig{MaxConns: 2 * c.Concurrency, TLS: trust})
}

// Start begins to deliver. It is called once, unless Replace is.
func (d *Dispatcher) Start() {
	for _, s := range d.senders {
		s.start(d, nil)
	}
}

// Replace begins to deliver in place of old, which may still be used to hand over deliveries, but is not closed any more. A
// hook that is configured as before goes on undisturbed. One that is changed starts when the attempts of its old
// configuration have ended. Replace waits for nothing, and no hook waits for another. It must return before other
// goroutines use d.
func (d *Dispatcher) Replace(old *Dispatcher) {
	old.replaced = true
	d.leaving = make(map[string]*sender)
	for name, s := range old.leaving {
		if !s.hasEnded() {
			d.leaving[name] = s
		}
	}
	for name, before := range old.senders {
		s := d.senders[name]
		if s != nil && s.sameAs(before) {
			before.dispatcher.Store(d)
			d.senders[name] = before
			continue
		}
		before.next.Store(s)
		before.stop()
		d.leaving[name] = before
	}
	for name, s := range d.senders {
		if s != old.senders[name] {
			s.start(d, d.leaving[name])
		}
	}
}

// Wake makes the named hook read the outbox after deliveries for it were committed.
func (d *Dispatcher) Wake(hook string) {
	if s := d.senders[hook]; s != nil {
		s.current().lookNow()
	}
}

// WakeAll makes every hook read the outbox after something else changed it.
func (d *Dispatcher) WakeAll() {
	for _, s := range d.senders {
		s.current().lookNow()
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
	s = s.current()
	select {
	case s.fresh <- *delivery:
	default:
		s.lookNow()
	}
}

// Close makes no more attempts and waits for those in progress until ctx ends.
// One that is not back by then ends by its own timeout, and its result is not
// stored: the delivery stays pending, and is attempted again.
func (d *Dispatcher) Close(ctx context.Context) error {
	if d.replaced {
		return nil
	}
	defer d.limited.Close()
	var running []*sender
	for _, senders := range []map[string]*sender{d.senders, d.leaving} {
		for _, s := range senders {
			if s.ended != nil {
				s.stop()
				running = append(running, s)
			}
		}
	}
	for _, s := range running {
		select {
		case <-s.ended:
			continue
		case <-ctx.Done():
		}
		for _, s := range running {
			s.abandon()
		}
		return fmt.Errorf("wait for attempts of hooks: %w", ctx.Err())
	}
	return nil
}
