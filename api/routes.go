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
// returns the methods that the path has.
func find(method, path string) (found *route, parts map[string]string, methods []string) {
	for i := range routes {
		r := &routes[i]
		parts, ok := r.match(path)
		switch {
		case !ok:
		case r.method == method || method == "HEAD" && r.method == "GET":
			return r, parts, nil
		default:
			methods = append(methods, r.method)
		}
	}
	return nil, nil, methods
}

// notFound lists the paths that there are.
func notFound() error {
	paths := make([]string, len(routes))
	for i, r := range routes {
		paths[i] = r.method + " " + r.path
	}
	return &refusal{status: fasthttp.StatusNotFound, text: "no such path; there are " + strings.Join(paths, ", ")}
}

func (a *API) handle(r *fasthttp.RequestCtx) (any, error) {
	now := a.enter()
	defer now.requests.Done()
	who, err := a.admit(r, now)
	if err != nil {
		return nil, err
	}
	route, parts, methods := find(string(r.Method()), string(r.URI().PathOriginal())) // as the port chooses the API
	switch {
	case route == nil && len(methods) == 0:
		return nil, notFound()
	case route == nil:
		r.Response.Header.Set(fasthttp.HeaderAllow, strings.Join(methods, ", "))
		return nil, &refusal{status: fasthttp.StatusMethodNotAllowed, text: "use " + strings.Join(methods, " or ")}
	case route.may == administrators && who.Role != dialplan.RoleAdministrator,
		route.may == supervisors && who.Role != dialplan.RoleAdministrator && who.Role != dialplan.RoleSupervisor:
		return nil, &refusal{status: fasthttp.StatusForbidden, code: string(control.Forbidden), text: "the token does not allow this"}
	}
	asked := &request{who: who, path: route.path, query: r.QueryArgs(), parts: parts}
	if asked.body, err = bodyOf(r, route); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), store.Wait)
	defer cancel()
	return route.do(a, ctx, now, asked)
}

// bodyOf returns the body of a request, which must be JSON.
func bodyOf(r *fasthttp.RequestCtx, route *route) ([]byte, error) {
	if r.IsGet() || r.IsHead() {
		return nil, nil
	}
	kind, _, err := mime.ParseMediaType(string(r.Request.Header.ContentType()))
	switch length := r.Request.Header.ContentLength(); {
	case length < -1 || length == 0 && route.optional: // -2 is none at all
		if route.optional {
			return nil, nil
		}
		return nil, &refusal{status: fasthttp.StatusLengthRequired, text: "send a Content-Length and no Transfer-Encoding"}
	case length < 0:
		return nil, &refusal{status: fasthttp.StatusLengthRequired, text: "send a Content-Length and no Transfer-Encoding"}
	case err != nil || kind != "application/json":
		return nil, &refusal{status: fasthttp.StatusUnsupportedMediaType, text: "the body must be application/json"}
	}
	return r.PostBody(), nil
}
