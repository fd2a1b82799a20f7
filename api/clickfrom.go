package api

import (
	"context"

	"github.com/valyala/fasthttp"

	"ringhook/clickfrom"
	"ringhook/store"
)

// SetClicks sets the service that receives click-to-call from other products, before requests are served.
func (a *API) SetClicks(s *clickfrom.Service) { a.clicks = s }

// serveClick answers a click-to-call of another product. It returns false if the path is not one of it. Its requests
// need no token of the API, but the secret of their table. The right one is accepted however many wrong ones its address
// has sent.
func (a *API) serveClick(r *fasthttp.RequestCtx) bool {
	if a.clicks == nil || !a.clicks.Serves(string(r.Path())) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), store.Wait)
	defer cancel()
	answer := a.clicks.Answer(ctx, &clickfrom.Request{
		Method: string(r.Method()), Path: string(r.Path()), Query: string(r.URI().QueryString()), ContentType: string(r.Request.Header.ContentType()),
		Body: r.PostBody(), From: addressOf(r.RemoteAddr()), Header: func(name string) string { return string(r.Request.Header.Peek(name)) },
	})
	if answer.Guess && a.refusesGuess(r, "secrets") {
		return true
	}
	r.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	r.SetContentType("application/json")
	r.SetStatusCode(answer.Status)
	r.SetBody(answer.Body)
	return true
}
