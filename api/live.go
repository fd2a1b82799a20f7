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

func (a *API) listQueues(_ context.Context, _ *settings, r *request) (any, error) {
	now, err := a.live(r)
	return map[string]any{"servers": now.Servers, "queues": now.Queues}, err
}

func (a *API) showQueue(_ context.Context, _ *settings, r *request) (any, error) {
	now, err := a.live(r)
	if err != nil {
		return nil, err
	}
	return one(now.Queues, "queue", r.name, func(q *control.Queue) bool { return q.ID == r.name })
}

func (a *API) listCalls(_ context.Context, _ *settings, r *request) (any, error) {
	now, err := a.live(r)
	return map[string]any{"servers": now.Servers, "calls": now.Calls}, err
}

func (a *API) showCall(_ context.Context, _ *settings, r *request) (any, error) {
	now, err := a.live(r)
	if err != nil {
		return nil, err
	}
	return one(now.Calls, "call", r.name, func(c *control.Call) bool { return c.LinkedID == r.name })
}

func (a *API) listPhones(_ context.Context, _ *settings, r *request) (any, error) {
	now, err := a.live(r)
	return map[string]any{"servers": now.Servers, "phones": now.Phones}, err
}

// contactsTime bounds the reading of one phone's contacts.
const contactsTime = 5 * time.Second

// showPhone returns one phone with its contacts, for which Asterisk is asked.
func (a *API) showPhone(ctx context.Context, _ *settings, r *request) (any, error) {
	now, err := a.live(r)
	if err != nil {
		return nil, err
	}
	found, err := one(now.Phones, "phone", r.name, func(p *control.Phone) bool { return p.Phone == r.name })
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
	server := ""
	for name, value := range r.query.All() {
		if string(name) != "server" {
			return now, &refusal{status: fasthttp.StatusBadRequest, text: fmt.Sprintf("unknown parameter %s", name)}
		}
		server = string(value)
	}
	now = a.control.Live()
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

// one returns the entry with an id.
func one[T any](list []T, what, id string, is func(*T) bool) (any, error) {
	list = slices.DeleteFunc(list, func(v T) bool { return !is(&v) })
	switch len(list) {
	case 0:
		return nil, &refusal{status: fasthttp.StatusNotFound, code: "unknown", text: fmt.Sprintf("there is no %s %q", what, id)}
	case 1:
		return list[0], nil
	}
	return nil, &refusal{status: fasthttp.StatusConflict, code: "unclear", text: fmt.Sprintf("several Asterisks have a %s %q: name one by server=", what, id)}
}
