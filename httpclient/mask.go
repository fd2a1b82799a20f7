package httpclient

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Masked stands in every text for a secret.
const Masked = "***"

// shortest is the length from which on a secret is looked for in texts, in bytes: a shorter one is part of many words.
const shortest = 4

// secretWords are parts of the names of keys, headers and parameters that hold secrets. It is the one list for hooks,
// lookups and the configuration.
var secretWords = []string{"pass", "pwd", "secret", "token", "bearer", "key", "auth", "sig", "cookie", "credential", "sessionid", "session_id", "sessid", "hash"}

// SecretWords returns the words that make a name one of a secret.
func SecretWords() []string { return slices.Clone(secretWords) }

// SecretName reports whether a key, header or parameter of this name holds a secret.
func SecretName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(name, word) })
}

// LooksRandom reports whether a text looks like a key, by its length and its mixture of letters and digits.
func LooksRandom(s string) bool {
	return len(s) >= 12 && !strings.Contains(s, "%") && strings.ContainsAny(s, "0123456789") && strings.ContainsFunc(s, unicode.IsLetter)
}

// Mask hides secrets in texts: as they are, in every escaping of this package and of common servers, and in base64, also
// in the middle of a longer base64 text. The nil Mask hides nothing.
type Mask struct{ replacer *strings.Replacer }

// NewMask makes a mask of secrets. Those shorter than 4 bytes are left out, and so are the words Basic and Bearer.
func NewMask(secrets ...string) *Mask {
	seen := make(map[string]bool)
	for _, s := range secrets {
		if len(s) < shortest || strings.EqualFold(s, "bearer") || strings.EqualFold(s, "basic") {
			continue
		}
		for _, form := range formsOf(s) {
			if len(form) >= shortest {
				seen[form] = true
			}
		}
	}
	if len(seen) == 0 {
		return nil
	}
	forms := make([]string, 0, len(seen))
	for form := range seen {
		forms = append(forms, form)
	}
	// The replacer takes the first that fits: a secret that begins like a longer one must come after it.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) })
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		pairs = append(pairs, form, Masked)
	}
	return &Mask{strings.NewReplacer(pairs...)}
}

// Replace returns the text with every secret in it replaced by asterisks.
func (m *Mask) Replace(text string) string {
	if m == nil || text == "" {
		return text
	}
	return m.replacer.Replace(text)
}

// formsOf returns how a secret may be written.
func formsOf(s string) []string {
	xml := string(AppendXML(nil, s))
	wide := strings.ReplaceAll(string(appendJSON(nil, s)), "/", `\/`)
	quoted, _ := json.Marshal(s) // a string cannot fail
	forms := []string{
		s, url.QueryEscape(s), url.PathEscape(s), string(appendURL(nil, s)), lowerHex(url.QueryEscape(s)), lowerHex(url.PathEscape(s)),
		string(appendHeader(nil, s)), strings.TrimSpace(s),
		string(appendJSON(nil, s)), strings.Trim(string(quoted), `"`), wide, asciiJSON(wide), asciiJSON(string(appendJSON(nil, s))),
		xml, html.EscapeString(s), strings.NewReplacer("&#34;", "&quot;", "&#39;", "&apos;").Replace(xml),
		strings.NewReplacer("&#34;", "&quot;", "&#39;", "&#039;").Replace(xml), strings.NewReplacer("&#34;", "&quot;", "&#39;", "&#x27;").Replace(xml),
	}
	for _, kept := range keptInURLs {
		escaped := appendKeeping(nil, s, kept)
		forms = append(forms, string(escaped), lowerHex(string(escaped)), strings.ReplaceAll(string(escaped), "%20", "+"))
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		forms = append(forms, encoding.EncodeToString([]byte(s)))
		if len(s) < 2*shortest {
			continue
		}
		// In a longer text a secret begins at one of three places of a base64 group. What stands only for it can be found.
		for before := range 3 {
			text := encoding.EncodeToString(append(make([]byte, before), s...))
			forms = append(forms, text[(before*8+5)/6:(before+len(s))*8/6])
		}
	}
	return forms
}

// keptInURLs are the characters that servers leave as they are beside letters and digits when they escape for a URL:
// JavaScript's encodeURIComponent and encodeURI, Python's quote, Java's URLEncoder and PHP's urlencode.
var keptInURLs = []string{"-_.!~*'()", "-_.!~*'();/?:@&=+$,#", "-_.~/", "-_.*", "-_."}

// appendKeeping escapes for a URL everything but letters, digits and the characters of kept.
func appendKeeping(dst []byte, s, kept string) []byte {
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(kept, c) >= 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

// lowerHex writes the hex digits of percent-encoding small, as some servers do.
func lowerHex(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], strings.ToLower(string(b[i+1:i+3])))
		}
	}
	return string(b)
}

// asciiJSON escapes everything outside ASCII in a JSON string, as Python's json.dumps does and, with its slashes escaped,
// PHP's json_encode.
func asciiJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// secrets returns what is secret in credentials: what came from the environment, passwords, and what is made of them.
func (c *Credentials) secrets() []string {
	return append(slices.Clone(c.Environment), c.Password, c.OAuth2.ClientSecret, strings.TrimPrefix(c.Basic(), "Basic "))
}

// MaskOf makes the mask of a table: its credentials, the headers, settings and parameters of which the name speaks of a
// secret, what is secret in its URLs, and other secrets.
func MaskOf(c *Credentials, urls []string, headers map[string]string, named []map[string]string, others ...string) *Mask {
	secrets := append(c.secrets(), others...)
	for name, value := range headers {
		if SecretName(name) {
			secrets = append(append(secrets, value), strings.Fields(value)...)
		}
	}
	for _, set := range named {
		for name, value := range set {
			if SecretName(name) && !strings.Contains(value, "%") {
				secrets = append(secrets, value)
			}
		}
	}
	for _, address := range urls {
		secrets = append(secrets, urlSecrets(address)...)
	}
	return NewMask(secrets...)
}

// urlSecrets returns what is secret in a URL as it is configured: what stands before the host, parameters of which the
// name speaks of a secret, and parts that look like keys.
func urlSecrets(text string) []string {
	var secrets []string
	add := func(s string) {
		secrets = append(secrets, s)
		if plain := unescaped(s); plain != s {
			secrets = append(secrets, plain)
		}
	}
	head, query, _ := strings.Cut(text, "?")
	if _, rest, ok := strings.Cut(head, "://"); ok {
		authority, path, _ := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			user, password, _ := strings.Cut(authority[:at], ":")
			add(password)
			if password == "" {
				add(user) // a token, as many services have it
			}
			secrets = append(secrets, strings.TrimPrefix(basic(unescaped(user), unescaped(password)), "Basic "), authority[:at])
		}
		for part := range strings.SplitSeq(path, "/") {
			if LooksRandom(part) {
				add(part)
			}
		}
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if SecretName(name) && !strings.HasPrefix(value, "%") || LooksRandom(value) {
			add(value)
		}
	}
	return secrets
}

// MaskURL hides what may be secret in a URL that is not from the configuration, or of which the configuration is not at
// hand: what stands before the host, parameters of which the name speaks of a secret, and parts that look like keys.
func MaskURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return Masked
	}
	if u.User != nil {
		u.User = url.User("xxx")
	}
	path := strings.Split(u.EscapedPath(), "/")
	for i, part := range path {
		if LooksRandom(part) {
			path[i] = Masked
		}
	}
	pairs := strings.Split(u.RawQuery, "&")
	for i, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if found && value != "" && (SecretName(name) || LooksRandom(value)) {
			pairs[i] = name + "=" + Masked
		}
	}
	u.RawQuery = strings.Join(pairs, "&")
	u.RawPath = strings.Join(path, "/")
	u.Path, _ = url.PathUnescape(u.RawPath)
	return u.String()
}
