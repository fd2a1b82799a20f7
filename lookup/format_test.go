package lookup

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/htmlindex"
)

func newParserOf(t testing.TB, change func(*Config)) (*source, parser) {
	t.Helper()
	cfg := DefaultConfig()
	change(&cfg)
	p, err := formats[cfg.Format](&cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &source{cfg: cfg}, p
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
		{"a=1&a=2", nil, reasonSyntax},
		{"Anna", nil, reasonSyntax},
		{"Fatal error: x=1", nil, reasonSyntax},
		{"&name=Anna", nil, reasonSyntax},
		{"name=\xc0", nil, reasonCharset},
	} {
		records, err := parsePairsRaw(t.Context(), document{body: []byte(tc.body)})
		checkParsed(t, tc.body, records, err, tc.want, tc.reason)
	}
}

func checkParsed(t *testing.T, body string, records []record, err error, want []Var, reason string) {
	t.Helper()
	if reason != "" {
		if err == nil || asFault(err).reason != reason {
			t.Errorf("%.80q becomes %v, %v, want reason %s", body, records, err, reason)
		}
		return
	}
	if err != nil || !slices.Equal(one(records), want) {
		t.Errorf("%.80q becomes %v, %v, want %v", body, records, err, want)
	}
}

func TestParseText(t *testing.T) {
	_, p := newParserOf(t, func(c *Config) { c.Format = "text" })
	records, err := p(t.Context(), document{body: []byte("Anna & Boris = 100%")})
	checkParsed(t, "text", records, err, []Var{{"CALLERID(name)", "Anna & Boris = 100%"}}, "")
}

func TestParseJSON(t *testing.T) {
	_, p := newParserOf(t, func(c *Config) {
		c.Format = "json"
		c.Map = map[string]string{"name": ".contact.name", "id": ".contact.id", "vip": ".contact.vip", "tags": `.contact.tags // [] | join(",")`}
	})
	for _, tc := range []struct {
		body   string
		want   []Var
		reason string
	}{
		{`{"contact":{"name":"Anna \"A\"","id":12345678901234567890,"vip":true,"tags":["a","b"]}}`,
			[]Var{{"id", "12345678901234567890"}, {"name", `Anna "A"`}, {"tags", "a,b"}, {"vip", "true"}}, ""},
		{`{"contact":{"name":"\u0410","id":9007199254740993}}`, []Var{{"id", "9007199254740993"}, {"name", "А"}}, ""},
		{`{"contact":{"id":1.50}}`, []Var{{"id", "1.50"}}, ""},
		{`{"contact":null}`, nil, ""},
		{`{}`, nil, ""},
		{`null`, nil, ""},
		{`{"contact":{"name":{"first":"Anna"}}}`, nil, reasonType},
		{`{"contact":{"name":["Anna"]}}`, nil, reasonType},
		{`{"contact":[1]}`, nil, reasonType},
		{`"Anna"`, nil, reasonType},
		{`[]`, nil, reasonType},
		{`{"contact":{"name":"Anna"`, nil, reasonSyntax},
		{`{"contact":{"name":"Anna"}} trailing`, nil, reasonSyntax},
		{`{"contact":{"name":"Anna"}}{}`, nil, reasonSyntax},
		{`{'contact':1}`, nil, reasonSyntax},
		{`callback({"contact":1})`, nil, reasonSyntax},
		{strings.Repeat("[", 100000), nil, reasonSyntax},
		{strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), nil, reasonSyntax},
		{"[" + strings.Repeat("1,", 100000) + "1]", nil, reasonSyntax},
		{"{\"contact\":{\"name\":\"\xff\"}}", nil, reasonCharset},
	} {
		records, err := p(t.Context(), document{body: []byte(tc.body)})
		checkParsed(t, tc.body, records, err, tc.want, tc.reason)
	}
}

func TestParseXML(t *testing.T) {
	_, p := newParserOf(t, func(c *Config) {
		c.Format = "xml"
		c.Map = map[string]string{"name": "//contact/name", "id": "/crm/contact/@id", "n": "count(//phone)", "vip": "string(//contact/vip)"}
	})
	for _, tc := range []struct {
		body   string
		want   []Var
		reason string
	}{
		{`<crm><contact id="7"><name> Anna &amp; <![CDATA[<B>]]></name><phone/><phone/><vip>yes</vip></contact></crm>`,
			[]Var{{"id", "7"}, {"n", "2"}, {"name", "Anna & <B>"}, {"vip", "yes"}}, ""},
		{`<?xml version="1.0" encoding="utf-8"?><crm/>`, []Var{{"n", "0"}}, ""},
		{`<crm><contact><name>A</name></contact><contact><name>B</name></contact></crm>`, nil, reasonType},
		{`<crm><contact>`, nil, reasonSyntax},
		{`<crm></contact>`, nil, reasonSyntax},
		{`name=Anna`, nil, reasonSyntax},
		{`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><crm><contact><name>&b;</name></contact></crm>`, nil, reasonSyntax},
		{`<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><crm><name>&a;</name></crm>`, nil, reasonSyntax},
		{"<html><body>log in</body></html>", nil, reasonHTML},
		{strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000), nil, reasonLimit},
		{"<a>" + strings.Repeat("<b/>", 100000) + "</a>", nil, reasonLimit},
		{"<crm><contact><name>\xff</name></contact></crm>", nil, reasonCharset},
		{"<crm>\x00</crm>", nil, reasonSyntax},
	} {
		records, err := p(t.Context(), document{body: []byte(tc.body)})
		checkParsed(t, tc.body, records, err, tc.want, tc.reason)
	}
}

// A name in each charset of daily use, told of in each way there is.
func TestCharset(t *testing.T) {
	for charset, name := range map[string]string{
		"windows-1251": "Анна Ёлкина", "koi8-r": "Анна", "windows-1255": "חנה", "iso-8859-8": "חנה", "iso-8859-1": "Zoë", "utf-8": "Анна חנה 🙂", "utf-16le": "Анна",
	} {
		enc, err := htmlindex.Get(charset)
		if err != nil {
			t.Fatal(err)
		}
		encode := func(s string) string {
			b, err := enc.NewEncoder().String(s)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		xml := func(head string) string {
			return encode(`<?xml version="1.0"` + head + `?><c><name>` + name + `</name></c>`)
		}
		percent := ""
		for _, c := range []byte(encode(name)) {
			percent += "%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15])
		}
		cases := map[string]struct {
			format, contentType, configured, body string
		}{
			"Content-Type":    {"pairs-raw", "text/plain; charset=" + charset, "", encode("name=" + name)},
			"configured":      {"pairs-raw", "text/plain; charset=us-ascii", charset, encode("name=" + name)},
			"text":            {"text", "text/plain", charset, encode(name)},
			"JSON":            {"json", "application/json; charset=" + charset, "", encode(`{"name":"` + name + `"}`)},
			"XML declaration": {"xml", "text/xml", "", xml(` encoding="` + charset + `"`)},
			"XML":             {"xml", "text/xml; charset=" + charset, "", xml(` encoding="ascii"`)},
			"percent":         {"pairs", "text/html; charset=" + charset, "", "name=" + percent},
		}
		if charset == "utf-16le" {
			delete(cases, "percent")
			delete(cases, "XML declaration")
		}
		for way, tc := range cases {
			cfg := crm(t, page(tc.contentType, tc.body))
			cfg.Format, cfg.Charset, cfg.Variable = tc.format, tc.configured, "name"
			switch tc.format {
			case "json":
				cfg.Map = map[string]string{"name": ".name"}
			case "xml":
				cfg.Map = map[string]string{"name": "//name"}
			}
			if got := await(start(t, cfg).Ask(ask(anna))); got.Outcome != Found || got.value("name") != name {
				t.Errorf("%s by %s: %+v, want %s", charset, way, got, name)
			}
		}
	}
}

func TestAmbiguous(t *testing.T) {
	const two = `{"list":[{"id":1,"name":"Anna","prio":5,"city":"Riga"},{"id":2,"name":"Boris","prio":3,"city":"Riga"}]}`
	for _, tc := range []struct {
		ambiguous, body string
		nobody          []string
		outcome         Outcome
		want            []Var
	}{
		{"none", two, nil, Missing, []Var{{"match", "ambiguous"}, {"match_count", "2"}}},
		{"first", two, nil, Found, []Var{{"city", "Riga"}, {"id", "1"}, {"name", "Anna"}, {"prio", "5"}, {"match", "ambiguous"}, {"match_count", "2"}}},
		{"join", two, nil, Found, []Var{{"city", "Riga"}, {"name", "Anna / Boris"}, {"match", "ambiguous"}, {"match_count", "2"}}},
		{"none", two, []string{"2"}, Found, []Var{{"city", "Riga"}, {"id", "1"}, {"name", "Anna"}, {"prio", "5"}, {"match", "exact"}, {"match_count", "1"}}},
		{"none", two, []string{"1", "2"}, Missing, []Var{{"match", "none"}, {"match_count", "0"}}},
		{"none", `{"list":[]}`, nil, Missing, []Var{{"match", "none"}, {"match_count", "0"}}},
		{"none", `{"list":[null,{}]}`, nil, Missing, []Var{{"match", "none"}, {"match_count", "0"}}},
		{"none", `{"list":[{"id":7,"name":"A"},{"id":7,"name":"B"}]}`, nil, Found, []Var{{"id", "7"}, {"name", "A"}, {"match", "exact"}, {"match_count", "1"}}},
		{"none", `{"list":[{"name":"A"}]}`, []string{""}, Missing, []Var{{"match", "none"}, {"match_count", "0"}}},
	} {
		cfg := crm(t, page("application/json", tc.body))
		cfg.Format, cfg.Records, cfg.Identity, cfg.Ambiguous, cfg.Nobody = "json", ".list[]", "id", tc.ambiguous, tc.nobody
		cfg.Map = map[string]string{"id": ".id", "name": ".name", "prio": ".prio", "city": ".city"}
		b := start(t, cfg)
		for range 2 { // from the source, and from the cache
			if got := await(b.Ask(ask(anna))); got.Outcome != tc.outcome || !slices.Equal(got.Vars, tc.want) {
				t.Errorf("%s of %s: %+v, want %s %v", tc.ambiguous, tc.body, got, tc.outcome, tc.want)
			}
		}
	}
}

func TestSeveralCustomersInXML(t *testing.T) {
	cfg := crm(t, page("text/xml", `<crm><contact id="1"><name>Anna</name></contact><contact id="2"><name>Boris</name></contact></crm>`))
	cfg.Format, cfg.Records, cfg.Identity, cfg.Ambiguous = "xml", "//contact", "id", "join"
	cfg.Map = map[string]string{"id": "@id", "name": "name"}
	if got := await(start(t, cfg).Ask(ask(anna))); got.value("name") != "Anna / Boris" || got.value("match_count") != "2" {
		t.Errorf("answer = %+v", got)
	}
}

// A source may not grade itself.
func TestMatchIsOurs(t *testing.T) {
	b := start(t, crm(t, answers("name=Anna&match=exact&match_count=0")))
	if got := await(b.Ask(ask(anna))); !slices.Equal(got.Vars, []Var{{"name", "Anna"}, {"match", "exact"}, {"match_count", "1"}}) {
		t.Errorf("answer = %+v", got)
	}
}

// What the mapping takes out of an answer is not found under another mapping.
func TestChangedMapping(t *testing.T) {
	cfg := crm(t, page("application/json", `{"a":"A","b":"B"}`))
	cfg.Format, cfg.Map = "json", map[string]string{"name": ".a"}
	b := start(t, cfg)
	await(b.Ask(ask(anna)))
	cfg.Map = map[string]string{"name": ".b"}
	next := start(t, cfg)
	for _, s := range next.sources {
		s.cache = b.cache
	}
	if got := await(next.Ask(ask(anna))); got.value("name") != "B" {
		t.Errorf("answer = %+v, want what the new mapping takes", got)
	}
}

// T-CRM-03, of the formats that need a mapping.
func TestBrokenStructures(t *testing.T) {
	for name, tc := range map[string]struct {
		format, contentType, body, reason string
	}{
		"page as JSON":      {"json", "text/html", "<html>", reasonHTML},
		"page as XML":       {"xml", "text/html", "<!DOCTYPE html><html><p>log in", reasonHTML},
		"neat page as XML":  {"xml", "text/xml", "<?xml version='1.0'?><html/>", reasonHTML},
		"XML as JSON":       {"json", "text/xml", "<crm/>", reasonHTML},
		"JSON as XML":       {"xml", "application/json", `{"name":1}`, reasonSyntax},
		"half of JSON":      {"json", "application/json", `{"name":"An`, reasonSyntax},
		"half of XML":       {"xml", "text/xml", "<crm><name>An", reasonSyntax},
		"billion laughs":    {"xml", "text/xml", `<!DOCTYPE l [<!ENTITY a "l"><!ENTITY b "&a;&a;">]><l>&b;</l>`, reasonSyntax},
		"object for a name": {"json", "application/json", `{"name":{"a":1}}`, reasonType},
		"two names":         {"xml", "text/xml", "<c><name>A</name><name>B</name></c>", reasonType},
		"deep JSON":         {"json", "application/json", strings.Repeat("[", 200000), reasonSyntax},
		"deep XML":          {"xml", "text/xml", strings.Repeat("<a>", 80000), reasonLimit},
		"wide XML":          {"xml", "text/xml", "<a>" + strings.Repeat("<b/>", 60000) + "</a>", reasonLimit},
		"two roots":         {"json", "application/json", `{"name":"A"}{"name":"B"}`, reasonSyntax},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := crm(t, page(tc.contentType, tc.body))
			cfg.Format, cfg.Map = tc.format, map[string]string{"name": map[string]string{"json": ".name", "xml": "//name"}[tc.format]}
			b := start(t, cfg)
			if got := await(b.Ask(ask(anna))); got.Outcome != Failed || got.Vars != nil {
				t.Errorf("answer = %+v, want error", got)
			}
			if n := b.count(t, "ringhook_lookup_errors_total", "crm", tc.reason); n != 1 {
				t.Errorf("counted %v times as %s, want once: %s", n, tc.reason, b.log.text())
			}
		})
	}
}

// T-CFG-03: an expression that never ends is ended, by the deadline or before
// it, in whichever language it is.
func TestEndlessExpression(t *testing.T) {
	wide := "<a>" + strings.Repeat("<b/>", maxNodes/4) + "</a>"
	for name, tc := range map[string]struct{ format, body, endless, records string }{
		"jq":              {"json", `{}`, "def f: f; f", ""},
		"jq that grows":   {"json", `{}`, "[range(1e12)] | length", ""},
		"XPath":           {"xml", wide, "count(//*[count(//*[count(//*) > 1]) > 1])", ""},
		"XPath's records": {"xml", wide, "string(.)", "//*[count(//*[count(//*) > 1]) > 1]"},
		"XPath's text":    {"xml", wide, "count(//*[//*[contains(., 'x')]])", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := crm(t, page("text/plain", tc.body))
			cfg.Format, cfg.Map, cfg.Records = tc.format, map[string]string{"name": tc.endless}, tc.records
			src, q := start(t, cfg).sources[0], ask(anna)
			if _, _, r := src.fetch(src.attempts(&q), deadlineIn(fetchTime(Timeout))); r.outcome != Timeout {
				t.Errorf("fetch = %+v, want timeout", r)
			}
			if _, _, r := src.fetch(src.attempts(&q), deadlineIn(time.Minute)); r.outcome != Failed || r.fault.reason != reasonLimit {
				t.Errorf("fetch without haste = %+v, want error because of %s", r, reasonLimit)
			}
		})
	}
}

func FuzzStructures(f *testing.F) {
	for _, s := range []string{
		`{"list":[{"id":1,"name":"Anna"}]}`, `{"list":null}`, `[`, `{"list":[[1]]}`, `<crm><contact id="1"><name>A</name></contact></crm>`,
		`<?xml version="1.0" encoding="koi8-r"?><crm/>`, "<!DOCTYPE a>", "\xff\xfe<\x00", "<crm><contact id='1'/><contact id='2'/></crm>",
	} {
		f.Add([]byte(s), "text/xml; charset=windows-1251")
		f.Add([]byte(s), "")
	}
	js, parseJSON := newParserOf(f, func(c *Config) {
		c.Format, c.Records, c.Ambiguous, c.Map = "json", ".list[]?", "join", map[string]string{"id": ".id", "name": ".name"}
	})
	_, parseXML := newParserOf(f, func(c *Config) {
		c.Format, c.Records, c.Map = "xml", "//contact", map[string]string{"id": "@id", "name": "name", "n": "count(*)"}
	})
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		d, err := open(body, contentType, "")
		if err != nil || len(d.body) == 0 {
			return
		}
		for _, p := range []parser{parseJSON, parseXML} {
			records, err := p(t.Context(), d)
			checkRecords(t, records, err)
			if err == nil {
				r := js.grade(records, matchExact)
				checkRecords(t, []record{r.vars}, nil)
			}
		}
	})
}
