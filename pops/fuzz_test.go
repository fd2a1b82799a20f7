package pops

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"ringhook/hooks"
)

// FuzzURL checks that no value of a caller or a source changes scheme, host or depth of a URL, and that no
// accepted URL of a rule has a forbidden scheme.
func FuzzURL(f *testing.F) {
	for _, source := range []string{
		"https://crm.example/card/%customer_id%?p=%callerid%#/x/%callerid%", "https://crm.example/%customer_id%/%callerid%", "ctidivalto:%callerid%",
		"javascript:%callerid%", "https://crm.example%callerid%/", "HTTPS://CRM.example", "https://[::1]:8443/%callerid%", "https://crm.example/a/%2e%2E/%customer_id%",
	} {
		for _, value := range []string{"../../x", "..", ".", "@evil.example", "\\evil.example", "%2e%2e", "a\r\nb", "\u202e", "javascript:alert(1)", "//evil.example", "#", "?", "\x00", "\xff"} {
			f.Add(source, value, value)
		}
	}
	f.Fuzz(func(t *testing.T, source, number, id string) {
		ev := &hooks.Event{Params: map[string]any{"callerid": number, "customer_id": id}}
		for _, own := range []bool{false, true} {
			text, err := hooks.ParseText(source, nil)
			if err != nil {
				return
			}
			a, err := parseAddress(source, text, own)
			if err != nil {
				continue
			}
			filled, err := a.fill(ev)
			if err != nil {
				continue
			}
			scheme, _, _ := strings.Cut(strings.ToLower(filled), ":")
			written, _, _ := strings.Cut(strings.ToLower(source), ":")
			if scheme != written || len(filled) > maxURL || strings.ContainsAny(filled, "\r\n\x00 ") {
				t.Fatalf("%q with %q, %q: %q", source, number, id, filled)
			}
			if own {
				for _, refused := range refusedSchemes {
					if scheme == refused {
						t.Fatalf("scheme of %q", filled)
					}
				}
				continue
			}
			u, err := url.Parse(filled)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := url.Parse(a.fixed)
			if err != nil {
				t.Fatal(err)
			}
			if u.Host != plain.Host || u.User != nil {
				t.Fatalf("%q with %q, %q: host of %q", source, number, id, filled)
			}
			// Without dots of its own the path does not change when it is resolved.
			if u.Path != "" && strings.Count(u.EscapedPath(), "/") != strings.Count(u.ResolveReference(&url.URL{Path: u.Path, RawPath: u.RawPath}).EscapedPath(), "/") {
				t.Fatalf("%q with %q, %q: path of %q", source, number, id, filled)
			}
		}
	})
}

// FuzzTitle checks that a title is one short line of valid text without characters that turn it around.
func FuzzTitle(f *testing.F) {
	for _, s := range []string{"Zoë", "a\u202eb", "\u2067x", "<img>", "\r\n", strings.Repeat("א", 300), "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s, maxTitle)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxTitle || strings.ContainsFunc(got, isDirection) || strings.ContainsAny(got, "\r\n\t\x00") {
			t.Fatalf("%q: %q", s, got)
		}
	})
}
