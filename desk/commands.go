package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"

	"ringhook/api"
	"ringhook/clickfrom"
	"ringhook/control"
)

// command answers requests about the PBX, and commands for it, by the handlers of the API. It shows the agent's pages at once
// what a command changed.
func (d *Desk) command(w http.ResponseWriter, r *http.Request, me *visitor) {
	who := me.actor
	if who == nil {
		own, err := d.control.AgentActor(me.agent.ID, me.name)
		if err != nil { // a reload took the agent
			fail(w, http.StatusUnauthorized, string(control.SignedOut), err.Error())
			return
		}
		who = &own
	}
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		fail(w, http.StatusRequestEntityTooLarge, string(control.BadRequest), fmt.Sprintf("the body is larger than %d bytes", large.Limit))
		return
	case err != nil:
		fail(w, http.StatusBadRequest, string(control.BadRequest), "the body cannot be read")
		return
	}
	viewer, _ := d.board.Viewer(*who)
	answer := d.api.Do(&api.Request{
		Who: *who, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, ContentType: r.Header.Get("Content-Type"), Body: body,
		May: func(agent, linkedid, transfer string) error {
			return d.board.MayChange(&viewer, agent, linkedid, transfer)
		},
		Show: viewer.Hide, Own: d.described,
	})
	if answer.Agent != "" {
		d.refresh(answer.Agent)
	}
	if answer.Allow != "" {
		w.Header().Set("Allow", answer.Allow)
	}
	reply(w, answer.Status, answer.Body)
}

// bodyLimit returns the maximum size of the body of a request: a list of numbers to call is longer than all others.
func bodyLimit(r *http.Request) int64 {
	if r.URL.Path == "/v1/campaigns" {
		return maxList
	}
	return maxBody
}

// click answers a click-to-call of another product, which has a secret of its own and no session. The right one is accepted
// however many wrong ones its address has sent.
func (d *Desk) click(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the body cannot be read, or is too large", http.StatusBadRequest)
		return
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	from, _ := netip.ParseAddr(host)                                                    // the zero address is in no prefix
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), requestTime) // a call that has begun is watched
	defer cancel()
	answer := d.clicks.Answer(ctx, &clickfrom.Request{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, ContentType: r.Header.Get("Content-Type"), Body: body, From: from, Header: r.Header.Get,
	})
	if answer.Guess && d.guesses("click "+d.addressOf(r)) {
		http.Error(w, "too many wrong secrets from this address", http.StatusTooManyRequests)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body)
}
