package lookup

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/htmlindex"

	"ringhook/lookup/answer"
)

// TestCharset checks a name in each common charset, for each way to declare the charset.
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

// TestAmbiguous checks the values of ambiguous for answers with several customers.
func TestAmbiguous(t *testing.T) {
	const two = `{"list":[{"id":1,"name":"Anna","prio":5,"city":"Riga"},{"id":2,"name":"Boris","prio":3,"city":"Riga"}]}`
	for _, tc := range []struct {
		ambiguous, body string
		nobody          []string
		outcome         Outcome
		want            []Var
	}{
		{"none", two, nil, Missing, []Var{{Name: "match", Value: "ambiguous"}, {Name: "match_count", Value: "2"}}},
		{"first", two, nil, Found, []Var{{Name: "city", Value: "Riga"}, {Name: "id", Value: "1"}, {Name: "name", Value: "Anna"}, {Name: "prio", Value: "5"}, {Name: "match", Value: "ambiguous"}, {Name: "match_count", Value: "2"}}},
		{"join", two, nil, Found, []Var{{Name: "city", Value: "Riga"}, {Name: "name", Value: "Anna / Boris"}, {Name: "match", Value: "ambiguous"}, {Name: "match_count", Value: "2"}}},
		{"none", two, []string{"2"}, Found, []Var{{Name: "city", Value: "Riga"}, {Name: "id", Value: "1"}, {Name: "name", Value: "Anna"}, {Name: "prio", Value: "5"}, {Name: "match", Value: "exact"}, {Name: "match_count", Value: "1"}}},
		{"none", two, []string{"1", "2"}, Missing, []Var{{Name: "match", Value: "none"}, {Name: "match_count", Value: "0"}}},
		{"none", `{"list":[]}`, nil, Missing, []Var{{Name: "match", Value: "none"}, {Name: "match_count", Value: "0"}}},
		{"none", `{"list":[null,{}]}`, nil, Missing, []Var{{Name: "match", Value: "none"}, {Name: "match_count", Value: "0"}}},
		{"none", `{"list":[{"id":7,"name":"A"},{"id":7,"name":"B"}]}`, nil, Found, []Var{{Name: "id", Value: "7"}, {Name: "name", Value: "A"}, {Name: "match", Value: "exact"}, {Name: "match_count", Value: "1"}}},
		{"none", `{"list":[{"name":"A"}]}`, []string{""}, Missing, []Var{{Name: "match", Value: "none"}, {Name: "match_count", Value: "0"}}},
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

// TestSeveralCustomersInXML checks an XML answer with several customers.
func TestSeveralCustomersInXML(t *testing.T) {
	cfg := crm(t, page("text/xml", `<crm><contact id="1"><name>Anna</name></contact><contact id="2"><name>Boris</name></contact></crm>`))
	cfg.Format, cfg.Records, cfg.Identity, cfg.Ambiguous = "xml", "//contact", "id", "join"
	cfg.Map = map[string]string{"id": "@id", "name": "name"}
	if got := await(start(t, cfg).Ask(ask(anna))); got.value("name") != "Anna / Boris" || got.value("match_count") != "2" {
		t.Errorf("answer = %+v", got)
	}
}

// TestMatchIsOurs checks that a source cannot set match.
func TestMatchIsOurs(t *testing.T) {
	b := start(t, crm(t, answers("name=Anna&match=exact&match_count=0")))
	if got := await(b.Ask(ask(anna))); !slices.Equal(got.Vars, []Var{{Name: "name", Value: "Anna"}, {Name: "match", Value: "exact"}, {Name: "match_count", Value: "1"}}) {
		t.Errorf("answer = %+v", got)
	}
}

// TestChangedMapping checks that a cached answer is not used with another mapping.
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
		t.Errorf("answer = %+v, want that of the new mapping", got)
	}
}

// TestBrokenStructures checks invalid answers in the formats that need a mapping (T-CRM-03).
func TestBrokenStructures(t *testing.T) {
	for name, tc := range map[string]struct {
		format, contentType, body, reason string
	}{
		"page as JSON":      {"json", "text/html", "<html>", answer.ReasonHTML},
		"page as XML":       {"xml", "text/html", "<!DOCTYPE html><html><p>log in", answer.ReasonHTML},
		"neat page as XML":  {"xml", "text/xml", "<?xml version='1.0'?><html/>", answer.ReasonHTML},
		"XML as JSON":       {"json", "text/xml", "<crm/>", answer.ReasonSyntax},
		"JSON as XML":       {"xml", "application/json", `{"name":1}`, answer.ReasonSyntax},
		"half of JSON":      {"json", "application/json", `{"name":"An`, answer.ReasonSyntax},
		"half of XML":       {"xml", "text/xml", "<crm><name>An", answer.ReasonSyntax},
		"billion laughs":    {"xml", "text/xml", `<!DOCTYPE l [<!ENTITY a "l"><!ENTITY b "&a;&a;">]><l>&b;</l>`, answer.ReasonSyntax},
		"object for a name": {"json", "application/json", `{"name":{"a":1}}`, answer.ReasonType},
		"two names":         {"xml", "text/xml", "<c><name>A</name><name>B</name></c>", answer.ReasonType},
		"deep JSON":         {"json", "application/json", strings.Repeat("[", 200000), answer.ReasonSyntax},
		"deep XML":          {"xml", "text/xml", strings.Repeat("<a>", 80000), answer.ReasonLimit},
		"wide XML":          {"xml", "text/xml", "<a>" + strings.Repeat("<b/>", 60000) + "</a>", answer.ReasonLimit},
		"two roots":         {"json", "application/json", `{"name":"A"}{"name":"B"}`, answer.ReasonSyntax},
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

// TestEndlessExpression checks that an expression in any language ends at the deadline or before
// (T-CFG-03).
func TestEndlessExpression(t *testing.T) {
	wide := "<a>" + strings.Repeat("<b/>", 5000) + "</a>"
	for name, tc := range map[string]struct{ format, body, endless, records string }{
		"jq":              {"json", `{"a":1}`, "def f: f; f", ""},
		"jq that grows":   {"json", `{"a":1}`, "[range(1e12)] | length", ""},
		"XPath":           {"xml", wide, "count(//*[count(//*[count(//*) > 1]) > 1])", ""},
		"XPath's records": {"xml", wide, "string(.)", "//*[count(//*[count(//*) > 1]) > 1]"},
		"XPath's text":    {"xml", wide, "count(//*[//*[contains(., 'x')]])", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := crm(t, page("text/plain", tc.body))
			cfg.Format, cfg.Map, cfg.Records = tc.format, map[string]string{"name": tc.endless}, tc.records
			src, q := start(t, cfg).sources[0], ask(anna)
			if r := fetch(src, &q, deadlineIn(fetchTime(Timeout))); r.outcome != Timeout && (r.fault == nil || r.fault.reason != answer.ReasonLimit) {
				t.Errorf("fetch = %+v, want timeout", r)
			}
			if r := fetch(src, &q, deadlineIn(time.Minute)); r.outcome != Failed || r.fault.reason != answer.ReasonLimit {
				t.Errorf("fetch without a deadline = %+v, want error because of %s", r, answer.ReasonLimit)
			}
		})
	}
}
