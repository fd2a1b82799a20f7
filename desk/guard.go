package desk

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

const (
	// maxBody is the maximum size of a request's body in bytes, and maxList that of a list of numbers to call.
	maxBody = 64 << 10
	maxList = 1 << 20
	// requestTime is the time in which a request that is no stream is read and answered.
	requestTime = 30 * time.Second
)

// policy returns the content security policy of the pages. Only the origins of the rules' pages can be framed.
func policy(frames []string) string {
	from := "'none'"
	if len(frames) > 0 {
		from = strings.Join(frames, " ")
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
		"manifest-src 'self'; frame-src " + from + "; frame-ancestors 'none'; form-action 'self'; base-uri 'none'; require-trusted-types-for 'script'"
}

// guard checks the host of each request, sets the headers of all pages, and ends a panic with its own request.
func (d *Desk) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cur := d.current.Load()
		defer func() {
			if v := recover(); v != nil {
				if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(v)
				}
				d.panicked(r.URL.Path, v)
				http.Error(w, "internal error; the log has the reason", http.StatusInternalServerError)
			}
		}()
		header := w.Header()
		header.Set("Content-Security-Policy", cur.csp)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		header.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
		header.Set("Cache-Control", "no-store")
		if !cur.isOurs(r) {
			http.Error(w, "the Host of the request is not that of [desk] url", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyLimit(r))
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(requestTime))
		_ = control.SetWriteDeadline(time.Now().Add(requestTime))
		next.ServeHTTP(w, r)
	})
}

// panicked logs a panic of a request.
func (d *Desk) panicked(path string, v any) {
	d.limited.Error("panic", "desk request panicked", "path", path, "err", fmt.Sprint(v), "stack", string(debug.Stack()))
}

// catch, deferred, ends a panic of a stream with the stream.
func (d *Desk) catch(path string) {
	if v := recover(); v != nil {
		d.panicked(path, v)
	}
}

// isOurs reports whether a request is for the desk: for the host of its URL, or on this machine for its loopback. A page in
// an agent's browser could resolve any other name to this address.
func (c *current) isOurs(r *http.Request) bool {
	if strings.EqualFold(r.Host, c.url.Host) {
		return true
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && isLoopback(strings.Trim(host, "[]")) && isLoopback(peer)
}
