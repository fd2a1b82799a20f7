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

// apiPrefix is where the paths of the HTTP API begin.
const apiPrefix = "/v1/"

// API is the HTTP API: for programs that know the token of the configuration,
// and for no browser.
type API struct {
	log      *slog.Logger
	cache    *cache.Cache
	outbox   *store.Outbox
	control  *control.Control
	local    bool // listens on the loopback interface only
	throttle *throttle
	current  atomic.Pointer[apiSettings]
}

// apiSettings are what a reload exchanges.
type apiSettings struct {
	token     [sha256.Size]byte // its digest
	on        bool
	explainer *Explainer
	hooks     *hooks.Dispatcher
}

// New makes an API that answers from a store and the live state. At is the address that its server listens on.
func New(log *slog.Logger, st *store.Store, live *control.Control, at net.Addr) *API {
	tcp, ok := at.(*net.TCPAddr)
	return &API{log: log, cache: st.Cache(), outbox: st.Outbox(), control: live, local: ok && tcp.IP.IsLoopback(), throttle: newThrottle(time.Now)}
}

// Exchange puts other settings in force.
func (a *API) Exchange(token string, e *Explainer, d *hooks.Dispatcher) {
	a.current.Store(&apiSettings{token: sha256.Sum256([]byte(token)), on: token != "", explainer: e, hooks: d})
}

// refusal is an answer that is not what was asked for.
type refusal struct {
	status int
	code   string // for programs; none for older refusals
	text   string
	after  time.Duration // Retry-After, none when zero
}

// Error is what the caller is told.
func (r *refusal) Error() string { return r.text }

// routes are what the API does; each takes a body in JSON and gives what is
// answered in JSON.
var routes = map[string]func(*API, context.Context, *apiSettings, []byte) (any, error){
	"/v1/lookup":        (*API).lookup,
	"/v1/cache/forget":  (*API).forget,
	"/v1/outbox/retry":  (*API).retry,
	"/v1/outbox/drop":   (*API).drop,
	"/v1/outbox/replay": (*API).replay,
	"/v1/hooks/enable":  (*API).enableHook,
}

// serve answers a request.
func (a *API) serve(r *fasthttp.RequestCtx) {
	answer, err := a.handle(r)
	status := fasthttp.StatusOK
	if err != nil {
		var refused *refusal
		if !errors.As(err, &refused) {
			a.log.Error("request of the HTTP API failed", "path", string(r.Path()), "err", err)
			refused = &refusal{status: fasthttp.StatusServiceUnavailable, text: "not done, the log says why"}
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
		a.log.Error("bug: answer of the HTTP API is no JSON", "err", err)
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
	path := string(r.Path())
	do := routes[path]
	if under(path, queuesPath) || under(path, callsPath) {
		if !r.IsGet() && !r.IsHead() {
			return nil, &refusal{status: fasthttp.StatusMethodNotAllowed, text: "only GET is understood here"}
		}
		return a.live(path, r.QueryArgs())
	}
	switch outbox := under(path, outboxPath); {
	case outbox && do == nil && (r.IsGet() || r.IsHead()):
		return a.browse(now, path, r.QueryArgs())
	case path == hooksPath && (r.IsGet() || r.IsHead()):
		return a.listHooks(now)
	case outbox && do == nil:
		return nil, &refusal{status: fasthttp.StatusNotFound, text: "POST goes to /v1/outbox/retry, /v1/outbox/drop and /v1/outbox/replay"}
	case do == nil:
		return nil, &refusal{status: fasthttp.StatusNotFound, text: "here are /v1/lookup, /v1/cache/forget, /v1/outbox, /v1/hooks, /v1/hooks/enable, /v1/queues and /v1/calls"}
	}
	kind, _, err := mime.ParseMediaType(string(r.Request.Header.ContentType()))
	switch {
	case !r.IsPost():
		return nil, &refusal{status: fasthttp.StatusMethodNotAllowed, text: "only POST is understood here"}
	case r.Request.Header.ContentLength() < 0:
		return nil, &refusal{status: fasthttp.StatusLengthRequired, text: "a Content-Length is needed, and no Transfer-Encoding"}
	case err != nil || kind != "application/json":
		return nil, &refusal{status: fasthttp.StatusUnsupportedMediaType, text: "the body has to be application/json"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), store.Wait)
	defer cancel()
	return do(a, ctx, now, r.PostBody())
}

// under reports whether a path is a folder or in it.
func under(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// admit tells whether a request comes from a program that knows the token.
func (a *API) admit(r *fasthttp.RequestCtx, now *apiSettings) error {
	switch {
	case !now.on:
		return &refusal{status: fasthttp.StatusNotFound, text: "the HTTP API is off: set [http] token"}
	case a.local && !isLocal(string(r.Host())):
		return &refusal{status: fasthttp.StatusForbidden, text: "the Host is not this machine"}
	case len(r.Request.Header.Peek(fasthttp.HeaderOrigin)) > 0:
		return &refusal{status: fasthttp.StatusForbidden, text: "browsers are not served here"}
	}
	if wait := a.throttle.wait(r.RemoteAddr()); wait > 0 {
		return &refusal{status: fasthttp.StatusTooManyRequests, text: "too many wrong tokens from this address", after: wait}
	}
	scheme, token, _ := strings.Cut(string(r.Request.Header.Peek(fasthttp.HeaderAuthorization)), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(sum[:], now.token[:]) != 1 {
		a.throttle.fail(r.RemoteAddr())
		return &refusal{status: fasthttp.StatusUnauthorized, text: "the token is missing or wrong: send Authorization: Bearer and the [http] token"}
	}
	return nil
}

// isLocal tells whether a Host is this machine's own. A page in the
// administrator's browser could have any other name resolved to here.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// forget removes what the cache has of a number, so that the next call asks.
func (a *API) forget(ctx context.Context, now *apiSettings, body []byte) (any, error) {
	var asked struct {
		Number string `json:"number"`
	}
	if err := decode(body, &asked); err != nil {
		return nil, err
	}
	number := now.explainer.numbers.Normalize(asked.Number).String()
	if number == "" {
		return nil, &refusal{status: fasthttp.StatusBadRequest, text: "number is missing, or names nobody"}
	}
	n, err := a.cache.Forget(ctx, number)
	return map[string]int{"forgotten": n}, err
}

// lookup asks the sources as ringhook lookup does.
func (a *API) lookup(ctx context.Context, now *apiSettings, body []byte) (any, error) {
	var asked LookupRequest
	if err := decode(body, &asked); err != nil {
		return nil, err
	}
	report, err := now.explainer.Explain(ctx, asked)
	if errors.As(err, new(RequestError)) {
		return nil, &refusal{status: fasthttp.StatusBadRequest, text: err.Error()}
	}
	return report, err
}

// decode reads a body, which may hold what is known here and nothing else.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("there is more behind it")
	}
	return &refusal{status: fasthttp.StatusBadRequest, text: fmt.Sprintf("the body is not what is expected: %v", err)}
}
