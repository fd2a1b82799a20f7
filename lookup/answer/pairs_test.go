package answer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

func TestParsePairs(t *testing.T) {
	many := make([]string, maxVars+1)
	for i := range many {
		many[i] = fmt.Sprintf("v%d=%d", i, i)
	}
	for _, tc := range []struct {
		body   string
		want   []Var
		reason string
	}{
		{"name=Anna", []Var{{"name", "Anna"}}, ""},
		{"CALLERID(name)=Anna+K.&QUEUE_PRIO=5", []Var{{"CALLERID(name)", "Anna K."}, {"QUEUE_PRIO", "5"}}, ""},
		{"CALLERID%28name%29=%D0%90%D0%BD%D0%BD%D0%B0", []Var{{"CALLERID(name)", "Анна"}}, ""},
		{"name=Анна", []Var{{"name", "Анна"}}, ""},
		{"note=a%26b%3Dc=d%2B", []Var{{"note", "a&b=c=d+"}}, ""},
		{"a=&b=1", []Var{{"b", "1"}}, ""},
		{"a=", nil, ""},
		{"a=1&a=1", []Var{{"a", "1"}}, ""},
		{"a=1&a=", []Var{{"a", "1"}}, ""},
		{"a=1&a=2", nil, ReasonSyntax},
		{"name", nil, ReasonSyntax},
		{"a=1&", []Var{{"a", "1"}}, ""},
		{"a=1&&b=2", []Var{{"a", "1"}, {"b", "2"}}, ""},
		{"a=1& &b=2\n \n", []Var{{"a", "1"}, {"b", "2"}}, ""},
		{"a=1\r\nb=2\n\nc=3", []Var{{"a", "1"}, {"b", "2"}, {"c", "3"}}, ""},
		{"name=ACME%0D%0ACorp.%09Ltd", []Var{{"name", "ACME Corp. Ltd"}}, ""},
		{"a=1& b=2", []Var{{"a", "1"}, {"b", "2"}}, ""},
		{"=1", nil, ReasonSyntax},
		{"a=%4", nil, ReasonSyntax},
		{"a=%zz", nil, ReasonSyntax},
		{"%=1", nil, ReasonSyntax},
		{"a b=1", nil, ReasonSyntax},
		{"a+b=1", nil, ReasonSyntax},
		{"a\r\nb=1", nil, ReasonSyntax},
		{"имя=1", nil, ReasonSyntax},
		{"{\"name\":\"a=b\"}", nil, ReasonSyntax},
		{"Fatal error: x = 1", nil, ReasonSyntax},
		{strings.Repeat("n", maxName+1) + "=1", nil, ReasonSyntax},
		{"a=\xc0\xed\xed\xe0", nil, ReasonCharset},
		{"a=%C0%ED", nil, ReasonCharset},
		{strings.Join(many[:maxVars], "&"), nil, ""},
		{strings.Join(many, "&"), nil, ReasonLimit},
	} {
		res, err := parsePairs(t.Context(), document{body: []byte(tc.body)})
		got := one(res.Records)
		if tc.reason != "" {
			if reasonOf(err) != tc.reason {
				t.Errorf("parsePairs(%.60q) = %v, %v, want reason %s", tc.body, got, err, tc.reason)
			}
			continue
		}
		if err != nil || tc.want != nil && !slices.Equal(got, tc.want) {
			t.Errorf("parsePairs(%.60q) = %v, %v, want %v", tc.body, got, err, tc.want)
		}
	}
}

// one returns the only record of an answer, nil if it has another number of them.
func one(records []Record) []Var {
	if len(records) != 1 {
		return nil
	}
	return records[0]
}

// checkRecords checks what every format must keep to for any input.
func checkRecords(t *testing.T, records []Record, err error) {
	t.Helper()
	if err != nil {
		if reason := reasonOf(err); !slices.Contains([]string{ReasonHTML, ReasonCharset, ReasonSyntax, ReasonType, ReasonLimit}, reason) {
			t.Fatalf("reason %q is not on the list", reason)
		}
		return
	}
	if len(records) > maxRecords {
		t.Fatalf("%d records", len(records))
	}
	for _, r := range records {
		if len(r) > maxVars {
			t.Fatalf("%d variables", len(r))
		}
		for i, v := range r {
			if !IsVarName(v.Name) || v.Value == "" || !utf8.ValidString(v.Value) || strings.ContainsFunc(v.Value, isControl) {
				t.Fatalf("variable %q = %q", v.Name, v.Value)
			}
			if r[:i].Value(v.Name) != "" {
				t.Fatalf("variable %q twice", v.Name)
			}
		}
	}
}

func FuzzPairs(f *testing.F) {
	for _, s := range []string{"a=1&b=2", "CALLERID(name)=A+B", "%41=%42", "a", "=", "&", "a=%", "\xff=\xff", "a=1&a=2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, charset := range []encoding.Encoding{nil, charmap.Windows1251} {
			d := document{body: body, charset: charset}
			res, err := parsePairs(t.Context(), d)
			checkRecords(t, res.Records, err)
			res, err = parsePairsRaw(t.Context(), d)
			if len(body) > 0 {
				checkRecords(t, res.Records, err)
			}
		}
	})
}
