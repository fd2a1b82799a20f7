package desk

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"ringhook/api/yemot"
	"ringhook/store"
)

// serveYemot answers a request of the Yemot dialect, which comes from outside as the desk's do. It returns false if the path
// is not one of it.
func (d *Desk) serveYemot(w http.ResponseWriter, r *http.Request) bool {
	cfg := &d.current.Load().Yemot
	command, ours := strings.CutPrefix(r.URL.Path, cfg.Path)
	if cfg.Token == "" || cfg.Path == "" || !ours {
		return false
	}
	if fromPage(r) {
		reply(w, http.StatusOK, yemot.Failure("browsers are not served here"))
		return true
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		reply(w, http.StatusOK, yemot.Failure("the body is too large, or cannot be read"))
		return true
	}
	ctx, cancel := context.WithTimeout(r.Context(), store.Wait)
	defer cancel()
	answer, err := d.dialect.Serve(ctx, cfg, &yemot.Request{
		Method: r.Method, Command: command, Query: r.URL.RawQuery, ContentType: r.Header.Get("Content-Type"), Authorization: r.Header.Get("Authorization"), Body: body,
		Guess: func() bool { return d.guesses("yemot " + d.addressOf(r)) },
	})
	if err != nil {
		d.limited.Error("yemot", "request of the Yemot dialect failed", "path", r.URL.Path, "err", err)
	}
	reply(w, http.StatusOK, answer)
	return true
}

// fromPage reports whether a request comes from a page in a browser.
func fromPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return r.Header.Get("Origin") != "" || site != "" && site != "none"
}

// guesses counts a wrong token by its key, and reports whether there were too many.
func (d *Desk) guesses(key string) (refused bool) {
	now := time.Now()
	if d.throttle.refuses(key, now) {
		return true
	}
	d.throttle.fail(key, now)
	return false
}
