package httpclient

import (
	"encoding/json"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// nesting is an escaping of a value inside a text that is itself escaped: a query string in JSON, JSON in a form.
type nesting int

const (
	notNested   nesting = iota
	nestedURL           // :escaped
	nestedJSON          // :json
	nestedHTML          // :html
	nestedPlain         // :alphanumeric
)

// nestings are the endings of placeholders that name a nested escaping.
var nestings = map[string]nesting{"escaped": nestedURL, "json": nestedJSON, "html": nestedHTML, "alphanumeric": nestedPlain}

// cutNesting cuts the nested escaping off a placeholder's text.
func cutNesting(text string) (key string, nested nesting) {
	at := strings.LastIndexByte(text, ':')
	if at < 0 {
		return text, notNested
	}
	if nested = nestings[text[at+1:]]; nested == notNested {
		return text, notNested
	}
	return text[:at], nested
}

// escape escapes a value for the inner text.
func (n nesting) escape(value string) string {
	switch n {
	case nestedURL:
		return string(appendURL(nil, value))
	case nestedJSON:
		return string(appendJSON(nil, value))
	case nestedHTML:
		return string(AppendXML(nil, value))
	case nestedPlain:
		return strings.Map(alphanumeric, value)
	}
	return value
}

// alphanumeric drops all but ASCII letters and digits.
func alphanumeric(r rune) rune {
	if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
		return r
	}
	return -1
}

// appendEscaped appends a value, escaped for its place.
func appendEscaped(dst []byte, value string, place Place, quoted bool) []byte {
	switch place {
	case PlaceURL:
		return appendURL(dst, value)
	case PlaceHeader:
		return appendHeader(dst, value)
	case PlaceForm:
		return append(dst, url.QueryEscape(value)...)
	case PlaceJSON:
		if quoted {
			return appendJSON(dst, value)
		}
		return appendScalar(dst, value)
	case PlaceXML:
		return AppendXML(dst, value)
	default:
		return append(dst, value...)
	}
}

const hexDigits = "0123456789ABCDEF"

// appendURL leaves the unreserved characters of RFC 3986, section 2.3, as they
// are, so that a value stays inside the component where it stands.
func appendURL(dst []byte, value string) []byte {
	for i := range len(value) {
		c := value[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		case c < ' ', c == 0x7f:
		default:
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

// maskDots writes underscores for the dots of every "." and ".." between the
// slashes of a path that begins at start. Encoded dots and slashes count as
// well, since servers decode them before they resolve the path.
func maskDots(dst []byte, start int) []byte {
	out, segment, dots, others := start, start, 0, 0
	end := func() {
		if others == 0 && dots <= 2 {
			out = segment + copy(dst[segment:], "__"[:dots])
		}
	}
	for i := start; i < len(dst); {
		c, size := pathByte(dst[i:])
		separator := c == '/' || c == '\\'
		switch {
		case separator:
			end()
		case c == '.':
			dots++
		default:
			others++
		}
		out += copy(dst[out:], dst[i:i+size])
		i += size
		if separator {
			segment, dots, others = out, 0, 0
		}
	}
	end()
	return dst[:out]
}

// pathByte decodes the first byte of a path, and returns its length there.
func pathByte(s []byte) (c byte, size int) {
	if len(s) >= 3 && s[0] == '%' {
		switch string(s[1:3]) {
		case "2E", "2e":
			return '.', 3
		case "2F", "2f":
			return '/', 3
		case "5C", "5c":
			return '\\', 3
		}
	}
	return s[0], 1
}

func appendHeader(dst []byte, value string) []byte {
	for _, r := range value {
		if !unicode.IsControl(r) {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// appendJSON escapes what stands between the quotes of a JSON string.
func appendJSON(dst []byte, value string) []byte {
	plain := 0 // bytes that stand for themselves, nearly always all of them
	for plain < len(value) && ' ' <= value[plain] && value[plain] < 0x7f && value[plain] != '"' && value[plain] != '\\' {
		plain++
	}
	dst = append(dst, value[:plain]...)
	for _, r := range value[plain:] {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < ' ' || r == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		case r == '\u2028':
			dst = append(dst, `\u2028`...)
		case r == '\u2029':
			dst = append(dst, `\u2029`...)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// AppendJSON appends a text as a JSON string, with its quotes. Bytes that are not UTF-8
// become U+FFFD.
func AppendJSON(dst []byte, text string) []byte {
	return append(appendJSON(append(dst, '"'), text), '"')
}

// appendScalar makes a JSON value of its own, whatever the text is.
func appendScalar(dst []byte, value string) []byte {
	switch {
	case value == "":
		return append(dst, "null"...)
	case value == "true" || value == "false" || isNumber(value):
		return append(dst, value...)
	}
	return AppendJSON(dst, value)
}

func isNumber(s string) bool {
	return (s[0] == '-' || '0' <= s[0] && s[0] <= '9') && !strings.ContainsAny(s, " \t\r\n") && json.Valid([]byte(s))
}

// AppendXML appends a text as XML, for an element's content or an attribute between quotes. Characters that XML cannot
// carry are dropped.
func AppendXML(dst []byte, value string) []byte {
	for _, r := range value {
		switch r {
		case '&':
			dst = append(dst, "&amp;"...)
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '"':
			dst = append(dst, "&#34;"...)
		case '\'':
			dst = append(dst, "&#39;"...)
		// As they are, an attribute would turn these three into blanks.
		case '\t':
			dst = append(dst, "&#9;"...)
		case '\n':
			dst = append(dst, "&#10;"...)
		case '\r':
			dst = append(dst, "&#13;"...)
		default:
			if isXMLRune(r) {
				dst = utf8.AppendRune(dst, r)
			}
		}
	}
	return dst
}

// isXMLRune follows the production Char of XML 1.0, section 2.2, less its
// discouraged control characters.
func isXMLRune(r rune) bool {
	return r >= ' ' && r < 0x7f || r >= 0xa0 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= 0x10ffff
}
