package hooks

import (
	"net/url"
	"strings"
)

// queryFormat writes name=value pairs into the URL's query.
var queryFormat = format{name: "query", query: true, write: writeForm}

// formFormat writes the same pairs as a form.
var formFormat = format{name: "form", contentType: "application/x-www-form-urlencoded", write: writeForm}

func writeForm(v view) []byte { return formEncode(v.fields()) }

func formEncode(fields []field) []byte {
	b := make([]byte, 0, 512)
	for i, f := range fields {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, url.QueryEscape(f.name)...)
		b = append(b, '=')
		b = append(b, url.QueryEscape(textOf(f.value))...)
	}
	return b
}

// withQuery adds parameters to a URL that may already have some.
func withQuery(u, query string) string {
	switch {
	case query == "":
		return u
	case !strings.Contains(u, "?"):
		return u + "?" + query
	case strings.HasSuffix(u, "?") || strings.HasSuffix(u, "&"):
		return u + query
	}
	return u + "&" + query
}
