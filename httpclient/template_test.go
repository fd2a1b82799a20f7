package httpclient

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func fill(t *testing.T, text string, place Place, values map[string]string) string {
	t.Helper()
	tmpl, err := ParseTemplate(text, place)
	if err != nil {
		t.Fatalf("ParseTemplate(%q): %v", text, err)
	}
	return string(tmpl.Append(nil, func(name string) string { return values[name] }))
}

func TestPlaceholders(t *testing.T) {
	values := map[string]string{
		"a": "1", "queue_id": "500", "_x9": "u", "time:2006-01-02 15:04:05": "then", "time": "now", "time:15:04%": "no",
	}
	f := func(text, want string, names ...string) {
		t.Helper()
		if got := fill(t, text, PlaceText, values); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		tmpl, _ := ParseTemplate(text, PlaceText)
		if got := tmpl.Names(); !slices.Equal(got, names) {
			t.Errorf("%q: got names %q, want %q", text, got, names)
		}
	}
	f("", "")
	f("plain", "plain")
	f("%a%", "1", "a")
	f("%a%%a%", "11", "a")
	f("x%a%y%queue_id%z", "x1y500z", "a", "queue_id")
	f("%_x9%", "u", "_x9")
	f("%unknown%", "", "unknown")
	f("%time:2006-01-02 15:04:05%|%time%", "then|now", "time")
	f("100%", "100%")
	f("100% of %a%", "100% of 1", "a")
	f("%%a%%", "%1%", "a")
	f("%A%", "%A%")
	f("%9a%", "%9a%")
	f("%d0%bf%d0%be", "%d0%bf%d0%be")
	f("%d0%a%", "%d01", "a")
	f("%ab:80%", "%ab:80%")
	f("%a:%", "%a:%")
	f("%a", "%a")
	f("%a:b\n%", "%a:b\n%")
	f("50 % a % b", "50 % a % b")
}

func TestURL(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		values := map[string]string{"p": "+7 (916) 123", "name": "Тест/..?&=#%", "dots": "..", "dot": ".", "up": "../../etc", "nl": "a\r\nb\x00c"}
		if got := fill(t, text, PlaceURL, values); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	f("https://crm.example/who?phone=%p%", "https://crm.example/who?phone=%2B7%20%28916%29%20123")
	f("http://crm.example?n=%name%", "http://crm.example?n=%D0%A2%D0%B5%D1%81%D1%82%2F..%3F%26%3D%23%25")
	f("http://crm.example/a/%dots%/b?x=%dots%", "http://crm.example/a/__/b?x=..")
	f("http://crm.example/a/%dots%", "http://crm.example/a/__")
	f("http://crm.example/a/%dot%/b", "http://crm.example/a/_/b")
	f("http://crm.example/a/.%dot%/b", "http://crm.example/a/__/b")
	f("http://crm.example/a/%dot%%dot%/b", "http://crm.example/a/__/b")
	f("http://crm.example/a/%dots%%dot%/b", "http://crm.example/a/.../b")
	f("http://crm.example/a/v%dots%/b", "http://crm.example/a/v../b")
	f("http://crm.example/a/%up%/b", "http://crm.example/a/__%2F__%2Fetc/b")
	f("http://crm.example/a/%2E%dot%/f%2Ejson", "http://crm.example/a/__/f%2Ejson")
	f("http://crm.example/%nl%?a=%nl%", "http://crm.example/abc?a=abc")
	f("http://crm.example/%none%/x", "http://crm.example//x")
	f("http://crm.example", "http://crm.example")
	f("HTTPS://user:secret@crm.example:8443/%d0%bf?", "HTTPS://user:secret@crm.example:8443/%d0%bf?")
	f("http://crm.example/%c3%a4nderung/%D1%8Ea/%20b/%CAllerid", "http://crm.example/%c3%a4nderung/%D1%8Ea/%20b/%CAllerid")
	f("http://[::1]:80/?%p%=1", "http://[::1]:80/?%2B7%20%28916%29%20123=1")
}

func TestURLRefused(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := ParseTemplate(text, PlaceURL)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: the error shows a secret: %v", text, err)
		}
	}
	f("", "does not begin")
	f("%url%", "does not begin")
	f("crm.example/x", "does not begin")
	f("ftp://crm.example/x", "does not begin")
	f("http%s%://crm.example/x", "does not begin")
	f("https://%host%/x", "before the end of the URL's host")
	f("https://crm.example%x%", "before the end of the URL's host")
	f("https://crm.example:%port%/", "before the end of the URL's host")
	f("https://user:%pass%@crm.example/", "before the end of the URL's host")
	f("https:///x", "no host")
	f("https://crm.example/a/../%x%", `".."`)
	f("https://crm.example/a/%2e%2E/%x%", `".."`)
	f("https://crm.example/a/./b", `".."`)
	f("https://crm.example/a b", "blank")
	f("https://crm.example/x?a=b c&hush=1", "blank")
	f("https://crm.example/x?г=1", "outside ASCII")
	f(`https://crm.example\x`, "backslash")
	f("https://crm.example/x#y", "fragment")
	f("https://crm.example/?hush=1\n", "blank")
	f("https://crm.example/100%/?hush=1", "% at character 24 ")
	f("https://crm.example/?phone=%callerid", "% at character 28 ")
	f("https://crm.example/?phone=%callerid&x=%seq%", "% at character 28 ")
	f("https://crm.example/?phone=%callerid&x=%event%&y=%", "% at character 28 ")
	f("https://crm.example/%direction/x", "% at character 21 ")
	f("https://crm.example/?x=%cause&y=1", "% at character 24 ")
	f("https://crm.example/?x=%CallerID%", "% at character 24 ")
	f("https://crm.example/?x=%callerid %", "% at character 24 ")
	f("https://crm.example/?x=50%", "% at character 26 ")
	f("https://crm.example/?x=%2", "% at character 24 ")
	f("https://crm.example/?x=%a&b=%4", "% at character 24 ")
	f("https://hush:hush@crm.example:port/", "cannot be read")
}

// hostile makes values that try to leave their place.
func hostile() []string {
	values := []string{
		"", ".", "..", "...", "../", "/..", "..\\", "../../../../etc/passwd", "%2e%2e", "%2e%2e%2f", "..%2f", "..;/", ".%00.", "/", "//", "\\\\",
		"//evil.example", "http://evil.example/", "@evil.example", ":80", "evil.example", "#", "?", "&", "=", ";", "a=b&c=d", "%", "%25", "%zz",
		"%callerid%", "\r\n", "\r\nHost: evil.example", "\n\nGET / HTTP/1.1", "\x00", "a\x00b", "\t", "\u2028", "\u0085", "\ufeff", "\u202e",
		"'", "\"", "`", "<", ">", "<!--", "]]>", "</a>", "&amp;", "&#0;", "<![CDATA[", "{", "}", "[", "\\u0022", "\\", "\\\"", "${EXTEN}",
		"a,b", "\xff", "\xc0\xae\xc0\xae", "\xed\xa0\x80", "😀", "שלום\u200e", "Тест", strings.Repeat("../", 500), strings.Repeat("é", 5000),
		"true", "null", "1,\"x\":2", "01", "1e5", "-", "NaN",
	}
	for c := range 256 {
		values = append(values, string([]byte{byte(c)}), fmt.Sprintf("a%cb", c), fmt.Sprintf("..%c..", c), fmt.Sprintf("%%%02x", c))
	}
	return values
}

// T-URL-01: whatever a value is, the request differs from a benign one in the
// one component where the value stands.
func TestHostileURL(t *testing.T) {
	const text = "https://user:pw@crm.example:8443/a/%path%/b.%path%/c?first=1&v=%query%&last=2"
	benign, err := url.Parse(fill(t, text, PlaceURL, map[string]string{"path": "x", "query": "x"}))
	if err != nil {
		t.Fatal(err)
	}
	values := hostile()
	if len(values) < 500 {
		t.Fatalf("only %d values", len(values))
	}
	for _, v := range values {
		raw := fill(t, text, PlaceURL, map[string]string{"path": v, "query": v})
		if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("%q: not printable ASCII: %q", v, raw)
		}
		u, err := url.Parse(raw)
		if err != nil {
			t.Errorf("%q: %v", v, err)
			continue
		}
		if u.Scheme != benign.Scheme || u.Host != benign.Host || u.User.String() != benign.User.String() || u.Fragment != "" {
			t.Errorf("%q: another host: %s", v, raw)
		}
		got, want := strings.Split(u.EscapedPath(), "/"), strings.Split(benign.EscapedPath(), "/")
		if len(got) != len(want) || got[1] != "a" || !strings.HasPrefix(got[3], "b.") || got[4] != "c" {
			t.Errorf("%q: another path: %s", v, raw)
		}
		for part := range strings.FieldsFuncSeq(u.Path, func(r rune) bool { return r == '/' || r == '\\' }) {
			if part == "." || part == ".." {
				t.Errorf("%q: %q in the path: %s", v, part, raw)
			}
		}
		q, err := url.ParseQuery(u.RawQuery)
		if err != nil || len(q) != 3 || q.Get("first") != "1" || q.Get("last") != "2" {
			t.Errorf("%q: other parameters: %s (%v)", v, raw, err)
		}
		if want := dropControls(v); q.Get("v") != want {
			t.Errorf("%q: arrives as %q", v, q.Get("v"))
		}
	}
}

func dropControls(s string) string {
	var b []byte
	for i := range len(s) {
		if s[i] >= ' ' && s[i] != 0x7f {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// T-URL-01 for the other places.
func TestHostileBodies(t *testing.T) {
	for _, v := range hostile() {
		values := map[string]string{"v": v}
		valid := strings.ToValidUTF8(v, "\ufffd")

		form, err := url.ParseQuery(fill(t, "a=1&v=%v%&b=2", PlaceForm, values))
		if err != nil || len(form) != 3 || form.Get("v") != v {
			t.Errorf("form %q: got %q, %v", v, form, err)
		}

		var object map[string]any
		text := fill(t, `{"a\\":1,"v":"say \"%v%\"","s":%v%,"b":2}`, PlaceJSON, values)
		if err := json.Unmarshal([]byte(text), &object); err != nil || len(object) != 4 {
			t.Errorf("json %q: got %s, %v", v, text, err)
		} else if got := object["v"].(string); utf8.ValidString(v) && got != `say "`+v+`"` {
			t.Errorf("json %q: arrives as %q", v, got)
		}

		text = fill(t, `<a x="%v%"><b>%v%</b></a>`, PlaceXML, values)
		if elements, err := countElements(text); err != nil || elements != 2 {
			t.Errorf("xml %q: got %d elements in %s, %v", v, elements, text, err)
		}

		header := fill(t, "Bearer %v%", PlaceHeader, values)
		if strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f }) {
			t.Errorf("header %q: got %q", v, header)
		}
		if !utf8.ValidString(header) || strings.Contains(valid, "a,b") && header != "Bearer a,b" {
			t.Errorf("header %q: got %q", v, header)
		}

		if got := fill(t, "<%v%>", PlaceText, values); got != "<"+v+">" {
			t.Errorf("text %q: got %q", v, got)
		}
	}
}

func countElements(text string) (n int, err error) {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			n++
			if n == 1 && len(token.Attr) != 1 {
				return n, fmt.Errorf("%d attributes", len(token.Attr))
			}
		case xml.Comment, xml.ProcInst, xml.Directive:
			return n, fmt.Errorf("a %T", token)
		}
	}
}

func TestJSONScalars(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		if got := fill(t, `[%v%,"%v%"]`, PlaceJSON, map[string]string{"v": value}); !strings.HasPrefix(got, "["+want+",") {
			t.Errorf("%q: got %s, want %s first", value, got, want)
		}
	}
	f("", "null")
	f("true", "true")
	f("null", `"null"`)
	f("42", "42")
	f("-1.5e3", "-1.5e3")
	f("0123", `"0123"`)
	f("+7916", `"+7916"`)
	f("1 ", `"1 "`)
	f("1]", `"1]"`)
	f(`a"b`, `"a\"b"`)
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	tmpl, err := ParseTemplate("http://crm.example/%v%", PlaceURL)
	if err != nil {
		t.Fatal(err)
	}
	got := string(tmpl.Append([]byte("GET /../ "), func(string) string { return ".." }))
	if want := "GET /../ http://crm.example/__"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzParseTemplate(f *testing.F) {
	for _, text := range []string{"http://crm.example/%a%?b=%c:d%", "%d0%bf", `{"a":"%b%"}`, "?://", "%%%a%%", "http://a/%2e%2e/%b%?%", "http://x?\\%a%"} {
		f.Add(text, "../..")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		for _, place := range []Place{PlaceURL, PlaceHeader, PlaceForm, PlaceJSON, PlaceXML, PlaceText} {
			tmpl, err := ParseTemplate(text, place)
			if err != nil {
				continue
			}
			tmpl.Names()
			tmpl.Append(nil, func(string) string { return value })
		}
	})
}

func FuzzURL(f *testing.F) {
	for _, v := range []string{"..", "../x", "%2e.", "a&b=c", "\r\n"} {
		f.Add(v, v)
	}
	tmpl, err := ParseTemplate("https://crm.example/a/%p%/.%p%/c?v=%q%&last=2", PlaceURL)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		raw := string(tmpl.Append(nil, func(name string) string {
			if name == "p" {
				return path
			}
			return query
		}))
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		cleaned := strings.ReplaceAll(u.Path, "\\", "/")
		if u.Host != "crm.example" || strings.Count(u.EscapedPath(), "/") != 4 || strings.Contains(cleaned+"/", "/../") || strings.Contains(cleaned+"/", "/./") {
			t.Fatalf("another path: %s", raw)
		}
		q, err := url.ParseQuery(u.RawQuery)
		if err != nil || len(q) != 2 || q.Get("last") != "2" || q.Get("v") != dropControls(query) {
			t.Fatalf("other parameters: %s", raw)
		}
	})
}

func BenchmarkTemplateURL(b *testing.B) {
	tmpl, err := ParseTemplate("https://crm.example/who/%agent_phone%?phone=%callerid%&queue=%queue_id%", PlaceURL)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = tmpl.Append(dst[:0], func(string) string { return "+79161234567" })
	}
}

// TestNesting checks the escaping of a value for a text inside the text.
func TestNesting(t *testing.T) {
	f := func(place Place, source, want string) {
		t.Helper()
		template, err := ParseTemplate(source, place)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(template.Append(nil, func(key string) string { return map[string]string{"a": `+1 "x"&<y>`}[key] })); got != want {
			t.Errorf("%s: got %s, want %s", source, got, want)
		}
	}
	f(PlaceJSON, `{"q": "m?a=%a:escaped%&b=%a%"}`, `{"q": "m?a=%2B1%20%22x%22%26%3Cy%3E&b=+1 \"x\"&<y>"}`)
	f(PlaceForm, `e={"a":"%a:json%"}`, `e={"a":"%2B1+%5C%22x%5C%22%26%3Cy%3E"}`)
	f(PlaceJSON, `{"body": "<p>%a:html%</p>"}`, `{"body": "<p>+1 &#34;x&#34;&amp;&lt;y&gt;</p>"}`)
	f(PlaceJSON, `{"id": "%a:alphanumeric%"}`, `{"id": "1xy"}`)
	f(PlaceURL, `https://crm.example/?q=%a:escaped%`, `https://crm.example/?q=%252B1%2520%2522x%2522%2526%253Cy%253E`)
	template, _ := ParseTemplate("%a:escaped% %a% %b:15:04% %b:15:04:json%", PlaceText)
	if keys := template.Keys(); len(keys) != 2 || keys[0] != "a" || keys[1] != "b:15:04" {
		t.Errorf("keys %q", keys)
	}
}

// TestUnclosed checks which words count as placeholders that are not closed: those that follow a percent sign.
func TestUnclosed(t *testing.T) {
	for source, want := range map[string]string{
		"answered": "", "100%ig answered": "ig", "%callerid": "callerid", "%a% and %CallerID": "CallerID", "x %b, %c": "b c", "%a%answered": "",
	} {
		template, err := ParseTemplate(source, PlaceText)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(template.Unclosed(), " "); got != want {
			t.Errorf("%s: got %q, want %q", source, got, want)
		}
	}
}
