package api

import (
	"context"
	"mime"
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"ringhook/control"
	"ringhook/dialplan"
	"ringhook/store"
)

// request is what a route gets of a request that was admitted.
type request struct {
	who   control.Actor
	path  string            // of the route
	body  []byte            // of a POST, PUT, PATCH or DELETE
	query *fasthttp.Args    // none for requests with a body, except server= for commands
	parts map[string]string // of the path, by their names in the route's path
	other *Request          // of another port; nil for one of the API's own
}

// reader is who may use a route. What an actor may do to whom is decided by package control.
type reader int

const (
	administrators reader = iota
	supervisors           // and administrators
	everyone              // with a token
)

// route is one operation of the API. Its result is sent as JSON.
type route struct {
	method string // of GET, HEAD is answered too
	path   string // {name} stands for a part of one character or more
	about  string // for the description
	may    reader
	in     any // a value of the type of the body; nil for none
	out    any // a value of the type of the answer
	query  []string
	status int  // of the answer, if neither its type has one nor it is 200
	stream bool // the answer is a stream of events
	// optional is true if the body may be missing.
	optional bool
	do       func(*API, context.Context, *settings, *request) (any, error)
}

// routes are all operations. The first that matches is used.
var routes []route

// Go does not let a variable refer to itself, and one route describes all.
func init() { routes = slices.Concat(ownRoutes, commandRoutes(), liveRoutes) }

// ownRoutes are those that concern ringhook itself.
var ownRoutes = []route{
	{method: "GET", path: "/v1/openapi.json", about: "This description", may: everyone, out: map[string]any{}, do: (*API).description},
	{method: "POST", path: "/v1/lookup", about: "Look a number up now", in: LookupRequest{}, out: &LookupReport{}, do: (*API).lookup},
	{method: "POST", path: "/v1/cache/forget", about: "Forget the cached answers of a number", in: forgetRequest{}, out: map[string]int{}, do: (*API).forget},
	{method: "GET", path: "/v1/outbox", about: "List deliveries", query: []string{"hook", "call", "state", "since", "until", "limit"}, out: map[string][]DeliveryReport{}, do: (*API).listOutbox},
	{method: "POST", path: "/v1/outbox/retry", about: "Make deliveries due now", in: outboxQuery{}, out: map[string]int{}, do: (*API).retry},
	{method: "POST", path: "/v1/outbox/drop", about: "Drop deliveries", in: outboxQuery{}, out: map[string]int{}, do: (*API).drop},
	{method: "POST", path: "/v1/outbox/replay", about: "Send the events of a time span again", in: replayRequest{}, out: map[string]any{}, do: (*API).replay},
	{method: "GET", path: "/v1/outbox/{id}", about: "Show a delivery", out: &DeliveryDetails{}, do: (*API).showDelivery},
	{method: "GET", path: "/v1/hooks", about: "List hooks", out: map[string][]HookReport{}, do: (*API).listHooks},
	{method: "POST", path: "/v1/hooks/enable", about: "Enable a disabled hook", in: enableRequest{}, out: map[string]bool{}, do: (*API).enableHook},
}

// match returns the parts of an escaped path, and whether it is one of the route.
func (r *route) match(path string) (parts map[string]string, ok bool) {
	literal, pattern, named := strings.Cut(r.path, "{")
	rest, ok := strings.CutPrefix(path, literal)
	if !ok {
		return nil, false
	}
	parts = map[string]string{}
	for named {
		var name string
		name, pattern, _ = strings.Cut(pattern, "}")
		literal, pattern, named = strings.Cut(pattern, "{")
		end := len(rest) - len(literal)
		if named { // the shortest that fits, so that a part has no slash if it can
			if end = strings.Index(rest, literal); end < 0 {
				return nil, false
			}
		}
		if end < 1 || rest[end:end+len(literal)] != literal {
			return nil, false
		}
		value, err := url.PathUnescape(rest[:end])
		if err != nil {
			return nil, false
		}
		parts[name], rest = value, rest[end+len(literal):]
	}
	return parts, rest == ""
}

// find returns the route of a method and an escaped path, and the parts of the path. If there is none of the method, it
// returns the methods that the path has. Another port than that of the API has the routes of the PBX only.
func find(method, path string, otherPort bool) (found *route, parts map[string]string, methods []string) {
	for i := range routes {
		r := &routes[i]
		parts, ok := r.match(path)
		switch {
		case !ok, otherPort && !r.everywhere():
		case r.method == method || method == "HEAD" && r.method == "GET":
			return r, parts, nil
		default:
			methods = append(methods, r.method)
		}
	}
	return nil, nil, methods
}

// everywhere reports whether a route is also served by other ports: those of the PBX, of the commands for it, and the
// description.
func (r *route) everywhere() bool {
	return r.commands() || r.path == "/v1/commands" || r.path == "/v1/openapi.json"
}

// notFound lists the paths that there are.
func notFound(otherPort bool) error {
	var paths []string
	for i := range routes {
		if !otherPort || routes[i].everywhere() {
			paths = append(paths, routes[i].method+" "+routes[i].path)
		}
	}
	return &refusal{status: fasthttp.StatusNotFound, text: "no such path; there are " + strings.Join(paths, ", ")}
}

// choose returns the route of a request and the parts of its path, or why an actor gets none.
func choose(who control.Actor, method, path string, otherPort bool) (*route, map[string]string, error) {
	route, parts, methods := find(method, path, otherPort)
	switch {
	case route == nil && len(methods) == 0:
		return nil, nil, notFound(otherPort)
	case route == nil:
		return nil, nil, &refusal{status: fasthttp.StatusMethodNotAllowed, text: "use " + strings.Join(methods, " or "), allow: strings.Join(methods, ", ")}
	case route.may == administrators && who.Role != dialplan.RoleAdministrator,
		route.may == supervisors && who.Role != dialplan.RoleAdministrator && who.Role != dialplan.RoleSupervisor:
		return nil, nil, &refusal{status: fasthttp.StatusForbidden, code: string(control.Forbidden), text: who.Name + " may not do this"}
	}
	return route, parts, nil
}

func (a *API) handle(r *fasthttp.RequestCtx) (any, error) {
	now := a.enter()
	defer now.requests.Done()
	who, err := a.admit(r, now)
	if err != nil {
		return nil, err
	}
	route, parts, err := choose(who, string(r.Method()), string(r.URI().PathOriginal()), false) // as the port chooses the API
	if err != nil {
		return nil, err
	}
	asked := &request{who: who, path: route.path, query: r.QueryArgs(), parts: parts}
	if asked.body, err = bodyOf(r, route); err != nil {
		return nil, err
	}
	return a.do(now, route, asked)
}

// do carries out a request.
func (a *API) do(now *settings, route *route, asked *request) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), store.Wait)
	defer cancel()
	return route.do(a, ctx, now, asked)
}

// bodyOf returns the body of a request, which must be JSON.
func bodyOf(r *fasthttp.RequestCtx, route *route) ([]byte, error) {
	if r.IsGet() || r.IsHead() {
		return nil, nil
	}
	switch length := r.Request.Header.ContentLength(); {
	case length < -1 || length == 0 && route.optional: // -2 is none at all
		if route.optional {
			return nil, nil
		}
		return nil, &refusal{status: fasthttp.StatusLengthRequired, text: "send a Content-Length and no Transfer-Encoding"}
	case length < 0:
		return nil, &refusal{status: fasthttp.StatusLengthRequired, text: "send a Content-Length and no Transfer-Encoding"}
	}
	return r.PostBody(), isJSON(string(r.Request.Header.ContentType()))
}

// isJSON returns the refusal of a body that is not JSON, by its content type.
func isJSON(contentType string) error {
	if kind, _, err := mime.ParseMediaType(contentType); err != nil || kind != "application/json" {
		return &refusal{status: fasthttp.StatusUnsupportedMediaType, text: "the body must be application/json"}
	}
	return nil
}
