package ami

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ringhook/ami/amitest"
)

func TestEncode(t *testing.T) {
	a := Action{"Redirect", []Field{{"Channel", "PJSIP/101-00000001"}, {"Context", "a: b"}, {"Empty", ""}}}
	got, err := a.encode("x-1")
	if want := "Action: Redirect\r\nActionID: x-1\r\nChannel: PJSIP/101-00000001\r\nContext: a: b\r\nEmpty: \r\n\r\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
}

func TestEncodeRefuses(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n-len("Value: \r\n")) }
	f := func(ok bool, a Action) {
		t.Helper()
		got, err := a.encode("x-1")
		if (err == nil) != ok || !ok && (got != nil || !errors.Is(err, ErrInvalid)) {
			t.Errorf("%.80q: got %.80q, %v", a, got, err)
		}
	}
	for _, value := range []string{"x\nAction: CoreStatus", "x\r", "\r\n", "x\x00y", "\n\nAction: Originate"} {
		f(false, Action{"Setvar", []Field{{"Value", value}}})
		f(false, Action{value, nil})
	}
	for _, value := range []string{"", " ", "a\vb\u0085\u2028%0a\\n\xc0\x8a", `"${x}";#`, long(1024)} {
		f(true, Action{"Setvar", []Field{{"Value", value}}})
	}
	f(false, Action{"Setvar", []Field{{"Value", long(1025)}}})
	for _, key := range []string{"", "a b", "a:b", "x\n", "Action", "actionid", "ключ"} {
		f(false, Action{"Setvar", []Field{{key, "x"}}})
	}
	f(true, Action{"Originate", make126()})
	f(false, Action{"Originate", append(make126(), Field{"Variable", "x"})})
}

func make126() []Field {
	fields := make([]Field, maxSentFields-2)
	for i := range fields {
		fields[i] = Field{"Variable", fmt.Sprint(i)}
	}
	return fields
}

// FuzzEncode reads what is sent as Asterisk does: it is one action with exactly these fields.
func FuzzEncode(f *testing.F) {
	f.Add("Setvar", "Value", "x\n\nAction: CoreStatus")
	f.Add("Setvar", "Value", "x\r\r\n")
	f.Add("Ping", "Action", "Originate")
	f.Fuzz(func(t *testing.T, name, key, value string) {
		a := Action{name, []Field{{key, value}, {"Last", "z"}}}
		text, err := a.encode("id-1")
		if err != nil {
			return
		}
		in := bufio.NewReader(strings.NewReader(string(text)))
		r, err := amitest.Read(in)
		if err != nil {
			t.Fatal(err)
		}
		if r.Action != strings.TrimLeft(name, " ") || r.ID != "id-1" || len(r.Fields) != 2 ||
			r.Fields[0] != [2]string{key, strings.TrimLeft(value, " ")} || r.Fields[1] != [2]string{"Last", "z"} || in.Buffered() > 0 {
			t.Fatalf("%q was read as %q, with %d bytes left", text, r, in.Buffered())
		}
	})
}
