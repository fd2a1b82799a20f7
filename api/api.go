// Package api serves the HTTP port: metrics, health checks and the JSON API.
package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"ringhook/api/yemot"
	"ringhook/clickfrom"
	"ringhook/control"
	"ringhook/hooks"
	"ringhook/loglimit"
	"ringhook/lookup/number"
	"ringhook/pops"
	"ringhook/pops/getevent"
	"ringhook/recordings"
	"ringhook/store/browse"
	"ringhook/store/desk"
)

// apiPrefix is the prefix of all paths of the API.
const apiPrefix = "/v1/"

// Records has the tokens of programs and the commands that were given.
type Records interface {
	yemot.DIDs
	// Token returns what a token allows; found is false if there is no such token.
	Token(token string) (t desk.Token, found bool, err error)
	TokenUsed(name string, when time.Time) error
	Commands(f desk.CommandFilter) ([]desk.Command, error)
}

// Answers has the cached answers of lookups.
type Answers interface {
	// Forget removes what is kept for a number, and returns how much that was.
	Forget(ctx context.Context, number string) (int, error)
}

// API is the JSON API. It serves programs that know a token, and no browsers.
type API struct {
	log      *slog.Logger
	limited  *loglimit.Limiter // for log lines that every request can cause
	desk     Records
	used     usedTokens
	cache    Answers
	stored   browse.Store
	reading  chan struct{} // bounds the requests that read the trace
	control  *control.Control
	dialect  *yemot.Yemot
	local    bool // listens on the loopback interface only
	throttle *throttle
	swap     sync.RWMutex // held to replace current
	current  *settings
	polls    atomic.Pointer[getevent.Service]
	clicks   *clickfrom.Service // nil before SetClicks
	pops     atomic.Pointer[pops.Live]
}

// settings are replaced by a reload.
type settings struct {
	requests  sync.WaitGroup    // that began with them
	token     [sha256.Size]byte // the digest of that of the configuration
	on        bool              // the configuration has one
	yemot     yemot.Config
	explainer *Explainer
	hooks     *hooks.Dispatcher
	links     *recordings.Shown // hides the secrets of links to recordings
}

// New returns an API that reads from a store, with its cache and its tokens, and the live state. At is the address that
// its server listens on.
func New(log *slog.Logger, tokens Records, answers Answers, stored browse.Store, live *control.Control, at net.Addr) *API {
	tcp, ok := at.(*net.TCPAddr)
	return &API{log: log, limited: loglimit.New(log, time.Minute), desk: tokens, cache: answers, stored: stored, reading: make(chan struct{}, maxReading), control: live, dialect: yemot.New(live, tokens), local: ok && tcp.IP.IsLoopback(), throttle: newThrottle(time.Now)}
}

// Exchange replaces the settings for requests that begin from now on. It returns a
// function that waits for the earlier requests, which keep the old settings.
func (a *API) Exchange(token string, y yemot.Config, e *Explainer, d *hooks.Dispatcher, links *recordings.Shown) (wait func()) {
	next := &settings{token: sha256.Sum256([]byte(token)), on: token != "", yemot: y, explainer: e, hooks: d, links: links}
	a.swap.Lock()
	defer a.swap.Unlock()
	old := a.current
	a.current = next
	if old == nil {
		return func() {}
	}
	return old.requests.Wait
}

// Hooks returns the hooks in force.
func (a *API) Hooks() *hooks.Dispatcher {
	now := a.enter()
	defer now.requests.Done()
	return now.hooks
}

// enter returns the settings for a request, which calls requests.Done at its end.
func (a *API) enter() *settings {
	a.swap.RLock()
	defer a.swap.RUnlock()
	a.current.requests.Add(1)
	return a.current
}

// refusal is an error response.
type refusal struct {
	status int
	code   string // for programs; empty for none
	text   string
	after  time.Duration // Retry-After; 0 for none
	allow  string        // Allow; empty for none
}

// refusalOf returns an error that the client is to see, nil for one that only the log is to have.
func refusalOf(err error) *refusal {
	var refused *refusal
	var failed *control.Error
	if errors.As(err, &failed) {
		return &refusal{status: failed.Code.Status(), code: string(failed.Code), text: failed.Text}
	}
	if errors.As(err, &refused) {
		return refused
	}
	return nil
}

// Error returns the text that the client gets.
func (r *refusal) Error() string { return r.text }

// CodeDatabase is the code of a request that failed because the engine of the store cannot be used.
const CodeDatabase = "database"

// codes are those of refusals that name none.
var codes = map[int]string{
	fasthttp.StatusBadRequest: string(control.BadRequest), fasthttp.StatusUnauthorized: string(control.SignedOut),
	fasthttp.StatusForbidden: string(control.Forbidden), fasthttp.StatusNotFound: string(control.Unknown),
	fasthttp.StatusTooManyRequests: string(control.Busy),
}

// outcome returns the status and the body of an answer, and the refusal that it is; nil for none.
func (a *API) outcome(path string, answer any, err error) (status int, body any, refused *refusal) {
	if err == nil {
		if own, ok := answer.(interface{ Status() int }); ok {
			return own.Status(), answer, nil
		}
		return fasthttp.StatusOK, answer, nil
	}
	refused = refusalOf(err)
	if refused == nil && errors.Is(err, browse.ErrAway) { // the store has logged it
		refused = &refusal{status: fasthttp.StatusServiceUnavailable, code: CodeDatabase, text: browse.ErrAway.Error() + "; the log has the reason"}
	}
	if refused == nil {
		a.limited.Error("failed", "API request failed", "path", path, "err", err)
		refused = &refusal{status: fasthttp.StatusServiceUnavailable, text: "failed; the log has the reason"}
	}
	return refused.status, failure{refused.text, cmp.Or(refused.code, codes[refused.status])}, refused
}

// serve answers a request.
func (a *API) serve(r *fasthttp.RequestCtx) {
	answer, err := a.handle(r)
	status, answer, refused := a.outcome(string(r.Path()), answer, err)
	if refused != nil && refused.after > 0 {
		retryAfter(r, refused.after)
	}
	if refused != nil && refused.allow != "" {
		r.Response.Header.Set(fasthttp.HeaderAllow, refused.allow)
	}
	text, err := json.Marshal(answer)
	if err != nil {
		a.limited.Error("encode", "bug: API response cannot be encoded", "path", string(r.Path()), "err", err)
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

// forgetRequest names a number.
type forgetRequest struct {
	Number string `json:"number"`
}

// forget removes the cached answers for a number.
func (a *API) forget(ctx context.Context, now *settings, r *request) (any, error) {
	var asked forgetRequest
	if err := decode(r.body, &asked); err != nil {
		return nil, err
	}
	noNumber := &refusal{status: fasthttp.StatusBadRequest, text: "number is missing or is not a caller's number"}
	caller := now.explainer.numbers.Normalize(asked.Number).String()
	if caller == "" {
		return nil, noNumber
	}
	n, err := a.cache.Forget(ctx, caller)
	if err == nil && n == 0 && number.CountDigits(caller) == 0 {
		return nil, noNumber
	}
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
