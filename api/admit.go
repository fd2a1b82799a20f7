package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"ringhook/control"
	"ringhook/dialplan"
)

// admit returns who sends a request, or why it is not served. A request without a token is no attempt to guess one:
// any page in an administrator's browser can send it. A right token is accepted also from an address that has sent
// wrong ones.
func (a *API) admit(r *fasthttp.RequestCtx, now *settings) (control.Actor, error) {
	if local, ok := r.LocalAddr().(*net.UnixAddr); ok && local.Net == "unix" {
		// Only the user of the service and root can open the socket.
		return control.Administrator("the command line"), nil
	}
	scheme, token, _ := strings.Cut(string(r.Request.Header.Peek(fasthttp.HeaderAuthorization)), " ")
	token = strings.TrimSpace(token)
	ours := strings.HasPrefix(token, tokenPrefix)
	if !now.on && !ours {
		return control.Actor{}, &refusal{status: fasthttp.StatusNotFound, text: "the HTTP API is off: set [http] token, or create a token with ringhook token create"}
	}
	if err := a.foreign(r); err != nil {
		return control.Actor{}, err
	}
	if token == "" {
		return control.Actor{}, &refusal{status: fasthttp.StatusUnauthorized, code: string(control.SignedOut), text: "the token is missing: send Authorization: Bearer and a token"}
	}
	sum := sha256.Sum256([]byte(token))
	if strings.EqualFold(scheme, "Bearer") {
		if now.on && subtle.ConstantTimeCompare(sum[:], now.token[:]) == 1 {
			return control.Administrator("the [http] token"), nil
		}
		if ours {
			who, known, err := a.Actor(token)
			if known || err != nil {
				return who, err
			}
		}
	}
	if wait := a.throttle.guess(r.RemoteAddr()); wait > 0 {
		return control.Actor{}, &refusal{status: fasthttp.StatusTooManyRequests, code: string(control.Busy), text: "too many wrong tokens from this address", after: wait}
	}
	return control.Actor{}, &refusal{status: fasthttp.StatusUnauthorized, code: string(control.SignedOut), text: "the token is wrong: send Authorization: Bearer and a token"}
}

// tokenPrefix is the beginning of the tokens that ringhook token create prints.
const tokenPrefix = "rh_"

// Actor returns what a token of the store allows; known is false if there is none.
func (a *API) Actor(token string) (who control.Actor, known bool, err error) {
	if a.desk == nil {
		return who, false, nil
	}
	t, known, err := a.desk.Token(token)
	if err != nil || !known {
		return who, false, err
	}
	a.used.note(t.Name, time.Now(), func(name string, at time.Time) {
		if err := a.desk.TokenUsed(name, at); err != nil {
			a.limited.Warn("token", "cannot note the use of a token", "token", name, "err", err)
		}
	})
	name := "token " + t.Name
	if t.Agent == "" {
		role := dialplan.RoleSupervisor
		if t.Rights == dialplan.RoleAdministrator {
			role = dialplan.RoleAdministrator
		}
		return control.Actor{Name: name, Role: role, Queues: t.Queues}, true, nil
	}
	who, err = a.control.AgentActor(t.Agent, name)
	if err != nil {
		err = &control.Error{Code: control.SignedOut, Text: "the agent of this token is no longer in the configuration"}
	}
	return who, true, err
}

// usedTokens limits how often the use of a token is stored.
type usedTokens struct {
	mu   sync.Mutex
	last map[string]time.Time // by name
}

// usedEvery is the shortest time between two notes of one token.
const usedEvery = 5 * time.Minute

func (u *usedTokens) note(name string, now time.Time, store func(name string, at time.Time)) {
	u.mu.Lock()
	since := now.Sub(u.last[name])
	due := since >= usedEvery || since < 0
	if due {
		if u.last == nil {
			u.last = map[string]time.Time{}
		}
		u.last[name] = now
	}
	u.mu.Unlock()
	if due {
		store(name, now)
	}
}

// foreign reports why a request comes from a page in a browser, nil if it does not.
func (a *API) foreign(r *fasthttp.RequestCtx) error {
	site := string(r.Request.Header.Peek("Sec-Fetch-Site")) // browsers send it, and pages cannot change it
	switch {
	case a.local && !isLocal(string(r.Host())):
		return &refusal{status: fasthttp.StatusForbidden, text: "the Host is not this machine"}
	case len(r.Request.Header.Peek(fasthttp.HeaderOrigin)) > 0 || site != "" && site != "none":
		return &refusal{status: fasthttp.StatusForbidden, text: "browsers are not served here"}
	}
	return nil
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
