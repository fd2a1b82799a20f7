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
)

// liveRoutes show what is alive on Asterisk.
var liveRoutes = []route{
	{method: "GET", path: "/v1/queues", about: "List live queues", may: supervisors, query: []string{"server"}, out: queueList{}, do: (*API).listQueues},
	{method: "GET", path: "/v1/queues/{queue}", about: "Show a live queue", may: supervisors, query: []string{"server"}, out: control.Queue{}, do: (*API).showQueue},
	{method: "GET", path: "/v1/calls", about: "List live calls", query: []string{"server"}, out: callList{}, do: (*API).listCalls},
	{method: "GET", path: "/v1/calls/{linkedid}", about: "Show a live call", query: []string{"server"}, out: control.Call{}, do: (*API).showCall},
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

func (a *API) showCall(_ context.Context, _ *settings, r *request) (any, error) {
	now, err := a.live(r)
	if err != nil {
		return nil, err
	}
	return one(now.Servers, now.Calls, "call", r.parts["linkedid"], func(c *control.Call) bool { return c.LinkedID == r.parts["linkedid"] })
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
