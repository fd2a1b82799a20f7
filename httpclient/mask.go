package httpclient

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Masked stands in every text for a secret.
const Masked = "***"

const (
	// shortest is the length from which on a secret is hidden also in the middle of a word, in bytes.
	shortest = 4
	// surest is the length from which on a secret in an answer is no coincidence, in bytes: 4711 may be a customer.
	surest = 8
)

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
// in the middle of a longer base64 text. Secrets of fewer than 4 bytes are parts of many words, and are hidden where they
// are a word of their own. The nil Mask hides nothing.
type Mask struct {
	replacer *strings.Replacer
	words    []string
}

// NewMask makes a mask of secrets. The words Basic and Bearer are left out.
func NewMask(secrets ...string) *Mask {
	parts, words := make(map[string]bool), make(map[string]bool)
	for _, s := range secrets {
		switch {
		case s == "", strings.EqualFold(s, "bearer"), strings.EqualFold(s, "basic"):
		case len(s) < shortest:
			for _, form := range []string{s, url.QueryEscape(s), string(appendURL(nil, s)), string(AppendXML(nil, s)), string(appendJSON(nil, s)), base64.RawStdEncoding.EncodeToString([]byte(s))} {
				words[form] = true
			}
		default:
			for _, form := range formsOf(s) {
				if len(form) >= shortest {
					parts[form] = true
				}
			}
		}
	}
	if len(parts)+len(words) == 0 {
		return nil
	}
	forms := longestFirst(parts)
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		pairs = append(pairs, form, Masked)
	}
	return &Mask{strings.NewReplacer(pairs...), longestFirst(words)}
}

// longestFirst lists forms of secrets. The first that fits is taken: a secret that begins like a longer one must come
// after it.
func longestFirst(forms map[string]bool) []string {
	list := slices.Collect(maps.Keys(forms))
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) })
	return list
}

// Replace returns the text with every secret in it replaced by asterisks.
func (m *Mask) Replace(text string) string {
	if m == nil || text == "" {
		return text
	}
	text = m.replacer.Replace(text)
	for _, word := range m.words {
		text = replaceWord(text, word)
	}
	return text
}

// replaceWord replaces a word where no letter and no digit is beside it.
func replaceWord(text, word string) string {
	var b strings.Builder
	for from := 0; ; {
		at := strings.Index(text[from:], word)
		if at < 0 {
			return b.String() + text[from:]
		}
		at += from
		end := at + len(word)
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[end:])
		if isWordRune(before) || isWordRune(after) {
			_, size := utf8.DecodeRuneInString(word)
			end = at + size
			b.WriteString(text[from:end])
		} else {
			b.WriteString(text[from:at] + Masked)
		}
		from = end
	}
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }

// formsOf returns how a secret may be written.
func formsOf(s string) []string {
	xml := string(AppendXML(nil, s))
	wide := strings.ReplaceAll(string(appendJSON(nil, s)), "/", `\/`)
	quoted, _ := json.Marshal(s) // a string cannot fail
	once := string(appendJSON(nil, s))
	forms := []string{
		// A server quotes a whole request, a body of JSON too, in a string of JSON.
		string(appendJSON(nil, once)), strings.ReplaceAll(string(appendJSON(nil, once)), "/", `\/`), strings.ReplaceAll(string(appendJSON(nil, wide)), "/", `\/`), string(AppendXML(nil, once)),
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

// secrets returns what is secret in credentials: passwords, and what is made of them.
func (c *Credentials) secrets() []string {
	return []string{c.Password, c.OAuth2.ClientSecret, strings.TrimPrefix(c.Basic(), "Basic ")}
}

// MaskOf makes the mask of a table: its credentials, what came from the environment, the headers, settings and parameters
// of which the name speaks of a secret, what is secret in its URLs and the paths appended to them, and other secrets.
func MaskOf(c *Credentials, urls []string, headers map[string]string, named []map[string]string, others ...string) *Mask {
	secrets := slices.Concat(c.secrets(), headerSecrets(headers), namedSecrets(named), others)
	for _, value := range c.Environment {
		if len(value) >= shortest { // a shorter one is rather a setting than a secret
			secrets = append(secrets, value)
		}
	}
	for _, address := range urls {
		sure, guessed := urlSecrets(address)
		secrets = append(append(secrets, sure...), guessed...)
	}
	return NewMask(secrets...)
}

// MaskAnswers makes the mask of what the answers of a server must not bring to calls, events and receivers: the secrets by
// which it is asked, as MaskOf has them. Names of hosts and the like, which also come from the environment, belong into
// links to customers.
func MaskAnswers(c *Credentials, urls []string, headers map[string]string, named []map[string]string, others ...string) *Mask {
	secrets := slices.Concat(c.secrets(), headerSecrets(headers), namedSecrets(named), others)
	for _, address := range urls {
		sure, guessed := urlSecrets(address)
		secrets = append(secrets, sure...)
		for _, part := range guessed {
			if slices.Contains(c.Environment, part) {
				secrets = append(secrets, part)
			}
		}
	}
	return newSureMask(secrets)
}

// newSureMask makes a mask of the secrets that are long enough to be no coincidence.
func newSureMask(secrets []string) *Mask {
	return NewMask(slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return len(s) < surest || strings.Contains(s, "%") })...)
}

// isSecret reports whether a value is secret by its name. A short one needs a name that leaves no doubt: key = id is none.
func isSecret(name, value string) bool {
	if len(value) >= shortest {
		return SecretName(name)
	}
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"pass", "pwd", "secret", "token", "authorization"}, func(word string) bool { return strings.Contains(name, word) })
}

// namedSecrets returns the secret values of settings and parameters. Those with placeholders are none.
func namedSecrets(named []map[string]string) (secrets []string) {
	for _, set := range named {
		for name, value := range set {
			if !strings.Contains(value, "%") && isSecret(name, value) {
				secrets = append(secrets, value)
			}
		}
	}
	return secrets
}

// headerSecrets returns the secret values of headers, with and without the scheme before them.
func headerSecrets(headers map[string]string) (secrets []string) {
	for name, value := range headers {
		for _, s := range append(strings.Fields(value), value) {
			if isSecret(name, s) {
				secrets = append(secrets, s)
			}
		}
	}
	return secrets
}

// URLSecrets returns what stands before the host of a URL, the values of parameters whose names speak of a secret, and the
// parts that look like keys.
func URLSecrets(address string) []string {
	sure, guessed := urlSecrets(address)
	return slices.DeleteFunc(slices.Concat(sure, guessed), func(s string) bool { return s == "" })
}

// urlSecrets returns what is secret in a URL as it is configured, or in a path that is appended to one: what stands before
// the host, and parameters of which the name speaks of a secret. Guessed are parts that look like keys.
func urlSecrets(text string) (sure, guessed []string) {
	with := func(list []string, s string) []string {
		if plain := unescaped(s); plain != s {
			list = append(list, plain)
		}
		return append(list, s)
	}
	head, query, _ := strings.Cut(text, "?")
	path := head
	if scheme, rest, ok := strings.Cut(head, "://"); ok && !strings.Contains(scheme, "/") {
		authority, below, _ := strings.Cut(rest, "/")
		path = below
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			user, password, _ := strings.Cut(authority[:at], ":")
			sure = with(sure, password)
			if password == "" {
				sure = with(sure, user) // a token, as many services have it
			}
			sure = append(sure, strings.TrimPrefix(basic(unescaped(user), unescaped(password)), "Basic "), authority[:at])
		}
	}
	for part := range strings.SplitSeq(path, "/") {
		if LooksRandom(part) {
			guessed = with(guessed, part)
		}
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case isSecret(name, value) && !strings.HasPrefix(value, "%"):
			sure = with(sure, value)
		case LooksRandom(value):
			guessed = with(guessed, value)
		}
	}
	return sure, guessed
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
