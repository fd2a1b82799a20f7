// Package clickfrom receives click-to-call from other products: a webhook that names an agent and a number becomes a
// call of the agent's phone and then of the number.
//
// It guarantees that a request without the secret changes nothing and learns nothing, that a repeated request makes no
// second call, and that only agents of the configuration call, only numbers that the table allows.
package clickfrom

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/control"
	"ringhook/dialplan"
	"ringhook/loglimit"
	"ringhook/lookup/number"
)

// Dialler makes calls.
type Dialler interface {
	AgentActor(id, name string) (control.Actor, error)
	Dial(ctx context.Context, who control.Actor, in control.DialRequest) (control.DialResult, error)
}

// Service answers requests. Exchange replaces its settings. Its methods may be called concurrently.
type Service struct {
	dialler Dialler
	find    func(product, id string) (agent string, ok bool)
	limited *loglimit.Limiter
	clicks  *prometheus.CounterVec
	now     func() time.Time

	mu     sync.Mutex
	tables map[string]*table
	agents []dialplan.Agent
	calls  map[string][]time.Time // of the last minute, by agent
	seen   map[string]click       // by table and Once
}

// table is a Config that is ready to use.
type table struct {
	Config
	secret [sha256.Size]byte
	allow  []netip.Prefix
}

// click is a request that was served.
type click struct {
	linkedID string
	until    time.Time
}

// The outcomes of the metric.
const (
	outcomeCalled  = "called"
	outcomeRepeat  = "repeat"
	outcomeRefused = "refused" // wrong secret or address
	outcomeBad     = "bad"     // the request cannot be used
	outcomeFailed  = "failed"  // no call came about
)

// New returns a Service without tables. find returns the agent of an id in a product. Close ends it.
func New(d Dialler, find func(product, id string) (agent string, ok bool), log *slog.Logger, reg prometheus.Registerer) *Service {
	s := &Service{
		dialler: d, find: find, limited: loglimit.New(log, time.Minute), now: time.Now, tables: map[string]*table{}, calls: map[string][]time.Time{}, seen: map[string]click{},
		clicks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_click_from_total", Help: "Requests for a click-to-call, by outcome: called, repeat, refused, bad or failed.",
		}, []string{"click_from", "outcome"}),
	}
	reg.MustRegister(s.clicks)
	return s
}

// Close logs what was counted and not logged yet.
func (s *Service) Close() error {
	s.limited.Close()
	return nil
}

// Exchange puts the tables of a configuration in force, for requests that begin after it.
func (s *Service) Exchange(cfgs []Config, agents []dialplan.Agent) {
	tables := map[string]*table{}
	for _, cfg := range cfgs {
		t := &table{Config: cfg, secret: sha256.Sum256([]byte(cfg.Secret))}
		for _, text := range cfg.Allow {
			if p, err := parsePrefix(text); err == nil {
				t.allow = append(t.allow, p)
			}
		}
		tables[cfg.Name] = t
		for _, outcome := range []string{outcomeCalled, outcomeRepeat, outcomeRefused, outcomeBad, outcomeFailed} {
			s.clicks.WithLabelValues(cfg.Name, outcome)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.tables {
		if tables[name] == nil {
			s.clicks.DeletePartialMatch(prometheus.Labels{"click_from": name})
		}
	}
	s.tables, s.agents = tables, agents
}

// Request is one request of another product.
type Request struct {
	Method, Path, Query, ContentType string
	Body                             []byte
	Header                           func(name string) string
	From                             netip.Addr
}

// Response is the answer to a request.
type Response struct {
	Status int
	Body   []byte // JSON
	// Guess reports that the request had a wrong secret, or came from an address that may not send any.
	Guess bool
}

// Serves reports whether a path is one of the service.
func (s *Service) Serves(path string) bool {
	name, ours := strings.CutPrefix(path, Prefix)
	if !ours {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tables[name] != nil
}

// refusal is an answer that makes no call.
type refusal struct {
	status  int
	text    string
	outcome string
	missing bool // there was no secret
}

// Error returns the text for the sender.
func (r *refusal) Error() string { return r.text }

// Answer serves a request.
func (s *Service) Answer(ctx context.Context, r *Request) Response {
	s.mu.Lock()
	t, agents := s.tables[strings.TrimPrefix(r.Path, Prefix)], s.agents
	s.mu.Unlock()
	if t == nil {
		return answer(http.StatusNotFound, map[string]string{"error": "no such path"})
	}
	linkedID, outcome, err := s.click(ctx, t, agents, r)
	s.clicks.WithLabelValues(t.Name, outcome).Inc()
	var refused *refusal
	var failed *control.Error
	switch {
	case err == nil:
		return answer(http.StatusOK, map[string]string{"status": outcome, "linkedid": linkedID})
	case errors.As(err, &refused):
		out := answer(refused.status, map[string]string{"error": refused.text})
		out.Guess = outcome == outcomeRefused && !refused.missing
		return out
	case errors.As(err, &failed):
		return answer(failed.Code.Status(), map[string]string{"error": failed.Text, "code": string(failed.Code)})
	}
	s.limited.Error("failed "+t.Name, "click-to-call failed", "click_from", t.Name, "err", err)
	return answer(http.StatusServiceUnavailable, map[string]string{"error": "failed; the log has the reason"})
}

func answer(status int, body map[string]string) Response {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"bug: the answer cannot be encoded"}`)
	}
	return Response{Status: status, Body: append(text, '\n')}
}

// click serves a request of a table.
func (s *Service) click(ctx context.Context, t *table, agents []dialplan.Agent, r *Request) (linkedID, outcome string, err error) {
	f, err := s.admit(t, r)
	if err != nil {
		var refused *refusal
		errors.As(err, &refused)
		return "", refused.outcome, err
	}
	agent, err := s.agent(t, agents, f.at(t.Agent, r.Header))
	if err != nil {
		return "", outcomeBad, err
	}
	number := f.at(t.Number, r.Header)
	if !t.allows(number) {
		return "", outcomeBad, &refusal{status: http.StatusForbidden, text: "this number may not be called", outcome: outcomeBad}
	}
	key := ""
	if once := f.at(t.Once, r.Header); t.Once != "" && once != "" {
		sum := sha256.Sum256([]byte(once))
		key = t.Name + " " + hex.EncodeToString(sum[:16])
	}
	before, ok := s.reserve(key, agent, t)
	switch {
	case !ok:
		return "", outcomeBad, &refusal{status: http.StatusTooManyRequests, text: "too many calls of this agent", outcome: outcomeBad}
	case before != nil:
		return before.linkedID, outcomeRepeat, nil
	}
	who, err := s.dialler.AgentActor(agent, "click_from "+t.Name)
	if err != nil {
		s.release(key)
		return "", outcomeFailed, err
	}
	in := control.DialRequest{Agent: agent, Server: t.Server, Number: number, CallerID: t.CallerID, Params: map[string]string{}}
	for name, place := range t.Params {
		if value := f.at(place, r.Header); value != "" && len(value) <= maxParam {
			in.Params[name] = value
		}
	}
	result, err := s.dialler.Dial(ctx, who, in)
	var failed *control.Error
	if errors.As(err, &failed) && failed.Code == control.Repeat {
		return "", outcomeRepeat, nil // the same agent and number a moment ago, by another request
	}
	if err != nil {
		if !ami.MayHaveRun(err) {
			s.release(key)
		}
		return "", outcomeFailed, err
	}
	s.finish(key, result.LinkedID)
	return result.LinkedID, outcomeCalled, nil
}

// maxParam is the maximum length of a value that travels with a call, in bytes.
const maxParam = 256

// admit checks address, method and secret, and returns the fields of a request.
func (s *Service) admit(t *table, r *Request) (*fields, error) {
	denied := &refusal{status: http.StatusForbidden, text: "the secret is missing or wrong", outcome: outcomeRefused}
	if len(t.allow) > 0 && !slices.ContainsFunc(t.allow, func(p netip.Prefix) bool { return p.Contains(r.From.Unmap()) }) {
		return nil, denied
	}
	if r.Method != t.Method {
		return nil, &refusal{status: http.StatusMethodNotAllowed, text: "use " + t.Method, outcome: outcomeBad}
	}
	f, err := readFields(r.Query, r.ContentType, r.Body)
	if err != nil {
		return nil, &refusal{status: http.StatusBadRequest, text: err.Error(), outcome: outcomeBad}
	}
	given := f.at(t.SecretAt, r.Header)
	if scheme, token, found := strings.Cut(given, " "); found && strings.EqualFold(t.SecretAt, "header Authorization") && strings.EqualFold(scheme, "Bearer") {
		given = token
	}
	if given == "" { // any page can have a browser send that
		return nil, &refusal{status: denied.status, text: denied.text, outcome: denied.outcome, missing: true}
	}
	sum := sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(sum[:], t.secret[:]) != 1 {
		return nil, denied
	}
	return f, nil
}

// agent returns the id of the agent of a request.
func (s *Service) agent(t *table, agents []dialplan.Agent, value string) (string, error) {
	unknown := &refusal{status: http.StatusNotFound, text: "no agent of the configuration has this id", outcome: outcomeBad}
	if value == "" {
		return "", &refusal{status: http.StatusBadRequest, text: "the request names no agent", outcome: outcomeBad}
	}
	if product := t.Product(); product != "" {
		if id, ok := s.find(product, value); ok {
			return id, nil
		}
		return "", unknown
	}
	found := ""
	if t.AgentBy == byPhone {
		value = dialplan.Phone(value, func(phone string) bool {
			return slices.ContainsFunc(agents, func(a dialplan.Agent) bool { return a.Phone == phone })
		})
	}
	for i := range agents {
		a := &agents[i]
		if has := map[string]string{byID: a.ID, byPhone: a.Phone, byInfo: a.Info}[t.AgentBy]; has != value || a.ID == "" {
			continue
		}
		if found != "" {
			return "", unknown // two agents have it
		}
		found = a.ID
	}
	if found == "" {
		return "", unknown
	}
	return found, nil
}

// allows reports whether a table allows a number, or a name that a [[dial]] table may know. [click] and [[dial]] check and
// rewrite it afterwards.
func (t *table) allows(text string) bool {
	plain, _, ok := number.Dialable(text)
	if !ok {
		plain = strings.Map(func(c rune) rune {
			if strings.ContainsRune(" -./()\u00a0", c) {
				return -1
			}
			return c
		}, text)
	}
	if plain == "" || len(plain) > 40 {
		return false
	}
	return slices.ContainsFunc(t.To, func(pattern string) bool { ok, err := path.Match(pattern, plain); return ok && err == nil })
}

// maxSeen is the maximum number of requests that are remembered.
const maxSeen = 10000

// reserve counts a call of an agent, and remembers the request. It returns the earlier request of the same key; ok is
// false if the agent has made too many calls.
func (s *Service) reserve(key, agent string, t *table) (before *click, ok bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, found := s.seen[key]; key != "" && found && now.Before(was.until) {
		return &was, true
	}
	recent := slices.DeleteFunc(s.calls[agent], func(at time.Time) bool { return now.Sub(at) >= time.Minute })
	if len(recent) >= t.Rate {
		s.calls[agent] = recent
		return nil, false
	}
	if key != "" && len(s.seen) >= maxSeen {
		for k, c := range s.seen {
			if !now.Before(c.until) {
				delete(s.seen, k)
			}
		}
		if len(s.seen) >= maxSeen {
			return nil, false
		}
	}
	s.calls[agent] = append(recent, now)
	if key != "" {
		s.seen[key] = click{until: now.Add(t.OnceFor)}
	}
	return nil, true
}

// release forgets a request whose call surely did not come about, so that it can be repeated.
func (s *Service) release(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, key)
}

// finish notes the call of a request.
func (s *Service) finish(key, linkedID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.seen[key]; ok {
		c.linkedID = linkedID
		s.seen[key] = c
	}
}
