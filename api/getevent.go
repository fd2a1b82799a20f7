package api

import (
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"

	"ringhook/pops/getevent"
)

// SetGetEvent replaces the service for programs that poll, for requests that begin from now on.
func (a *API) SetGetEvent(s *getevent.Service) { a.polls.Store(s) }

// poll answers a program that polls. It returns false if the path is not that of getevent.
func (a *API) poll(r *fasthttp.RequestCtx) bool {
	s := a.polls.Load()
	if s == nil || s.Path() == "" || string(r.Path()) != s.Path() {
		return false
	}
	if err := a.foreign(r); err != nil {
		r.Error(err.Error()+"\n", fasthttp.StatusForbidden)
		return true
	}
	if !r.IsGet() && !r.IsHead() && !r.IsPost() {
		r.Error("use GET or POST\n", fasthttp.StatusMethodNotAllowed)
		return true
	}
	scheme, bearer, _ := strings.Cut(string(r.Request.Header.Peek(fasthttp.HeaderAuthorization)), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		bearer = ""
	}
	answer := s.Answer(&getevent.Request{
		Query: string(r.URI().QueryString()), Body: string(r.PostBody()), Accept: string(r.Request.Header.Peek(fasthttp.HeaderAccept)),
		Bearer: strings.TrimSpace(bearer), XToken: string(r.Request.Header.Peek("X-Token")), From: addressOf(r.RemoteAddr()),
	})
	if answer.Guess && a.refusesGuess(r, "tokens") {
		return true
	}
	r.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	r.SetContentType(answer.Type)
	r.SetStatusCode(answer.Status)
	r.SetBody(answer.Body)
	return true
}

// addressOf returns the address of a peer, the zero address if it has none.
func addressOf(peer net.Addr) netip.Addr {
	if tcp, ok := peer.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr()
	}
	return netip.Addr{}
}
