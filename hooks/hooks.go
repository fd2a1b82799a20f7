// Package hooks delivers call events to subscribers: it matches events with
// hooks, renders requests and sends them at least once, in order within a call,
// from an outbox that survives a restart.
//
// Guarantees for a receiver: every accepted event is delivered, or becomes dead
// when its time is over. It may arrive more than once, always with the same
// webhook-id, which is its event_id. An event of a call is sent only when the
// one before it is delivered or given up, or has failed for longer than
// order_hold. There is no order between calls, unless the hook sets one. Any 2xx
// accepts an event, 410 ends the subscription, Retry-After is obeyed, and a
// redirect is never followed. The signature covers the body as it is sent, not
// the query of a GET.
package hooks

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"ringhook/httpclient"
)

// Event is what happened at a point, with the call's parameters at that time.
type Event struct {
	ID       string // the same for the same point of the same call, always
	Name     string
	LinkedID string
	Seq      int
	Final    bool
	Time     time.Time
	// Params holds every parameter that has a value, those above among them, by its name in the contract; the values are
	// string, int64 or bool.
	Params map[string]any
}

// Route is a hook that wants an event, and the order of its deliveries.
type Route struct {
	Hook string
	// Key groups deliveries: one waits for earlier ones of the same hook and key.
	Key string
	// Hold is the maximum time that a failing delivery holds up later ones.
	Hold time.Duration
}

// Delivery is one event for one hook, as the outbox holds it.
type Delivery struct {
	ID       int64
	Hook     string
	Event    Event
	Attempts int       // made so far
	Accepted time.Time // when the event was committed, or the delivery was retried by an operator
}

// Result is the outcome of one attempt and the delivery's next state.
type Result struct {
	Delivery int64
	State    State
	Next     time.Time // of the next attempt, where State is Pending
	Attempt  Attempt
	// Call and Values are what the answer left for later deliveries of the call, see Memory.
	Call   string
	Values map[string]string
	// Epoch is that of the lease under which the delivery was attempted, 0 without leases. The outbox takes what
	// schedules or gives up a delivery only from the present lease, and that it is delivered from any.
	Epoch int64
}

// State is the state of a delivery.
type State int

// The states, as they are stored.
const (
	Pending   State = 0
	Delivered State = 1
	Dead      State = 2
	Dropped   State = 3
)

var stateNames = []string{Pending: "pending", Delivered: "delivered", Dead: "dead", Dropped: "dropped"}

// String is the state's name, as commands and the API show it.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "state " + strconv.Itoa(int(s))
	}
	return stateNames[s]
}

// StateNamed returns the state of a name.
func StateNamed(name string) (s State, ok bool) {
	n := slices.Index(stateNames, name)
	return State(n), n >= 0
}

// Attempt is one request to one hook.
type Attempt struct {
	Started time.Time
	Took    time.Duration
	Class   string // delivered, rejected, failed, timeout ...
	Status  int    // of HTTP, 0 where there was none
	Excerpt string // beginning of the answer, or the error
}

// Outbox holds deliveries until they are delivered or dead, and the state of each hook.
type Outbox interface {
	Queue
	States
	Memory
}

// Memory holds the values that answers left for later deliveries of their call, by hook and call. Settle stores them with
// the result, in one commit. They are removed with the call, or with the last of its events if that is later.
type Memory interface {
	// Remembered returns the values of a call for a hook, by name.
	Remembered(hook, call string) (map[string]string, error)
}

// Queue holds the deliveries of hooks.
type Queue interface {
	// Due lists up to limit pending deliveries of a hook that may be attempted at now, the longest due first: never two of
	// one key, never one that an earlier pending delivery of its key holds back, and none of those in underWay.
	Due(hook string, now time.Time, limit int, underWay ...int64) ([]Delivery, error)
	// Next returns when the hook's next delivery becomes due; zero if none is pending.
	Next(hook string) (time.Time, error)
	// IsPending reports whether a delivery is still to be sent: an operator may have dropped or erased it.
	IsPending(id int64) (bool, error)
	// Settle stores the results of attempts and returns after the commit. released reports whether other deliveries of
	// a key may be attempted, now or later, because one before them is settled.
	Settle(ctx context.Context, results []Result) (released bool, err error)
}

// States holds what is known of each hook's receiver.
type States interface {
	// State returns the state of a hook as SetState stored it; zero if nothing is stored. An Until earlier than the
	// stored one means that an operator wants an attempt now.
	State(hook string) (HookState, error)
	// SetState stores the state of a hook and, if notice is not nil, commits with it an event about the hook for the
	// hooks of the routes.
	SetState(ctx context.Context, st HookState, notice *Event, routes []Route) error
}

// Leases are the rights to deliver for hooks, where several servers share an outbox: for each hook one of them delivers.
type Leases interface {
	// Acquire waits until this server may deliver for a hook. It returns nil if ctx ends before.
	Acquire(ctx context.Context, hook string) Lease
}

// Lease is the right to deliver for a hook.
type Lease interface {
	// Context ends when the lease is lost or another server is to have it, and with that of Acquire.
	Context() context.Context
	// Valid reports whether an attempt may begin now: no other server has the lease.
	Valid() bool
	// Epoch is the number of the lease, higher than that of all earlier ones of the hook.
	Epoch() int64
	// Woken receives when another server may have changed the hook's deliveries.
	Woken() <-chan struct{}
	// Release lets another server have the lease. It is called after the last result was stored.
	Release()
}

// only is the lease of a server that shares its outbox with no other.
type only struct{ ctx context.Context }

// Acquire implements Leases.
func (only) Acquire(ctx context.Context, _ string) Lease {
	if ctx.Err() != nil {
		return nil
	}
	return only{ctx}
}

// Context implements Lease.
func (o only) Context() context.Context { return o.ctx }

// Valid implements Lease.
func (only) Valid() bool { return true }

// Epoch implements Lease.
func (only) Epoch() int64 { return 0 }

// Woken implements Lease.
func (only) Woken() <-chan struct{} { return nil }

// Release implements Lease.
func (only) Release() {}

// Call identifies the event's call among the calls of all Asterisks, for what is remembered of it.
func (ev *Event) Call() string {
	if id, ok := ev.Params["call_uuid"].(string); ok && id != "" {
		return id
	}
	return cmp.Or(ev.LinkedID, ev.ID)
}

// With returns the event with further parameters. Those that it has itself win: the dialplan may pass a value that is
// otherwise remembered.
func (ev *Event) With(values map[string]string) *Event {
	if len(values) == 0 {
		return ev
	}
	more := *ev
	more.Params = make(map[string]any, len(ev.Params)+len(values))
	for name, value := range values {
		more.Params[name] = value
	}
	for name, value := range ev.Params {
		if value != "" {
			more.Params[name] = value
		}
	}
	return &more
}

// Replace returns the event with other values of parameters, in the types of the contract; an empty value removes the
// parameter. What identifies the event cannot be replaced.
func (ev *Event) Replace(values map[string]string) (*Event, error) {
	more := *ev
	more.Params = maps.Clone(ev.Params)
	for name, text := range values {
		if slices.Contains(identity, name) {
			return nil, fmt.Errorf("%s belongs to the event and cannot be replaced", name)
		}
		if text == "" {
			delete(more.Params, name)
			continue
		}
		switch zeros[name].(type) {
		case int64:
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s is a number, %q is none", name, text)
			}
			more.Params[name] = n
		case bool:
			if text != "true" && text != "false" {
				return nil, fmt.Errorf("%s is true or false, not %q", name, text)
			}
			more.Params[name] = text == "true"
		default:
			more.Params[name] = text
		}
	}
	return &more, nil
}

// AppendJSON appends the event as the outbox stores it: a JSON object with name, seq, final, time and params. ID and
// LinkedID are not part of it, because they have columns of their own.
func (ev *Event) AppendJSON(dst []byte) []byte {
	dst = httpclient.AppendJSON(append(dst, `{"name":`...), ev.Name)
	if ev.Seq != 0 {
		dst = strconv.AppendInt(append(dst, `,"seq":`...), int64(ev.Seq), 10)
	}
	if ev.Final {
		dst = append(dst, `,"final":true`...)
	}
	dst = ev.Time.AppendFormat(append(dst, `,"time":"`...), time.RFC3339Nano)
	return append(AppendParams(append(dst, `","params":`...), ev.Params), '}')
}

// AppendParams appends parameters as a JSON object, in no order: a number, a boolean or a string each, or null.
func AppendParams(dst []byte, params map[string]any) []byte {
	dst = append(dst, '{')
	first := true
	for name, value := range params {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(httpclient.AppendJSON(dst, name), ':')
		dst = appendJSON(dst, value)
	}
	return append(dst, '}')
}
