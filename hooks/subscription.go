package hooks

import (
	"slices"
	"strings"
)

// subscriptions finds the hooks that want an event.
type subscriptions struct {
	exact   map[string][]*hook // by the names that stand in the configuration
	pattern []*hook            // for every other name
}

func newSubscriptions(all []*hook) subscriptions {
	s := subscriptions{exact: make(map[string][]*hook)}
	for _, h := range all {
		if slices.ContainsFunc(h.cfg.Events, isPattern) {
			s.pattern = append(s.pattern, h)
		}
		for _, name := range h.cfg.Events {
			if isPattern(name) || s.exact[name] != nil {
				continue
			}
			for _, h := range all {
				if h.cfg.subscribes(name) {
					s.exact[name] = append(s.exact[name], h)
				}
			}
		}
	}
	return s
}

func isPattern(name string) bool { return strings.ContainsAny(name, `*?[\`) }

// to returns the hooks that may want an event of this name. If ask is true the
// name is not in the configuration, and each hook's patterns have to be checked.
func (s *subscriptions) to(name string) (hooks []*hook, ask bool) {
	if hooks, ok := s.exact[name]; ok {
		return hooks, false
	}
	return s.pattern, true
}

// Any reports whether there is a hook. Without one, nothing of a call has to be stored.
func (d *Dispatcher) Any() bool { return len(d.senders) > 0 }

// Wants reports whether any hook may want an event of this name.
func (d *Dispatcher) Wants(eventName string) bool {
	hooks, ask := d.subs.to(eventName)
	return len(hooks) > 0 && (!ask || slices.ContainsFunc(hooks, func(h *hook) bool { return h.cfg.subscribes(eventName) }))
}

// Match returns the routes of the event, one for each hook that wants it. A condition that
// cannot be evaluated counts as met: an event too many can be dropped by its
// receiver, one too few is lost.
func (d *Dispatcher) Match(ev *Event) []Route {
	var routes []Route
	hooks, ask := d.subs.to(ev.Name)
	for _, h := range hooks {
		if (!ask || h.cfg.subscribes(ev.Name)) && h.meets(ev, d.warn) {
			routes = append(routes, h.route(ev))
		}
	}
	return routes
}

// meets reports whether an event meets the hook's condition and that of its own request.
func (h *hook) meets(ev *Event, warn func(msg string, args ...any)) bool {
	if !h.holds(h.when, ev, warn) {
		return false
	}
	r := h.of(ev.Name)
	return r == nil || h.holds(r.when, ev, warn)
}

func (h *hook) holds(c *condition, ev *Event, warn func(msg string, args ...any)) bool {
	if c == nil {
		return true
	}
	ok, err := c.holds(ev)
	if err != nil {
		warn("condition of hook failed", "hook", h.name, "event", ev.Name, "err", err)
		return true
	}
	return ok
}

// route returns the route of an event: the hook and its order.
func (h *hook) route(ev *Event) Route {
	r := Route{Hook: h.name, Hold: h.cfg.OrderHold}
	switch h.cfg.Order {
	case orderCall:
		r.Key = ev.Call()
	case orderNone:
		r.Key = ev.ID
	}
	return r
}

// The orders of a hook's deliveries. The key of strict is one for all.
const (
	orderCall   = "call"
	orderStrict = "strict"
	orderNone   = "none"
)
