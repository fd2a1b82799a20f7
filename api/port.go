package api

import (
	"net/http"

	"github.com/valyala/fasthttp"

	"ringhook/control"
)

// Request is a request that another port received, which knows who sends it.
type Request struct {
	Who         control.Actor
	Method      string
	Path        string // escaped
	Query       string
	ContentType string
	Body        []byte
	// May returns why the sender may not change a call of an agent, nil if it may. The call is named by its linkedid or by an
	// attended transfer; the other one is empty.
	May func(agent, linkedid, transfer string) error
	// Show changes a caller who waits into what the sender may see.
	Show func(w *control.Waiter)
	// Own are the routes that the port has itself, for the description.
	Own []Operation
}

// Operation describes a route that another port has of its own.
type Operation struct {
	Method string
	Path   string // {name} stands for a part
	About  string
	In     any  // a value of the type of the body; nil for none
	Out    any  // a value of the type of the answer; nil for none
	Status int  // of the answer; by default 200, or 204 without an answer
	Stream bool // the answer is a stream of events
}

// Answer is the answer to a Request.
type Answer struct {
	Status int
	Body   any    // to be sent as JSON
	Allow  string // the methods of the path, if it does not have that of the request
	Agent  string // id of the agent for whom a command was given; empty for none
}

// Do answers a request of another port by the same handlers as those of the API's own. It has the routes of the PBX, of
// the commands for it, and the description. Do may be called concurrently.
func (a *API) Do(r *Request) Answer {
	now := a.enter()
	defer now.requests.Done()
	var agent string
	body, err := a.handleOther(now, r, &agent)
	status, body, refused := a.outcome(r.Path, body, err)
	answer := Answer{Status: status, Body: body, Agent: agent}
	if refused != nil {
		answer.Allow = refused.allow
	}
	return answer
}

// handleOther sets agent to the one for whom the command is.
func (a *API) handleOther(now *settings, r *Request, agent *string) (any, error) {
	route, parts, err := choose(r.Who, r.Method, r.Path, true)
	if err != nil {
		return nil, err
	}
	var query fasthttp.Args
	query.Parse(r.Query)
	asked := &request{who: r.Who, path: route.path, query: &query, parts: parts, other: r}
	if route.method != http.MethodGet {
		switch {
		case len(r.Body) > 0:
			asked.body, err = r.Body, isJSON(r.ContentType)
		case !route.optional:
			err = &refusal{status: http.StatusBadRequest, text: "the body is missing"}
		}
		if err == nil {
			*agent, err = asked.mayCommand()
		}
		if err != nil {
			return nil, err
		}
	}
	return a.do(now, route, asked)
}

// mayCommand returns the agent of a command, and why its sender may not give it.
func (r *request) mayCommand() (agent string, err error) {
	if agent, err = r.subject(); err == nil && agent != "" && r.other.May != nil {
		err = r.other.May(agent, r.parts["linkedid"], r.parts["transfer"])
	}
	return agent, err
}
