// Package api serves the HTTP port: metrics, health checks and the JSON API.
package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"ringhook/control"
	"ringhook/hooks"
	"ringhook/store"
	"ringhook/store/cache"
)

// apiPrefix is the prefix of all paths of the API.
const apiPrefix = "/v1/"

// API is the JSON API. It serves programs that know the configured token, and no browsers.
type API struct {
	log      *slog.Logger
	cache    *cache.Cache
	outbox   *store.Operator
	control  *control.Control
	local    bool // listens on the loopback interface only
	throttle *throttle
	current  atomic.Pointer[settings]
}

// settings are replaced by a reload.
type settings struct {
	token     [sha256.Size]byte // its digest
	on        bool
	explainer *Explainer
	hooks     *hooks.Dispatcher
}

// New returns an API that reads from a store and the live state. At is the address that
// its server listens on.
func New(log *slog.Logger, st *store.Store, live *control.Control, at net.Addr) *API {
	tcp, ok := at.(*net.TCPAddr)
	return &API{log: log, cache: st.Cache(), outbox: st.Operator(), control: live, local: ok && tcp.IP.IsLoopback(), throttle: newThrottle(time.Now)}
}

// Exchange replaces the settings for requests that begin from now on.
func (a *API) Exchange(token string, e *Explainer, d *hooks.Dispatcher) {
	a.current.Store(&settings{token: sha256.Sum256([]byte(token)), on: token != "", explainer: e, hooks: d})
}

// refusal is an error response.
type refusal struct {
	status int
	code   string // for programs; empty for none
	text   string
	after  time.Duration // Retry-After; 0 for none
}

// Error returns the text that the client gets.
func (r *refusal) Error() string { return r.text }

// request is what a route gets of a request that was admitted.
type request struct {
	body  []byte         // of a POST
	query *fasthttp.Args // of a GET
	name  string         // the rest of the path, if the route's path ends in a slash
}

// route is one operation of the API. Its result is sent as JSON.
type route struct {
	method string // of GET, HEAD is answered too
	path   string // one that ends in a slash matches every path below it
	do     func(*API, context.Context, *settings, *request) (any, error)
}

// routes are all operations. The first that matches is used.
var routes = []route{
	{"POST", "/v1/lookup", (*API).lookup},
	{"POST", "/v1/cache/forget", (*API).forget},
	{"GET", "/v1/outbox", (*API).listOutbox},
	{"POST", "/v1/outbox/retry", (*API).retry},
	{"POST", "/v1/outbox/drop", (*API).drop},
	{"POST", "/v1/outbox/replay", (*API).replay},
	{"GET", "/v1/outbox/", (*API).showDelivery},
	{"GET", "/v1/hooks", (*API).listHooks},
	{"POST", "/v1/hooks/enable", (*API).enableHook},
	{"GET", "/v1/queues", (*API).listQueues},
	{"GET", "/v1/queues/", (*API).showQueue},
	{"GET", "/v1/calls", (*API).listCalls},
	{"GET", "/v1/calls/", (*API).showCall},
	{"GET", "/v1/phones", (*API).listPhones},
	{"GET", "/v1/phones/", (*API).showPhone},
}

// find returns the route of a path, and the rest of the path below it.
func find(path string) (r *route, name string) {
	for i := range routes {
		rest, below := strings.CutPrefix(path, routes[i].path)
		switch {
		case below && rest == "":
			return &routes[i], ""
		case below && strings.HasSuffix(routes[i].path, "/"):
			return &routes[i], rest
		}
	}
	return nil, ""
}

// notFound lists the paths that there are.
func notFound() error {
	paths := make([]string, len(routes))
	for i, r := range routes {
		paths[i] = r.method + " " + r.path
	}
	return &refusal{status: fasthttp.StatusNotFound, text: "no such path; there are " + strings.Join(paths, ", ")}
}

// serve answers a request.
func (a *API) serve(r *fasthttp.RequestCtx) {
	answer, err := a.handle(r)
	status := fasthttp.StatusOK
	if err != nil {
		var refused *refusal
		if !errors.As(err, &refused) {
			a.log.Error("API request failed", "path", string(r.Path()), "err", err)
			refused = &refusal{status: fasthttp.StatusServiceUnavailable, text: "failed; the log has the reason"}
		}
		if refused.after > 0 {
			r.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(int(refused.after/time.Second)+1))
		}
		said := map[string]string{"error": refused.text}
		if refused.code != "" {
			said["code"] = refused.code
		}
		status, answer = refused.status, said
	}
	text, err := json.Marshal(answer)
	if err != nil {
		a.log.Error("bug: API response cannot be encoded", "path", string(r.Path()), "err", err)
		status = fasthttp.StatusInternalServerError
	}
	if status == fasthttp.StatusUnauthorized {
		r.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
	}
	r.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	r.SetContentType("application/json")
	r.SetStatusCode(status)
	r.SetBody(append(text, '\n'))
}

func (a *API) handle(r *fasthttp.RequestCtx) (any, error) {
	now := a.current.Load()
	if err := a.admit(r, now); err != nil {
		return nil, err
	}
	route, name := find(string(r.Path()))
	if route == nil {
		return nil, notFound()
	}
	if method := string(r.Method()); method != route.method && (method != "HEAD" || route.method != "GET") {
		return nil, &refusal{status: fasthttp.StatusMethodNotAllowed, text: "use " + route.method}
	}
	asked := &request{query: r.QueryArgs(), name: name}
	if route.method == "POST" {
		kind, _, err := mime.ParseMediaType(string(r.Request.Header.ContentType()))
		switch {
		case r.Request.Header.ContentLength() < 0:
			return nil, &refusal{status: fasthttp.StatusLengthRequired, text: "send a Content-Length and no Transfer-Encoding"}
		case err != nil || kind != "application/json":
			return nil, &refusal{status: fasthttp.StatusUnsupportedMediaType, text: "the body must be application/json"}
		}
		asked.body = r.PostBody()
	}
	ctx, cancel := context.WithTimeout(context.Background(), store.Wait)
	defer cancel()
	return route.do(a, ctx, now, asked)
}

// admit reports why a request is not served. A request without a token is no
// attempt to guess one: any page in an administrator's browser can send it. The
// right token is accepted also from an address that has sent wrong ones.
func (a *API) admit(r *fasthttp.RequestCtx, now *settings) error {
	site := string(r.Request.Header.Peek("Sec-Fetch-Site")) // browsers send it, and pages cannot change it
	switch {
	case !now.on:
		return &refusal{status: fasthttp.StatusNotFound, text: "the HTTP API is off: set [http] token"}
	case a.local && !isLocal(string(r.Host())):
		return &refusal{status: fasthttp.StatusForbidden, text: "the Host is not this machine"}
	case len(r.Request.Header.Peek(fasthttp.HeaderOrigin)) > 0 || site != "" && site != "none":
		return &refusal{status: fasthttp.StatusForbidden, text: "browsers are not served here"}
	}
	scheme, token, _ := strings.Cut(string(r.Request.Header.Peek(fasthttp.HeaderAuthorization)), " ")
	if token = strings.TrimSpace(token); token == "" {
		return &refusal{status: fasthttp.StatusUnauthorized, text: "the token is missing: send Authorization: Bearer and the [http] token"}
	}
	sum := sha256.Sum256([]byte(token))
	if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], now.token[:]) == 1 {
		return nil
	}
	if wait := a.throttle.wait(r.RemoteAddr()); wait > 0 {
		return &refusal{status: fasthttp.StatusTooManyRequests, text: "too many wrong tokens from this address", after: wait}
	}
	a.throttle.fail(r.RemoteAddr())
	return &refusal{status: fasthttp.StatusUnauthorized, text: "the token is wrong: send Authorization: Bearer and the [http] token"}
}

// isLocal reports whether a Host names this machine. A page in the
// administrator's browser could resolve any other name to this address.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// forget removes the cached answers for a number.
func (a *API) forget(ctx context.Context, now *settings, r *request) (any, error) {
	var asked struct {
		Number string `json:"number"`
	}
	if err := decode(r.body, &asked); err != nil {
		return nil, err
	}
	number := now.explainer.numbers.Normalize(asked.Number).String()
	if number == "" {
		return nil, &refusal{status: fasthttp.StatusBadRequest, text: "number is missing or is not a caller's number"}
	}
	n, err := a.cache.Forget(ctx, number)
	return map[string]int{"forgotten": n}, err
}

// lookup asks the sources as ringhook lookup does.
func (a *API) lookup(ctx context.Context, now *settings, r *request) (any, error) {
	var asked LookupRequest
	if err := decode(r.body, &asked); err != nil {
		return nil, err
	}
	report, err := now.explainer.Explain(ctx, asked)
	if errors.As(err, new(RequestError)) {
		return nil, &refusal{status: fasthttp.StatusBadRequest, text: err.Error()}
	}
	return report, err
}

// decode reads a body, which must hold known keys only.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("there is more after it")
	}
	return &refusal{status: fasthttp.StatusBadRequest, text: fmt.Sprintf("the body is not what is expected: %v", err)}
}
