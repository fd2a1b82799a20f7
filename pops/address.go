package pops

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"ringhook/hooks"
)

// maxURL is the maximum length of a URL in bytes. Longer ones do not pass every browser and program.
const maxURL = 2000

// address is the page of a rule: a URL with placeholders.
type address struct {
	text  *hooks.Text
	fixed string // everything before the first placeholder's possible place: scheme and host
	own   bool   // a scheme of a program on the agent's machine
	ours  bool   // the desk's own page of what a URL carries
}

// refusedSchemes run code or read files, or are no program's own.
var refusedSchemes = []string{"javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source", "http", "https", "ws", "wss"}

// ShowVars is the page of the desk that shows what a URL carries. A rule names it as its url, with a query or without.
const ShowVars = "show_vars"

var schemePattern = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9+.-]*):`)

// parseAddress checks the fixed part of a URL: scheme and host are written out. Own is true for a URL
// that a program on the agent's machine opens.
func parseAddress(source string, t *hooks.Text, own bool) (*address, error) {
	if rest, ok := strings.CutPrefix(source, ShowVars); ok && !own && (rest == "" || rest[0] == '?') {
		return &address{text: t, fixed: ShowVars, ours: true}, nil
	}
	m := schemePattern.FindStringSubmatch(source)
	if m == nil {
		return nil, errors.New("URL does not begin with its scheme, such as https://crm.example")
	}
	scheme := strings.ToLower(m[1])
	a := &address{text: t, fixed: m[0], own: own}
	switch {
	case own && slices.Contains(refusedSchemes, scheme):
		return nil, fmt.Errorf("scheme %q is not one that a program of its own opens", scheme)
	case own:
		return a, nil
	case scheme != "http" && scheme != "https":
		return nil, errors.New("URL does not begin with http:// or https://")
	}
	rest, ok := strings.CutPrefix(source[len(m[0]):], "//")
	if !ok {
		return nil, errors.New("URL does not begin with http:// or https://")
	}
	host := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host = rest[:i]
	}
	a.fixed += "//" + host
	if strings.Contains(host, "%") {
		return nil, errors.New("the host of a URL has no placeholder: it may stand in the path, the query or the fragment")
	}
	u, err := url.Parse(a.fixed)
	switch {
	case err != nil || u.Hostname() == "" || strings.ContainsAny(host, `\ `):
		return nil, errors.New("the host of the URL cannot be read")
	case u.User != nil:
		return nil, errors.New("the URL has a user or a password, which browsers do not send")
	}
	if _, err := a.check(t.Fill(&hooks.Event{}, func(string) string { return "x" })); err != nil {
		return nil, err
	}
	return a, nil
}

var (
	errLong = errors.New("URL is longer than 2000 bytes")
	errDots = errors.New(`URL has "." or ".." as a part of its path`)
	errBad  = errors.New("URL cannot be read")
)

// fill returns the URL of an event, or why it may not be opened.
func (a *address) fill(ev *hooks.Event) (string, error) { return a.check(a.text.Fill(ev, escape)) }

// check makes sure that values changed neither scheme, host nor the depth of the path.
func (a *address) check(filled string) (string, error) {
	switch {
	case len(filled) > maxURL:
		return "", errLong
	case !strings.HasPrefix(filled, a.fixed), strings.ContainsFunc(filled, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "", errBad
	case a.own:
		return filled, nil
	case a.ours:
		return "/desk/" + filled, nil
	}
	u, err := url.Parse(filled)
	if err != nil {
		return "", errBad
	}
	fixed, err := url.Parse(a.fixed)
	if err != nil || u.Scheme != fixed.Scheme || u.Host != fixed.Host || u.User != nil {
		return "", errBad
	}
	for _, part := range strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == "." || part == ".." {
			return "", errDots
		}
	}
	return filled, nil
}

// escape leaves the unreserved characters of RFC 3986, section 2.3. All others are percent-encoded, and
// control characters are dropped.
func escape(value string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(value))
	for i := range len(value) {
		switch c := value[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b = append(b, c)
		case c < ' ' || c == 0x7f:
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}
