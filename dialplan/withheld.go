package dialplan

import (
	"net/url"
	"strings"
)

// minRevealing is the number of digits from which on a number identifies a caller.
const minRevealing = 6

// restricted reports whether the channel asks to withhold the number of the caller.
func (r *request) restricted() bool {
	return WithheldBits(r.env.CallingPres) || Withheld(r.args["connected_pres"])
}

// reveals reports whether an argument holds the number or the name of a caller who withholds them: by its name, or because
// its value is that of the channel, as in phone=${CALLERID(num)}.
func (r *request) reveals(name, value string) bool {
	switch {
	case name == "callerid_kind", name == "callerid_withheld", name == "connected_pres", name == "agent_phone":
		return false
	case strings.HasPrefix(name, "callerid"), name == "connected":
		return true
	case !r.restricted():
		return false // the caller of this channel may be an agent
	}
	if shown := clean(r.env.CallerName); shown != "" && strings.Contains(value, shown) {
		return true
	}
	return sameDigits(value, r.env.CallerNum) || sameDigits(value, r.args["connected"])
}

// sameDigits reports whether a text contains a number, with or without its country.
func sameDigits(text, number string) bool {
	text, number = strings.TrimLeft(strings.Map(digit, text), "0"), strings.TrimLeft(strings.Map(digit, number), "0")
	return len(number) >= minRevealing && (strings.Contains(text, number) || len(text) >= minRevealing && strings.HasSuffix(number, text))
}

func digit(c rune) rune {
	if c < '0' || c > '9' {
		return -1
	}
	return c
}

// withheldText stands for what a trace does not show of such a caller.
const withheldText = "withheld"

// shownArgument returns an argument of the dialplan as a trace of a point with a withheld number shows it.
func (r *request) shownArgument(arg string) string {
	name, value, ok := strings.Cut(arg, "=")
	if ok && r.reveals(strings.TrimSpace(name), value) {
		return name + "=" + withheldText
	}
	return arg
}

// shownQuery is shownArgument for the arguments in the URL.
func (r *request) shownQuery(query string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		plain, err := url.QueryUnescape(part)
		if err != nil {
			plain = part
		}
		if r.shownArgument(plain) != plain {
			name, _, _ := strings.Cut(part, "=")
			parts[i] = name + "=" + withheldText
		}
	}
	return strings.Join(parts, "&")
}
