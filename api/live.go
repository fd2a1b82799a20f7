package api

import (
	"fmt"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"ringhook/control"
)

// The paths of the live state.
const (
	queuesPath = apiPrefix + "queues"
	callsPath  = apiPrefix + "calls"
)

// live answers GET /v1/queues, /v1/queues/{id}, /v1/calls and /v1/calls/{linkedid}; the parameter
// server names one Asterisk.
func (a *API) live(path string, query *fasthttp.Args) (any, error) {
	server := ""
	for name, value := range query.All() {
		if string(name) != "server" {
			return nil, &refusal{status: fasthttp.StatusBadRequest, text: fmt.Sprintf("unknown parameter %s", name)}
		}
		server = string(value)
	}
	now := a.control.Live()
	if err := only(&now, server); err != nil {
		return nil, err
	}
	if id, ok := strings.CutPrefix(path, queuesPath+"/"); ok {
		return one(now.Queues, "queue", id, func(q *control.Queue) bool { return q.ID == id })
	}
	if id, ok := strings.CutPrefix(path, callsPath+"/"); ok {
		return one(now.Calls, "call", id, func(c *control.Call) bool { return c.LinkedID == id })
	}
	if path == queuesPath {
		return map[string]any{"servers": now.Servers, "queues": now.Queues}, nil
	}
	return map[string]any{"servers": now.Servers, "calls": now.Calls}, nil
}

// only reduces the state to one Asterisk, and refuses if nothing is known because none is connected.
func only(now *control.Live, server string) error {
	if server != "" {
		now.Servers = slices.DeleteFunc(now.Servers, func(s control.Server) bool { return s.Server != server })
		now.Queues = slices.DeleteFunc(now.Queues, func(q control.Queue) bool { return q.Server != server })
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
