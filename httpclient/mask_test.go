package httpclient

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
)

func TestMaskURL(t *testing.T) {
	for url, want := range map[string]string{
		"https://crm.example/who?phone=%2B7495&queue=500":    "https://crm.example/who?phone=%2B7495&queue=500",
		"https://crm.example/?Access_Token=abc&x=1":          "https://crm.example/?Access_Token=***&x=1",
		"https://crm.example/?k=0123456789abcdef0123456789":  "https://crm.example/?k=***",
		"https://u:p@crm.example/":                           "https://xxx@crm.example/",
		"https://crm.example/rest/1/x9/crm.contact.list?a=b": "https://crm.example/rest/1/x9/crm.contact.list?a=b",
		"https://crm.example/rest/1/k7qp0z2mw4xr8vt1/list":   "https://crm.example/rest/1/***/list",
		"https://crm.example/a%2Fb/?phone=74951234567":       "https://crm.example/a%2Fb/?phone=74951234567",
		"://": "***",
	} {
		if got := MaskURL(url); got != want {
			t.Errorf("MaskURL(%q) = %q, want %q", url, got, want)
		}
	}
}

// elsewhere has secrets as other languages write them.
var elsewhere = map[string]map[string]string{
	"sécret/~('*')!&\"x\"": {
		"php json_encode":        `s\u00e9cret\/~('*')!&\"x\"`,
		"php urlencode":          "s%C3%A9cret%2F%7E%28%27%2A%27%29%21%26%22x%22",
		"php htmlspecialchars":   "sécret/~(&#039;*&#039;)!&amp;&quot;x&quot;",
		"python json.dumps":      `s\u00e9cret/~('*')!&\"x\"`,
		"python html.escape":     "sécret/~(&#x27;*&#x27;)!&amp;&quot;x&quot;",
		"python quote":           "s%C3%A9cret/~%28%27%2A%27%29%21%26%22x%22",
		"js encodeURIComponent":  "s%C3%A9cret%2F~('*')!%26%22x%22",
		"js encodeURI":           "s%C3%A9cret/~('*')!&%22x%22",
		"java URLEncoder":        "s%C3%A9cret%2F%7E%28%27*%27%29%21%26%22x%22",
		"java URLEncoder, small": "s%c3%a9cret%2f%7e%28%27*%27%29%21%26%22x%22",
	},
	"пароль+1": {"php json_encode": `\u043f\u0430\u0440\u043e\u043b\u044c+1`},
	"😀secret😀": {"php json_encode": `\ud83d\ude00secret\ud83d\ude00`},
}

// TestMask wants no trace of a secret in a text that repeats it, however it is written there.
func TestMask(t *testing.T) {
	for _, secret := range []string{
		"hush-hush-1", `a&b<c>"d'e\f/g h`, "пароль+1", "=%2F~?#[]@", "hush\x01\x7fhush", "tab\tline\nend-of-it", "x<=>" + strings.Repeat("y", 40), "😀secret😀",
		"sécret/~('*')!&\"x\"",
	} {
		quoted, _ := json.Marshal(secret)
		texts := map[string]string{
			"as it is": secret, "query": url.QueryEscape(secret), "path": url.PathEscape(secret),
			"lower query":   strings.ToLower(url.QueryEscape("é")) + lowerHex(url.QueryEscape(secret)),
			"encoding/json": string(quoted), "html": html.EscapeString(secret),
			"JSON in JSON": string(appendJSON(nil, string(appendJSON(nil, secret)))), "JSON in XML": string(AppendXML(nil, string(appendJSON(nil, secret)))),
		}
		for name, text := range elsewhere[secret] {
			texts[name] = text
		}
		for _, place := range []Place{PlaceURL, PlaceHeader, PlaceForm, PlaceJSON, PlaceXML, PlaceText} {
			texts[fmt.Sprintf("place %d", place)] = string(appendEscaped(nil, secret, place, true))
		}
		for before := range 4 {
			for after := range 4 {
				plain := strings.Repeat("u", before) + secret + strings.Repeat("v", after)
				texts[fmt.Sprintf("base64 %d %d", before, after)] = base64.StdEncoding.EncodeToString([]byte(plain))
				texts[fmt.Sprintf("base64url %d %d", before, after)] = base64.RawURLEncoding.EncodeToString([]byte(plain))
			}
		}
		mask := NewMask(secret)
		for name, text := range texts {
			got := mask.Replace("before " + text + " after")
			if !strings.Contains(got, Masked) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Errorf("%q, %s: %q becomes %q", secret, name, text, got)
			}
			// Besides the mask at most the three letters are left that base64 shares with its neighbours on each side.
			if rest := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(got, "before "), " after"), Masked, ""); len(rest) > 14 {
				t.Errorf("%q, %s: %q is left", secret, name, rest)
			}
		}
	}
}

// TestMaskLongestFirst wants the longer of two secrets hidden whole.
func TestMaskLongestFirst(t *testing.T) {
	for _, secrets := range [][]string{{"hush", "hush-hush-1"}, {"hush-hush-1", "hush"}} {
		if got := NewMask(secrets...).Replace("a hush-hush-1 b hush c"); got != "a *** b *** c" {
			t.Errorf("%q: %q", secrets, got)
		}
	}
	if got := NewMask("abcd", "Bearer", "").Replace("abc Bearer"); got != "abc Bearer" {
		t.Errorf("words that are no secrets: %q", got)
	}
}

// TestMaskShort wants a short secret hidden where it is a word of its own, and nowhere else.
func TestMaskShort(t *testing.T) {
	for _, c := range []struct{ secret, text, want string }{
		{"abc", "abc", "***"},
		{"abc", `{"p":"abc","q":"abcd","r":"xabc abc_"} abc.`, `{"p":"***","q":"abcd","r":"xabc abc_"} ***.`},
		{"12", "12 112 120 é12 12é (12)12", "*** 112 120 é12 12é (***)***"},
		{"1", "HTTP/1.1 1", "HTTP/***.*** ***"},
		{"a&b", "p=a%26b&q=a&amp;b a&b", "p=***&q=*** ***"},
		{"abc", "YWJj YWJjx", "*** YWJjx"},
		{"é", "é éa", "*** éa"},
		{"aa", "aaa aa", "aaa ***"},
	} {
		if got := NewMask(c.secret).Replace(c.text); got != c.want {
			t.Errorf("%q in %s: %s, want %s", c.secret, c.text, got, c.want)
		}
	}
	m := MaskOf(&Credentials{Username: "u", Password: "pw1", Environment: []string{"DE"}}, []string{"https://x:y1@crm.example/?token=t1&key=k1"},
		map[string]string{"Authorization": "Bearer b1", "X-Key": "id"}, []map[string]string{{"api_token": "s1", "hash": "no"}})
	if got, want := m.Replace("pw1 DE y1 t1 k1 b1 Bearer id s1 no"), "*** DE *** *** k1 *** Bearer id *** no"; got != want {
		t.Errorf("of a table: %s, want %s", got, want)
	}
}

// TestMaskOf wants everything secret in a table hidden.
func TestMaskOf(t *testing.T) {
	c := &Credentials{Username: "anna", Password: "pass-1", Environment: []string{"env-1"}, OAuth2: OAuth2{ClientSecret: "client-1"}}
	m := MaskOf(c, []string{
		"https://us%65r:in%2Furl@crm.example/hook/k7qp0z2mw4xr8vt1/x?api_key=query-1&phone=%callerid%",
		"j2hb9d4sq6yk3wn5/to/http://host.example/p8tf1c7mz0vg2xl4?token=path-1",
	},
		map[string]string{"X-Api-Key": "header-1", "Authorization": "Bearer bearer-1", "X-Plain": "plain-1"},
		[]map[string]string{{"password": "setting-1", "token": "%callerid%", "name": "shown-1"}}, "other-1")
	for _, secret := range []string{
		"pass-1", "env-1", "client-1", "in%2Furl", "in/url", "k7qp0z2mw4xr8vt1", "query-1", "j2hb9d4sq6yk3wn5", "p8tf1c7mz0vg2xl4", "path-1", "header-1", "bearer-1", "setting-1", "other-1",
		base64.StdEncoding.EncodeToString([]byte("anna:pass-1")), base64.StdEncoding.EncodeToString([]byte("user:in/url")),
	} {
		if got := m.Replace("(" + secret + ")"); got != "(***)" {
			t.Errorf("%s becomes %s", secret, got)
		}
	}
	for _, text := range []string{"plain-1", "shown-1", "%callerid%", "crm.example", "Bearer"} {
		if got := m.Replace(text); got != text {
			t.Errorf("%s becomes %s", text, got)
		}
	}
}
