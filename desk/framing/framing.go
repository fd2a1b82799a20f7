// Package framing finds out whether a page may be shown in a frame of the desk. No browser reports it: a page that
// refuses frames stays blank and fires load like one that does not. Its headers say it.
package framing

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"ringhook/httpclient"
)

// Result is what a page's headers say about frames.
type Result struct {
	// Known is false if the page did not answer, or redirects to another host.
	Known   bool
	Allowed bool   // in a frame of the desk
	Why     string // for people: the header that refuses, or why it is not known
	Status  int    // of the answer, 0 for none
	// Foreign is true if page and desk are not of one site: then browsers may block the page's cookies in a frame.
	Foreign bool
	// Cookie is true if the page sets a cookie that browsers do not send in a frame of another site.
	Cookie bool
}

// maxBody is the maximum size of the page's body in bytes, of which nothing is used.
const maxBody = 4 << 20

// Ask requests a page once and reads its headers. The request ends at the deadline.
func Ask(page, desk string, deadline time.Time) Result { return ask("GET", page, desk, deadline) }

// Head is Ask without the page's body.
func Head(page, desk string, deadline time.Time) Result { return ask("HEAD", page, desk, deadline) }

func ask(method, page, desk string, deadline time.Time) Result {
	p, err := url.Parse(page)
	d, err2 := url.Parse(desk)
	if err != nil || err2 != nil || p.Scheme != "http" && p.Scheme != "https" || p.Host == "" {
		return Result{Why: "this is no URL of a page"}
	}
	r := Result{Foreign: !sameSite(p, d)}
	client, err := httpclient.NewClient(httpclient.ClientConfig{MaxBody: maxBody})
	if err != nil {
		r.Why = err.Error()
		return r
	}
	defer client.Close()
	resp, err := client.Do(&httpclient.Request{Method: method, URL: page, KeepHeader: true, Header: [][2]string{{"Accept", "text/html"}, {"Sec-Fetch-Dest", "iframe"}}}, deadline)
	if err != nil {
		r.Why = err.Error()
		return r
	}
	r.Status = resp.Status
	for _, h := range resp.Header {
		if strings.EqualFold(h[0], "Set-Cookie") && !strings.Contains(strings.ToLower(h[1]), "samesite=none") {
			r.Cookie = true
		}
	}
	if resp.Status >= 300 && resp.Status < 400 && resp.Location != "" {
		r.Why = "the page redirects: whether its target may be framed is not known"
		return r
	}
	r.Known = true
	r.Allowed, r.Why = Allows(resp.Header, p, d)
	if p.Scheme == "http" && d.Scheme == "https" {
		r.Allowed, r.Why = false, "an https page shows no http page in a frame"
	}
	return r
}

// Allows reports whether headers of a page let a desk frame it, and which one does not.
func Allows(header [][2]string, page, desk *url.URL) (allowed bool, why string) {
	policies := false
	for _, h := range header {
		if !strings.EqualFold(h[0], "Content-Security-Policy") {
			continue
		}
		for _, policy := range strings.Split(h[1], ",") {
			sources, found := ancestors(policy)
			if !found {
				continue
			}
			policies = true
			if !matchAny(sources, page, desk) {
				return false, "Content-Security-Policy: frame-ancestors " + strings.Join(sources, " ")
			}
		}
	}
	if policies {
		return true, "" // browsers ignore X-Frame-Options then
	}
	for _, h := range header {
		if !strings.EqualFold(h[0], "X-Frame-Options") {
			continue
		}
		for _, value := range strings.Split(h[1], ",") {
			switch value = strings.ToLower(strings.TrimSpace(value)); {
			case value == "deny", value == "sameorigin" && !sameOrigin(page, desk):
				return false, "X-Frame-Options: " + value
			}
		}
	}
	return true, ""
}

// ancestors returns the sources of frame-ancestors, of which the first directive counts.
func ancestors(policy string) (sources []string, found bool) {
	for _, directive := range strings.Split(policy, ";") {
		words := strings.Fields(directive)
		if len(words) > 0 && strings.EqualFold(words[0], "frame-ancestors") {
			return words[1:], true
		}
	}
	return nil, false
}

func matchAny(sources []string, page, desk *url.URL) bool {
	for _, s := range sources {
		if matches(strings.ToLower(s), page, desk) {
			return true
		}
	}
	return false
}

// matches reports whether a source of frame-ancestors is the desk's origin.
func matches(source string, page, desk *url.URL) bool {
	scheme, rest, hasScheme := strings.Cut(source, "://")
	switch {
	case source == "'none'":
		return false
	case source == "'self'":
		return sameOrigin(page, desk)
	case source == "*":
		return true
	case strings.HasSuffix(source, ":") && !hasScheme:
		return source == desk.Scheme+":" || source == "http:" && desk.Scheme == "https"
	case hasScheme:
		if scheme != desk.Scheme && !(scheme == "http" && desk.Scheme == "https") {
			return false
		}
	default:
		rest = source
		if desk.Scheme != page.Scheme && desk.Scheme != "https" {
			return false
		}
	}
	rest, _, _ = strings.Cut(rest, "/")
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		host, port = rest, ""
	}
	name := strings.ToLower(desk.Hostname())
	if suffix, wild := strings.CutPrefix(host, "*."); wild {
		if !strings.HasSuffix(name, "."+suffix) {
			return false
		}
	} else if host != name {
		return false
	}
	return port == "*" || port == portOf(desk) || port == "" && portOf(desk) == portOf(&url.URL{Scheme: desk.Scheme})
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

// sameSite reports whether two pages are of one site: their scheme and the domain that a company registers are the same.
func sameSite(a, b *url.URL) bool {
	if a.Scheme != b.Scheme {
		return false
	}
	x, y := strings.ToLower(a.Hostname()), strings.ToLower(b.Hostname())
	if x == y {
		return true
	}
	first, err := publicsuffix.EffectiveTLDPlusOne(x)
	second, err2 := publicsuffix.EffectiveTLDPlusOne(y)
	return err == nil && err2 == nil && first == second
}

// String returns the result for people.
func (r Result) String() string {
	switch {
	case !r.Known:
		return "not known: " + r.Why
	case !r.Allowed:
		return fmt.Sprintf(`no: %s; use open = "window"`, r.Why)
	case r.Foreign:
		return "yes, but the page is of another site than the desk: browsers may block its cookies there, so its users look signed out"
	}
	return "yes"
}
