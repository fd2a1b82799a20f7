package desk

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ringhook/control"
	"ringhook/dialplan"
)

// admit lets requests with a token pass without the checks against other sites: no browser sends one by itself. Their
// cookies do not count. All others are protected.
func (d *Desk) admit(protected, direct http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") && d.crossOrigin(w, r) {
			return
		}
		if bearer(r) == "" {
			protected.ServeHTTP(w, r)
			return
		}
		r.Header.Del("Cookie")
		direct.ServeHTTP(w, r)
	})
}

// crossOrigin answers the question of a browser whether a page of another origin may use the API, and allows pages of the
// configured origins to read the answers. It reports whether it has answered.
func (d *Desk) crossOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	trusted := origin != "" && slices.ContainsFunc(d.current.Load().Config.Origins, func(o string) bool { return strings.EqualFold(strings.TrimSuffix(o, "/"), origin) })
	header := w.Header()
	if trusted {
		header.Add("Vary", "Origin")
		header.Set("Access-Control-Allow-Origin", origin) // without credentials: a cookie does not count there
	}
	if r.Method != http.MethodOptions {
		return false
	}
	if trusted {
		header.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
		header.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// bearer returns the token of a request, empty if it has none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// errGuesses is returned for a wrong token from an address that has sent too many. A right one is accepted all the same.
var errGuesses = errors.New("too many wrong tokens from this address")

// byToken returns for whom a token acts, nil if there is no such token, or not the agent for whom it was made.
func (d *Desk) byToken(r *http.Request, token string) (*visitor, error) {
	who, known, err := d.api.Actor(token)
	var gone *control.Error
	switch {
	case errors.As(err, &gone):
		return nil, nil
	case err != nil:
		return nil, err
	case !known && d.guesses("token "+d.addressOf(r)):
		return nil, errGuesses
	case !known:
		return nil, nil
	}
	a, known := d.agent(who.Agent)
	if !known && who.Agent != "" {
		return nil, nil
	}
	return &visitor{agent: a, name: who.Name, token: token, actor: &who}, nil
}

// byProxy returns the agent whom a trusted proxy names, nil if it names none.
func (c *current) byProxy(r *http.Request) *visitor {
	if c.Config.ProxyUserHeader == "" || !c.trusts(peerOf(r)) {
		return nil
	}
	id := r.Header.Get(c.Config.ProxyUserHeader)
	a, known := c.agents[id]
	if !known {
		return nil
	}
	return &visitor{agent: a, name: "agent " + a.ID, proxied: true}
}

// trusts reports whether an address is that of a configured proxy.
func (c *current) trusts(addr netip.Addr) bool {
	return addr.IsValid() && slices.ContainsFunc(c.proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// peerOf returns the address from which a request came, the zero address if it is not known.
func peerOf(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(host)
	return addr.Unmap().WithZone("")
}

// clientOf returns the address of the browser: behind trusted proxies the last one that is none of them.
func (c *current) clientOf(r *http.Request) netip.Addr {
	addr := peerOf(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && c.trusts(addr); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = next.Unmap().WithZone("")
	}
	return addr
}

// addressOf returns what failures of a client are counted under: its address, or the /64 network of an IPv6 address. It is
// empty for a proxy of this machine, behind which all agents have one address.
func (d *Desk) addressOf(r *http.Request) string {
	addr := d.current.Load().clientOf(r)
	switch {
	case !addr.IsValid() || addr.IsLoopback():
		return ""
	case addr.Is6():
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

// enterJSON signs an agent in by a request in JSON: a page asks for the password without being left.
func (d *Desk) enterJSON(w http.ResponseWriter, r *http.Request) {
	var in signInRequest
	if !decode(w, r, &in) {
		return
	}
	outcome := d.signIn(r.Context(), in.Login, in.Password, d.addressOf(r))
	if outcome == signedIn {
		if err := d.begin(w, r, in.Login); err != nil {
			d.limited.Error("sign-in", "cannot store a session", "err", err)
			outcome = failure(err)
		}
	}
	d.metrics.signIns.WithLabelValues(outcome).Inc()
	switch outcome {
	case signedIn:
		d.replySignedIn(w, in.Login)
	case throttled:
		fail(w, http.StatusTooManyRequests, "busy", "too many attempts: wait a minute")
	case wrong:
		fail(w, http.StatusUnauthorized, "signed-out", "the agent or the password is wrong")
	default:
		unavailable(w, outcome)
	}
}

// replySignedIn answers that an agent has signed in.
func (d *Desk) replySignedIn(w http.ResponseWriter, agent string) {
	a, _ := d.agent(agent)
	reply(w, http.StatusCreated, signInAnswer{a.ID, cmp.Or(a.Role, dialplan.RoleAgent), time.Now().Add(d.current.Load().Config.Session)})
}

// acceptJSON sets the password of an invited agent, and signs the agent in.
func (d *Desk) acceptJSON(w http.ResponseWriter, r *http.Request) {
	var in invitationRequest
	if !decode(w, r, &in) {
		return
	}
	switch agent, outcome := d.acceptInvitation(w, r, in.Code, in.Password); outcome {
	case accepted:
		d.replySignedIn(w, agent)
	case throttled:
		fail(w, http.StatusTooManyRequests, string(control.Busy), "too many attempts: wait a minute")
	case badPassword:
		fail(w, http.StatusBadRequest, string(control.BadRequest), fmt.Sprintf("a password has %d characters or more, and %d bytes at most", minPassword, maxPassword))
	case notInvited:
		fail(w, http.StatusNotFound, string(control.Unknown), "the invitation is not valid")
	default:
		unavailable(w, outcome)
	}
}

// exitJSON ends the session of a request.
func (d *Desk) exitJSON(w http.ResponseWriter, r *http.Request) {
	d.endOwn(w, r)
	w.WriteHeader(http.StatusNoContent)
}
