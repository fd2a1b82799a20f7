package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"ringhook/ami"
	"ringhook/control"
	"ringhook/dialplan"
	"ringhook/dialplan/kept"
)

// liveRoutes show what is alive on Asterisk.
var liveRoutes = []route{
	{method: "GET", path: "/v1/queues", about: "List live queues", may: supervisors, query: []string{"server"}, out: queueList{}, do: (*API).listQueues},
	{method: "GET", path: "/v1/queues/{queue}", about: "Show a live queue", may: supervisors, query: []string{"server"}, out: control.Queue{}, do: (*API).showQueue},
	{method: "GET", path: "/v1/calls", about: "List live calls", query: []string{"server"}, out: callList{}, do: (*API).listCalls},
	{method: "GET", path: "/v1/calls/{linkedid}", about: "Show a call: alive or ended, with its points, events, deliveries and screen pops", query: []string{"server"}, out: callReport{}, do: (*API).showCall},
	{method: "GET", path: "/v1/phones", about: "List phones", may: supervisors, query: []string{"server"}, out: phoneList{}, do: (*API).listPhones},
	{method: "GET", path: "/v1/phones/{phone}", about: "Show a phone with its contacts", may: supervisors, query: []string{"server"}, out: control.Phone{}, do: (*API).showPhone},
}

type queueList struct {
	Servers []control.Server `json:"servers"`
	Queues  []control.Queue  `json:"queues"`
}

type callList struct {
	Servers []control.Server `json:"servers"`
	Calls   []control.Call   `json:"calls"`
}

type phoneList struct {
	Servers []control.Server `json:"servers"`
	Phones  []control.Phone  `json:"phones"`
}

func (a *API) listQueues(_ context.Context, _ *settings, r *request) (any, error) {
	now, err := a.live(r)
	return queueList{now.Servers, now.Queues}, err
}

func (a *API) showQueue(_ context.Context, _ *settings, r *request) (any, error) {
	now, err := a.live(r)
	if err != nil {
		return nil, err
	}
	return one(now.Servers, now.Queues, "queue", r.parts["queue"], func(q *control.Queue) bool { return q.ID == r.parts["queue"] })
}

func (a *API) listCalls(_ context.Context, _ *settings, r *request) (any, error) {
	now, err := a.live(r)
	return callList{now.Servers, now.Calls}, err
}

// callReport is a call as Asterisk has it now, and what is stored about it.
type callReport struct {
	// Call is the live call. If it has ended, or no connected Asterisk has it, its state is ended or unknown.
	control.Call
	Points     []dialplan.PointTrace `json:"points"`
	Events     []eventReport         `json:"events"` // those that a hook wanted
	Deliveries []*DeliveryDetails    `json:"deliveries"`
	Pops       []popReport           `json:"pops"`
}

const (
	// callDeliveries is the maximum number of deliveries of a call that are shown.
	callDeliveries = 1000
	// maxReading is the maximum number of requests that read the trace at once.
	maxReading = 2
)

func (a *API) showCall(ctx context.Context, set *settings, r *request) (any, error) {
	id := r.parts["linkedid"]
	now, err := a.live(r)
	if failed := refusalOf(err); failed != nil && failed.code != string(control.Away) {
		return nil, err
	}
	stored, failed := a.readCall(ctx, id)
	if failed != nil {
		return nil, failed
	}
	report := callReport{Events: stored.events(set.links), Deliveries: stored.deliveries()}
	report.Points, report.Pops = stored.traced()
	if err == nil {
		var found any
		if found, err = one(now.Servers, now.Calls, "call", id, func(c *control.Call) bool { return c.LinkedID == stored.LinkedID }); err == nil {
			report.Call = found.(control.Call)
			return report, nil
		}
	}
	if failed := refusalOf(err); stored.None() || failed == nil || failed.code == string(control.Unclear) {
		return nil, err
	}
	report.Call = stored.call()
	return report, nil
}

// readCall reads what is stored about a call when it is the turn of the request.
func (a *API) readCall(ctx context.Context, id string) (*StoredCall, error) {
	select {
	case a.reading <- struct{}{}:
		defer func() { <-a.reading }()
		return ReadCall(a.stored, id, callDeliveries)
	case <-ctx.Done():
		return nil, &control.Error{Code: control.Busy, Text: "too many requests read the trace"}
	}
}

// call returns what is stored about a call that no connected Asterisk has.
func (c *StoredCall) call() control.Call {
	shown := control.Call{LinkedID: c.LinkedID, State: "unknown", Channels: []control.Channel{}}
	if len(c.Calls) == 0 {
		return shown
	}
	if last, err := kept.Decode(c.Calls[len(c.Calls)-1].State); err == nil {
		shown.Since, shown.Caller, shown.Name, shown.Dialed = last.Began, last.Text("callerid"), last.Text("callerid_name"), last.Text("directid")
		if !last.Ended.IsZero() {
			shown.State = "ended"
		}
	}
	return shown
}

func (a *API) listPhones(_ context.Context, _ *settings, r *request) (any, error) {
	now, err := a.live(r)
	return phoneList{now.Servers, now.Phones}, err
}

// contactsTime bounds the reading of one phone's contacts.
const contactsTime = 5 * time.Second

// showPhone returns one phone with its contacts, for which Asterisk is asked.
func (a *API) showPhone(ctx context.Context, _ *settings, r *request) (any, error) {
	now, err := a.live(r)
	if err != nil {
		return nil, err
	}
	found, err := one(now.Servers, now.Phones, "phone", r.parts["phone"], func(p *control.Phone) bool { return p.Phone == r.parts["phone"] })
	if err != nil {
		return nil, err
	}
	p := found.(control.Phone)
	ctx, cancel := context.WithTimeout(ctx, contactsTime)
	defer cancel()
	p.Contacts, err = a.control.Contacts(ctx, &p)
	var rejected *ami.RejectedError
	switch {
	case errors.Is(err, ami.ErrAway), errors.Is(err, ami.ErrLost):
		return nil, &refusal{status: fasthttp.StatusServiceUnavailable, code: "away", text: "not connected to Asterisk's manager interface"}
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &refusal{status: fasthttp.StatusGatewayTimeout, code: "slow", text: "Asterisk did not answer in time"}
	case errors.As(err, &rejected):
		return nil, &refusal{status: fasthttp.StatusBadGateway, code: "pbx", text: rejected.Error()}
	}
	return p, err
}

// live returns the live state; the parameter server names one Asterisk.
func (a *API) live(r *request) (now control.Live, err error) {
	server, err := r.server()
	if err != nil {
		return now, err
	}
	now = a.control.Live()
	now.Queues = slices.DeleteFunc(now.Queues, func(q control.Queue) bool { return !r.who.Sees(q.ID) })
	if r.other != nil && r.other.Show != nil {
		for i := range now.Queues {
			for n := range now.Queues[i].Waiting {
				r.other.Show(&now.Queues[i].Waiting[n])
			}
		}
	}
	return now, only(&now, server)
}

// only reduces the state to one Asterisk, and refuses if nothing is known because none is connected.
func only(now *control.Live, server string) error {
	if server != "" {
		now.Servers = slices.DeleteFunc(now.Servers, func(s control.Server) bool { return s.Server != server })
		now.Queues = slices.DeleteFunc(now.Queues, func(q control.Queue) bool { return q.Server != server })
		now.Phones = slices.DeleteFunc(now.Phones, func(p control.Phone) bool { return p.Server != server })
		now.Calls = slices.DeleteFunc(now.Calls, func(c control.Call) bool { return c.Server != server })
	}
	switch {
	case len(now.Servers) == 0 && server != "":
		return &refusal{status: fasthttp.StatusNotFound, code: "unknown", text: fmt.Sprintf("the configuration has no [[ami]] table %q", server)}
	case len(now.Servers) == 0:
		return &refusal{status: fasthttp.StatusServiceUnavailable, code: "away", text: "the configuration has no [[ami]] table"}
	case !slices.ContainsFunc(now.Servers, func(s control.Server) bool { return s.Connected }):
		return &refusal{status: fasthttp.StatusServiceUnavailable, code: "away", text: "not connected to Asterisk's manager interface"}
	}
	return nil
}

// one returns the entry with an id. It may be on an Asterisk that is not connected.
func one[T any](servers []control.Server, list []T, what, id string, is func(*T) bool) (any, error) {
	list = slices.DeleteFunc(list, func(v T) bool { return !is(&v) })
	switch len(list) {
	case 0:
		if i := slices.IndexFunc(servers, func(s control.Server) bool { return !s.Connected }); i >= 0 {
			return nil, &refusal{status: fasthttp.StatusServiceUnavailable, code: "away", text: fmt.Sprintf("there is no %s %q on the Asterisks that are connected; it may be on %s, which is not", what, id, servers[i].Server)}
		}
		return nil, &refusal{status: fasthttp.StatusNotFound, code: "unknown", text: fmt.Sprintf("there is no %s %q", what, id)}
	case 1:
		return list[0], nil
	}
	return nil, &refusal{status: fasthttp.StatusConflict, code: "unclear", text: fmt.Sprintf("several Asterisks have a %s %q: name one by server=", what, id)}
}
