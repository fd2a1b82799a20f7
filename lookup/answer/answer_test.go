package answer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
)

func newParserOf(t testing.TB, cfg Config) parser {
	t.Helper()
	p, err := formats[cfg.Format](&cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParsePairsRaw(t *testing.T) {
	for _, tc := range []struct {
		body   string
		want   []Var
		reason string
	}{
		{"name=Anna", []Var{{"name", "Anna"}}, ""},
		{"name=Anna K.+1 100%&prio=5", []Var{{"name", "Anna K.+1 100%"}, {"prio", "5"}}, ""},
		{"name=Smith & Sons&prio=5", []Var{{"name", "Smith & Sons"}, {"prio", "5"}}, ""},
		{"name=Smith&Sons", []Var{{"name", "Smith&Sons"}}, ""},
		{"name=A&B C=D&x=1", []Var{{"name", "A&B C=D"}, {"x", "1"}}, ""},
		{"name=a=b&", []Var{{"name", "a=b"}}, ""},
		{"name=&x=1", []Var{{"x", "1"}}, ""},
		{"name= \r\n&x=1", []Var{{"x", "1"}}, ""},
		{"a=1&a=2", nil, ReasonSyntax},
		{"Anna", nil, ReasonSyntax},
		{"Fatal error: x=1", nil, ReasonSyntax},
		{"&name=Anna", []Var{{"name", "Anna"}}, ""},
		{"name=ACME Corp.\r\nDoe&x=1", []Var{{"name", "ACME Corp. Doe"}, {"x", "1"}}, ""},
		{"name=Smith & Sons\r\nprio=5\r\n", []Var{{"name", "Smith & Sons"}, {"prio", "5"}}, ""},
		{"name=Anna\n\n&&prio=5&", []Var{{"name", "Anna"}, {"prio", "5"}}, ""},
		{"name=Anna\rprio=5\r", []Var{{"name", "Anna"}, {"prio", "5"}}, ""},
		{"\rname=ACME Corp.\rDoe\rprio=5", []Var{{"name", "ACME Corp. Doe"}, {"prio", "5"}}, ""},
		{"name=\xc0", nil, ReasonCharset},
	} {
		res, err := parsePairsRaw(t.Context(), document{body: []byte(tc.body)})
		checkParsed(t, tc.body, res.Records, err, tc.want, tc.reason)
	}
}

// reasonOf returns the reason of an error, empty if it has none.
func reasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

func checkParsed(t *testing.T, body string, records []Record, err error, want []Var, reason string) {
	t.Helper()
	if reason != "" {
		if reasonOf(err) != reason {
			t.Errorf("%.80q becomes %v, %v, want reason %s", body, records, err, reason)
		}
		return
	}
	if err != nil || !slices.Equal(one(records), want) {
		t.Errorf("%.80q becomes %v, %v, want %v", body, records, err, want)
	}
}

func TestParseText(t *testing.T) {
	p := newParserOf(t, Config{Format: "text", Variable: "CALLERID(name)"})
	res, err := p(t.Context(), document{body: []byte("Anna & Boris = 100%")})
	checkParsed(t, "text", res.Records, err, []Var{{"CALLERID(name)", "Anna & Boris = 100%"}}, "")
	for _, nobody := range nobodyTexts {
		if res, err := p(t.Context(), document{body: []byte(nobody)}); err != nil || len(res.Records) > 0 {
			t.Errorf("%s becomes %v, %v, want no customer", nobody, res.Records, err)
		}
	}
}

func TestParseJSON(t *testing.T) {
	p := newParserOf(t, Config{Format: "json", Map: map[string]string{"name": ".contact.name", "id": ".contact.id", "vip": ".contact.vip", "tags": `.contact.tags // [] | join(",")`}})
	for _, tc := range []struct {
		body   string
		want   []Var
		reason string
	}{
		{`{"contact":{"name":"Anna \"A\"","id":12345678901234567890,"vip":true,"tags":["a","b"]}}`,
			[]Var{{"id", "12345678901234567890"}, {"name", `Anna "A"`}, {"tags", "a,b"}, {"vip", "true"}}, ""},
		{`{"contact":{"name":"\u0410","id":9007199254740993}}`, []Var{{"id", "9007199254740993"}, {"name", "А"}}, ""},
		{`{"contact":{"id":1.50}}`, []Var{{"id", "1.50"}}, ""},
		{`{"contact":{"name":"ACME Corp.\r\nDoe\u0085x"}}`, []Var{{"name", "ACME Corp. Doe x"}}, ""},
		{`{"contact":{"id":10.0,"name":"10 "}}`, []Var{{"id", "10"}, {"name", "10"}}, ""},
		{`{"contact":{"id":1e3}}`, []Var{{"id", "1000"}}, ""},
		{`{"contact":{"id":1e999999999}}`, []Var{{"id", "1e999999999"}}, ""},
		{`{"contact":null}`, nil, ""},
		{`{}`, nil, ""},
		{`null`, nil, ""},
		{`{"contact":{"name":{"first":"Anna"}}}`, nil, ReasonType},
		{`{"contact":{"name":["Anna"]}}`, nil, ReasonType},
		{`{"contact":[1]}`, nil, ReasonType},
		{`"Anna"`, nil, ReasonType},
		{`{"contact":{"name":false,"id":false,"vip":false}}`, nil, ""},
		{`{"contact":false}`, nil, ""},
		{`{"contact":[]}`, nil, ""},
		{`{"contact":""}`, nil, ""},
		{`{"contact":{"name":"Anna","id":{"x":1},"vip":[1,2]}}`, []Var{{"name", "Anna"}}, ""},
		{`{"contact":{"id":` + strings.Repeat("9", 1000000) + `}}`, nil, ReasonLimit},
		{`{"contact":{"name":"Anna"`, nil, ReasonSyntax},
		{`{"contact":{"name":"Anna"}} trailing`, nil, ReasonSyntax},
		{`{"contact":{"name":"Anna"}}{}`, nil, ReasonSyntax},
		{`{'contact':1}`, nil, ReasonSyntax},
		{`callback({"contact":1})`, nil, ReasonSyntax},
		{strings.Repeat("[", 100000), nil, ReasonSyntax},
		{strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), nil, ReasonSyntax},
		{"[" + strings.Repeat("1,", 100000) + "1]", nil, ReasonSyntax},
		{"{\"contact\":{\"name\":\"\xff\"}}", nil, ReasonCharset},
	} {
		res, err := p(t.Context(), document{body: []byte(tc.body)})
		checkParsed(t, tc.body, res.Records, err, tc.want, tc.reason)
	}
}

// TestDeclaresUTF16 reads XML that says it is UTF-16, by itself or in the Content-Type, and is UTF-8 as servers send it.
func TestDeclaresUTF16(t *testing.T) {
	const text = `<?xml version="1.0" encoding="utf-16"?><c><name>Żółw</name></c>`
	wide := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	cfg := Config{Format: "xml", Map: map[string]string{"name": "/c/name"}}
	for contentType, body := range map[string]string{
		"": text, "text/xml; charset=utf-16": text, "text/xml; charset=UTF-16LE": `<c><name>Żółw</name></c>`, "application/xml": string(wide),
	} {
		res, err := read(t, cfg, body, contentType)
		if err != nil || len(res.Records) != 1 || res.Records[0].Value("name") != "Żółw" {
			t.Errorf("%q: %v, %v", contentType, res.Records, err)
		}
	}
}

func TestParseXML(t *testing.T) {
	p := newParserOf(t, Config{Format: "xml", Map: map[string]string{"name": "//contact/name", "id": "/crm/contact/@id", "n": "count(//phone)", "vip": "string(//contact/vip)"}})
	for _, tc := range []struct {
		body   string
		want   []Var
		reason string
	}{
		{`<crm><contact id="7"><name> Anna &amp; <![CDATA[<B>]]></name><phone/><phone/><vip>yes</vip></contact></crm>`,
			[]Var{{"id", "7"}, {"n", "2"}, {"name", "Anna & <B>"}, {"vip", "yes"}}, ""},
		{`<?xml version="1.0" encoding="utf-8"?><crm/>`, []Var{{"n", "0"}}, ""},
		{`<crm><contact><name>A</name></contact><contact><name>B</name></contact></crm>`, []Var{{"n", "0"}}, ""},
		{`<?xml version="1.0" encoding="utf-16"?><crm><contact><name>Żółw</name></contact></crm>`, []Var{{"n", "0"}, {"name", "Żółw"}}, ""},
		{"<crm><contact><name>ACME\r\n  Corp.</name></contact></crm>", []Var{{"n", "0"}, {"name", "ACME Corp."}}, ""},
		{`<crm><contact>`, nil, ReasonSyntax},
		{`<crm></contact>`, nil, ReasonSyntax},
		{`name=Anna`, nil, ReasonSyntax},
		{`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><crm><contact><name>&b;</name></contact></crm>`, nil, ReasonSyntax},
		{`<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><crm><name>&a;</name></crm>`, nil, ReasonSyntax},
		{"<html><body>log in</body></html>", nil, ReasonHTML},
		{strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000), nil, ReasonLimit},
		{"<a>" + strings.Repeat("<b/>", 100000) + "</a>", nil, ReasonLimit},
		{"<crm><contact><name>\xff</name></contact></crm>", nil, ReasonCharset},
		{"<crm>\x00</crm>", nil, ReasonSyntax},
	} {
		res, err := p(t.Context(), document{body: []byte(tc.body)})
		checkParsed(t, tc.body, res.Records, err, tc.want, tc.reason)
	}
}

// TestPatternsOfXPath checks that regular expressions in XPath are bounded, in a configuration and in an answer, and that one
// that cannot be read costs its variable alone.
func TestPatternsOfXPath(t *testing.T) {
	const unreadable = "((.{1000}){1000}){1000}"
	large := strings.Repeat(".{1000}", 21) // that Go would compile
	for _, text := range []string{unreadable, large, "("} {
		if _, err := newXML(&Config{Map: map[string]string{"name": "matches(//name, '" + text + "')"}}); err == nil {
			t.Errorf("%s is accepted in a configuration", text)
		}
	}
	p := newParserOf(t, Config{Format: "xml", Map: map[string]string{"id": "//id", "match": "matches(//name, string(//pattern))", "name": "replace(//name, //pattern, 'x')"}})
	for pattern, want := range map[string]struct {
		vars   []Var
		reason string
	}{
		"A.": {[]Var{{"id", "7"}, {"match", "true"}, {"name", "xna"}}, ""},
		"(":  {[]Var{{"id", "7"}}, ""}, unreadable: {[]Var{{"id", "7"}}, ""},
		large: {nil, ReasonLimit},
	} {
		body := "<c><id>7</id><name>Anna</name><pattern>" + pattern + "</pattern></c>"
		res, err := p(t.Context(), document{body: []byte(body)})
		checkParsed(t, body, res.Records, err, want.vars, want.reason)
	}
	p = newParserOf(t, Config{Format: "xml", Records: "//c[contains(name, 1)]", Map: map[string]string{"id": "id"}})
	if res, err := p(t.Context(), document{body: []byte("<a><c><id>7</id><name>Anna</name></c></a>")}); err == nil {
		t.Errorf("records that cannot be selected: %v", res)
	}
}

// TestGrowthOfXPath checks that no answer chooses how much an expression makes of it.
func TestGrowthOfXPath(t *testing.T) {
	for _, text := range []string{
		"replace(//name, '', //sep)", "replace(//name, 'a', concat('x', //sep))", "string-join(//name, //sep)", "string-join(//name, string(//sep))",
		"replace(//name, '(', '')", `replace(//name, "((.{1000}){1000}){1000}", '')`, "replace(replace(//name, 'a', '1234567'), 'a', '12345678')",
		"concat(replace ( //name , ' ' , '" + strings.Repeat("x", maxGrowth) + "'), '')", "//c[replace(name, 'a', @sep) = 'b']",
	} {
		if _, err := newXML(&Config{Map: map[string]string{"name": text}}); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
	p := newParserOf(t, Config{Format: "xml", Map: map[string]string{
		"a": "replace(//name, ' ', '')", "b": `string-join(//n, ", ")`, "c": "translate(//name, ' n', '-m')", "d": `concat('replace(', //name, ",x)")`, "e": `replace(//n[2], '\(', ')')`,
	}})
	body := "<c><name>An na</name><n>1</n><n>(2</n></c>"
	res, err := p(t.Context(), document{body: []byte(body)})
	checkParsed(t, body, res.Records, err, []Var{{"a", "Anna"}, {"b", "1, (2"}, {"c", "Am-ma"}, {"d", "replace(An na,x)"}, {"e", ")2"}}, "")

	p = newParserOf(t, Config{Format: "xml", Map: map[string]string{"a": "string-length(replace(//name, 'a', '1234567'))"}})
	body = "<c><name>" + strings.Repeat("a", 900_000) + "</name></c>"
	res, err = p(t.Context(), document{body: []byte(body)})
	checkParsed(t, "a long text", res.Records, err, []Var{{"a", strconv.Itoa(7 * maxText)}}, "")
	p = newParserOf(t, Config{Format: "xml", Map: map[string]string{"a": "string-join(//n, '')"}})
	body = "<c>" + strings.Repeat("<n>"+strings.Repeat("a", maxText)+"</n>", 1+maxRead/maxText) + "</c>"
	res, err = p(t.Context(), document{body: []byte(body)})
	checkParsed(t, "many texts", res.Records, err, nil, ReasonLimit)
}

func FuzzStructures(f *testing.F) {
	for _, s := range []string{
		`{"list":[{"id":1,"name":"Anna"}]}`, `{"list":null}`, `[`, `{"list":[[1]]}`, `<crm><contact id="1"><name>A</name></contact></crm>`,
		`<?xml version="1.0" encoding="koi8-r"?><crm/>`, "<!DOCTYPE a>", "\xff\xfe<\x00", "<crm><contact id='1'/><contact id='2'/></crm>",
	} {
		f.Add([]byte(s), "text/xml; charset=windows-1251")
		f.Add([]byte(s), "")
	}
	parseJSON := newParserOf(f, Config{Format: "json", Records: ".list[]?", Map: map[string]string{"id": ".id", "name": ".name"}})
	parseXML := newParserOf(f, Config{Format: "xml", Records: "//contact", Map: map[string]string{"id": "@id", "name": "name", "n": "count(*)"}})
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		d, err := open(body, contentType, "")
		if err != nil || len(d.body) == 0 {
			return
		}
		for _, p := range []parser{parseJSON, parseXML} {
			res, err := p(t.Context(), d)
			checkRecords(t, res.Records, err)
		}
	})
}

// read reads an answer as a source's.
func read(t testing.TB, cfg Config, body, contentType string) (Result, error) {
	t.Helper()
	r, err := NewReader(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r.Read(t.Context(), []byte(body), contentType)
}

var (
	pairsConfig = Config{Format: "pairs"}
	rawConfig   = Config{Format: "pairs-raw"}
	textConfig  = Config{Format: "text", Variable: "name"}
	jsonConfig  = Config{Format: "json", Map: map[string]string{"name": ".name"}}
	xmlConfig   = Config{Format: "xml", Map: map[string]string{"name": "//name"}}
)

// An answer in its format is read, whatever its Content-Type says and whatever
// characters its values have.
func TestFormatBeforePage(t *testing.T) {
	for body, cfg := range map[string]Config{
		`{"name":"Anna <anna@example.com>"}`:             jsonConfig,
		"name=Anna <anna@example.com>":                   pairsConfig,
		"name=Anna <anna@example.com>&":                  rawConfig,
		"Anna <anna@example.com>":                        textConfig,
		"<c><name>Anna &lt;anna@example.com></name></c>": xmlConfig,
	} {
		res, err := read(t, cfg, body, "text/html; charset=utf-8")
		if got := one(res.Records); err != nil || !slices.Equal(got, []Var{{"name", "Anna <anna@example.com>"}}) {
			t.Errorf("%s as %s becomes %v, %v", body, cfg.Format, got, err)
		}
	}
}

// Only a page from its first byte on says that the source does not work.
func TestIsPage(t *testing.T) {
	for _, cfg := range []Config{pairsConfig, rawConfig, textConfig, jsonConfig, xmlConfig} {
		for body, want := range map[string]bool{
			"<!DOCTYPE html><p>log in":                        true,
			"\xef\xbb\xbf\n <HTML><form action=?a=b>":         true,
			"<br />\n<b>Warning</b>: x in who.php\nname=Anna": false,
			"{": false,
		} {
			_, err := read(t, cfg, body, "text/html")
			if cfg.Format == "text" && body == "{" {
				continue
			}
			if err == nil || IsPage(err) != want {
				t.Errorf("%q as %s: %v, a page: %v, want %v", body, cfg.Format, err, IsPage(err), want)
			}
		}
	}
}

// An answer in another format names the key that reads it.
func TestRemedy(t *testing.T) {
	for _, tc := range []struct {
		cfg               Config
		contentType, body string
		want              string
	}{
		{pairsConfig, "", `{"name":"Anna"}`, `set format = "json"`},
		{pairsConfig, "text/html", `[{"name":"Anna"}]`, `set format = "json"`},
		{pairsConfig, "", "Anna", `set format = "text"`},
		{pairsConfig, "text/plain", "Anna Berg", `set format = "text"`},
		{pairsConfig, "", `<?xml version="1.0"?><c/>`, `set format = "xml"`},
		{jsonConfig, "application/xml", `<c/>`, `set format = "xml"`},
		{jsonConfig, "", "name=Anna", `set format = "pairs"`},
		{jsonConfig, "", "Anna", `set format = "text"`},
		{xmlConfig, "", `{"name":"Anna"}`, `set format = "json"`},
		{pairsConfig, "", "name=100%&x=1", `set format = "pairs-raw"`},
		{pairsConfig, "", "name=Smith & Sons&x=1", `set format = "pairs-raw"`},
		{pairsConfig, "", "name=Anna&amp;x=1", "set entities = true"},
		{pairsConfig, "text/plain; charset=martian", "name=Anna", `unknown charset "martian" in the Content-Type`},
		{xmlConfig, "", `<?xml version="1.0" encoding="klingon"?><c/>`, `unknown charset "klingon" in the XML declaration`},
	} {
		_, err := read(t, tc.cfg, tc.body, tc.contentType)
		text := fmt.Sprint(err, ": ", Advice(err))
		if err == nil || !strings.Contains(text, tc.want) {
			t.Errorf("%s as %s: %v, want %s", tc.body, tc.cfg.Format, text, tc.want)
		}
		if err != nil && strings.Count(text, "format = ") > 1 {
			t.Errorf("%s as %s: two remedies: %v", tc.body, tc.cfg.Format, text)
		}
		if err != nil && strings.Contains(text, "Anna") {
			t.Errorf("the error quotes the answer: %v", err)
		}
	}
}

// entities = true reads HTML entities in the values of every format.
func TestEntities(t *testing.T) {
	for body, cfg := range map[string]Config{
		`{"name":"Smith &amp; S&ouml;hne &#34;&#x41;&quot;"}`:              jsonConfig,
		"x=1&amp;name=Smith+%26amp%3B+S%26ouml%3Bhne %22A%22":              pairsConfig,
		"name=Smith &amp; S&ouml;hne &quot;A&quot;&x=1":                    rawConfig,
		"Smith &amp; S&ouml;hne &quot;A&quot;":                             textConfig,
		"<c><name>Smith &amp;amp; S&amp;ouml;hne &quot;A&quot;</name></c>": xmlConfig,
	} {
		cfg.Entities = true
		res, err := read(t, cfg, body, "")
		if len(res.Records) != 1 || res.Records[0].Value("name") != `Smith & Söhne "A"` {
			t.Errorf("%s as %s becomes %v, %v", body, cfg.Format, res.Records, err)
		}
	}
}

// One of a new customer's values that does not fit costs that value alone.
func TestRefusedAlone(t *testing.T) {
	cfg := Config{Format: "json", Records: ".list[]", Map: map[string]string{"name": ".name", "company": ".company.name", "tags": ".tags"}}
	res, err := read(t, cfg, `{"list":[{"name":"Anna","company":"ACME","tags":["a"]},{"name":"Boris","company":false}]}`, "")
	if err != nil || len(res.Records) != 2 || res.Records[0].Value("name") != "Anna" || len(res.Records[0]) != 1 || res.Records[1].Value("name") != "Boris" {
		t.Errorf("records = %v, %v", res.Records, err)
	}
	if len(res.Refused) != 2 || !strings.HasPrefix(res.Refused[0], "map.company: ") || !strings.HasPrefix(res.Refused[1], "map.tags: ") {
		t.Errorf("refused = %q, want company and tags", res.Refused)
	}
	cfg = Config{Format: "xml", Records: "//c", Map: map[string]string{"name": "name", "phone": "phone"}}
	res, err = read(t, cfg, `<l><c><name>Anna</name><phone>1</phone><phone>2</phone></c><c><name>Boris</name><phone>3</phone></c></l>`, "")
	if err != nil || len(res.Records) != 2 || res.Records[0].Value("name") != "Anna" || res.Records[0].Value("phone") != "" || res.Records[1].Value("phone") != "3" {
		t.Errorf("records of XML = %v, %v", res.Records, err)
	}
	if len(res.Refused) != 1 || !strings.HasPrefix(res.Refused[0], "map.phone: ") {
		t.Errorf("refused of XML = %q, want phone", res.Refused)
	}
}

// No customer in another shape than the mapping expects is NOTFOUND.
func TestNobody(t *testing.T) {
	list := Config{Format: "json", Records: ".data[]", Map: map[string]string{"name": ".name"}}
	object := Config{Format: "json", Map: map[string]string{"name": ".data.name"}}
	for _, body := range []string{`[]`, `false`, `""`, `null`, `{}`, `{"data":[]}`, `{"data":false}`, `{"data":""}`, `{"data":null}`, `[false]`, `[null]`, `[[]]`, `[{}]`, `[[[]],{}]`} {
		for _, cfg := range []Config{list, object, jsonConfig} {
			res, err := read(t, cfg, body, "")
			if err != nil || len(res.Records) > 1 || len(res.Records) == 1 && len(res.Records[0]) > 0 {
				t.Errorf("%s with %s %v becomes %v, %v, want no customer", body, cfg.Records, cfg.Map, res.Records, err)
			}
		}
	}
	for _, body := range []string{`{"data":[[false]]}`, `{"data":[null,[],[{}]]}`} {
		if res, err := read(t, list, body, ""); err != nil || len(res.Records) > 0 {
			t.Errorf("%s becomes %v, %v, want no customer", body, res.Records, err)
		}
	}
}

// Expressions of one source run at the same time.
func TestReadConcurrently(t *testing.T) {
	for body, cfg := range map[string]Config{`{"name":"Anna"}`: jsonConfig, "<c><name>Anna</name></c>": xmlConfig} {
		r, err := NewReader(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				res, err := r.Read(t.Context(), []byte(body), "")
				if err != nil || len(res.Records) != 1 || res.Records[0].Value("name") != "Anna" {
					t.Errorf("%s: %v, %v", cfg.Format, res, err)
				}
			})
		}
		all.Wait()
	}
}

// A new format is one new file and one line.
func TestNewFormat(t *testing.T) {
	formats["reverse"] = func(*Config) (parser, error) {
		return func(_ context.Context, d document) (Result, error) {
			body := slices.Clone(d.body)
			slices.Reverse(body)
			r, err := Record(nil).add("name", string(body))
			return Result{Records: []Record{r}}, err
		}, nil
	}
	defer delete(formats, "reverse")
	res, err := read(t, Config{Format: "reverse"}, "annA", "")
	if err != nil || one(res.Records)[0].Value != "Anna" || !slices.Contains(Formats(), "reverse") {
		t.Errorf("read %v, %v", res, err)
	}
}

// TestTime checks that an answer is read for as long as its configuration says, and half a second by default.
func TestTime(t *testing.T) {
	reader := func(limit time.Duration) *Reader {
		r, err := NewReader(Config{Format: "json", Map: map[string]string{"name": ".name"}, Time: limit})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var failed *Error
	_, err := reader(time.Nanosecond).Read(t.Context(), []byte(`{"name": "Anna"}`), "application/json")
	if !errors.As(err, &failed) || failed.Reason != ReasonLimit || !strings.Contains(err.Error(), "took longer than 1ns") {
		t.Errorf("%v, want the limit", err)
	}
	if got := reader(0).cfg.Time; got != 500*time.Millisecond {
		t.Errorf("the default is %v", got)
	}
}
