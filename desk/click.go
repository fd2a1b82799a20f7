package desk

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"

	"ringhook/clickfrom"
)

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
