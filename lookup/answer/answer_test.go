package answer

import (
	"errors"
	"slices"
	"strings"
	"testing"
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
		{"&name=Anna", nil, ReasonSyntax},
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
		{`{"contact":null}`, nil, ""},
		{`{}`, nil, ""},
		{`null`, nil, ""},
		{`{"contact":{"name":{"first":"Anna"}}}`, nil, ReasonType},
		{`{"contact":{"name":["Anna"]}}`, nil, ReasonType},
		{`{"contact":[1]}`, nil, ReasonType},
		{`"Anna"`, nil, ReasonType},
		{`[]`, nil, ReasonType},
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
		{`<crm><contact><name>A</name></contact><contact><name>B</name></contact></crm>`, nil, ReasonType},
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
