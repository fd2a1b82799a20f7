package phonebook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"ringhook/lookup"
)

// told writes what a reader gave, one line each.
func told(entries iter.Seq2[Entry, error]) string {
	var b strings.Builder
	for e, err := range entries {
		if err != nil {
			fmt.Fprintln(&b, err)
			continue
		}
		fmt.Fprint(&b, e.Line, ": ", e.Number)
		for _, v := range e.Vars {
			fmt.Fprintf(&b, " %s=%s", v.Name, v.Value)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

func TestReadCSV(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, tc := range []struct{ name, text, want string }{
		{"plain", "number,name\n+49 30 1,Anna\n2,Ben\n", "2: +49 30 1 CALLERID(name)=Anna\n3: 2 CALLERID(name)=Ben\n"},
		{"mark, CRLF and semicolons", byteOrderMark + "Phone;CALLERID(name);QUEUE_PRIO\r\n1;Zoë;5\r\n2;;7", "2: 1 CALLERID(name)=Zoë QUEUE_PRIO=5\n3: 2 QUEUE_PRIO=7\n"},
		{"tabs", "name\tnumber\nAnna, B; C\t1\n", "2: 1 CALLERID(name)=Anna, B; C\n"},
		{"columns without a name", "number,name,,\n1,Anna,x,y\n", "2: 1 CALLERID(name)=Anna\n"},
		{"blank lines", "number,name\n\n  \n1,Anna\n\n", "4: 1 CALLERID(name)=Anna\n"},
		{"quotes", "number,name\n1,\"An \"\"na\"\"\nB, C\"\n2,Ben\n", "2: 1 CALLERID(name)=An \"na\"\nB, C\n4: 2 CALLERID(name)=Ben\n"},
		{"an open quote costs its line", "number,name\n1,\"Anna\n2,Ben\n3,Cy\n", "line 2: extraneous or missing \" in quoted-field\n3: 2 CALLERID(name)=Ben\n4: 3 CALLERID(name)=Cy\n"},
		{"a quote inside", "number,name\n1,5\" pipe\n2,Ben\n", "line 2: bare \" in non-quoted-field\n3: 2 CALLERID(name)=Ben\n"},
		{"other bad lines", "number,name\n1\n1,A,B\n,Anna\n5,\n6,\xe9\n7,Ben\n",
			"line 2: has 1 columns, the first line 2\nline 3: has 3 columns, the first line 2\nline 4: has no number\n" +
				"line 5: says nothing of its number\nline 6: is not UTF-8: save the file in that encoding\n7: 7 CALLERID(name)=Ben\n"},
		{"a long line", "number,name\n1," + long + "\n2,Ben\n", "line 2: is longer than 65536 bytes\n3: 2 CALLERID(name)=Ben\n"},
		{"a long line behind a quote", "number,name\n1,\"A\n3," + long + "\n2,Ben\n", "line 2: extraneous or missing \" in quoted-field\n4: 2 CALLERID(name)=Ben\n"},
		{"empty", "", "the file is empty: its first line has to name the columns, such as number,name\n"},
		{"no number", "name,info\n", "no column is called number or phone: the first line has to name the columns, such as number,name\n"},
		{"two numbers", "number,name,phone\n", "columns 1 and 3 are both called number or phone: one of them is expected\n"},
		{"no variable", "number,Customer Name\n", "column 2 is called \"Customer Name\", which is no name of a variable: CALLERID(name), call_info or customer_id are such\n"},
		{"twice", "number,name,CALLERID(name)\n", "column 3 is the second of the name CALLERID(name)\n"},
		{"long header", long + "y\n", "line 1 is too long to name the columns\n"},
	} {
		if got := told(ReadCSV(strings.NewReader(tc.text))); got != tc.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, got, tc.want)
		}
	}
}

func TestReadVCard(t *testing.T) {
	long := strings.Repeat("QUFB", maxLine)
	for _, tc := range []struct{ name, text, want string }{
		{"4.0", "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Zoë Müller\r\nN:Müller;Zoë;;;\r\nORG:Example\\, Inc.;Sales\r\nTEL;TYPE=\"voice,home\";VALUE=uri:tel:+49-30-123456;ext=7\r\nitem1.TEL:+44 20 7946 0142\r\nEND:VCARD\r\n",
			"6: +49-30-123456 CALLERID(name)=Zoë Müller call_info=Example, Inc., Sales\n7: +44 20 7946 0142 CALLERID(name)=Zoë Müller call_info=Example, Inc., Sales\n"},
		{"2.1", "begin:vcard\nN;CHARSET=windows-1251;ENCODING=QUOTED-PRINTABLE:=C8=E2=E0=ED=EE=E2;=C8=E2=\n=E0=ED;;;\nTEL;CELL:89991234567\nend:vcard\n", "4: 89991234567 CALLERID(name)=Иван Иванов\n"},
		{"folded", "BEGIN:VCARD\nFN:An\n na\n\t B\nTEL:1\n 2\nEND:VCARD\n", "5: 12 CALLERID(name)=Anna B\n"},
		{"a photo", "BEGIN:VCARD\nFN:Anna\nPHOTO;ENCODING=b:" + long + "\n " + long + "\nTEL:1\nEND:VCARD\n", "5: 1 CALLERID(name)=Anna\n"},
		{"an organization", "BEGIN:VCARD\nFN:\nORG:Example\nTEL:1\nEND:VCARD\n", "4: 1 CALLERID(name)=Example\n"},
		{"titles", "BEGIN:VCARD\nN:Lovelace;Ada;King;Lady;\nTEL:1\nEND:VCARD\n", "3: 1 CALLERID(name)=Lady Ada King Lovelace\n"},
		{"no number", "BEGIN:VCARD\nFN:Anna\nEND:VCARD\n", ""},
		{"no name", "BEGIN:VCARD\nTEL:1\nEND:VCARD\nBEGIN:VCARD\nFN:Ben\nTEL:2\nEND:VCARD\n", "line 1: the card has numbers and no name\n6: 2 CALLERID(name)=Ben\n"},
		{"no end", "BEGIN:VCARD\nFN:A\nTEL:1\nBEGIN:VCARD\nFN:B\nTEL:2\nEND:VCARD\nBEGIN:VCARD\n",
			"line 1: the card does not end before the next begins\n6: 2 CALLERID(name)=B\nline 8: the card does not end\n"},
		{"not UTF-8", "BEGIN:VCARD\nFN:\xe9\nTEL:1\nEND:VCARD\n", "line 2: FN is not UTF-8: save the file in that encoding\n"},
		{"unknown charset", "BEGIN:VCARD\nFN;CHARSET=X-OWN:a\nTEL:1\nEND:VCARD\n", "line 2: charset \"X-OWN\" of FN is unknown\n"},
		{"bad quoted-printable", "BEGIN:VCARD\nFN;QUOTED-PRINTABLE:a\x01\nTEL:1\nEND:VCARD\n", "line 2: FN is not quoted-printable, as it says\n"},
		{"a long name", "BEGIN:VCARD\nFN:" + long + "\nTEL:1\nEND:VCARD\n", "line 2: FN is longer than 65536 bytes\n"},
		{"nothing of it", "hello\n\nnumber,name\n", ""},
	} {
		if got := told(ReadVCard(strings.NewReader(tc.text))); got != tc.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, got, tc.want)
		}
	}
}

// A disk that fails ends the reading with its error.
func TestReadFails(t *testing.T) {
	broken := errors.New("disk is broken")
	for name, read := range map[string]func(io.Reader) iter.Seq2[Entry, error]{"CSV": ReadCSV, "vCard": ReadVCard} {
		var last error
		n := 0
		for _, err := range read(io.MultiReader(strings.NewReader("number,name\nBEGIN:VCARD\n"), iotest.ErrReader(broken))) {
			n, last = n+1, err
		}
		var mistake *Mistake
		if !errors.Is(last, broken) || errors.As(last, &mistake) || n > 2 {
			t.Errorf("%s: got %v after %d, want that the disk is broken", name, last, n)
		}
	}
}

// Reading may end at any entry.
func TestReadStops(t *testing.T) {
	for range ReadCSV(strings.NewReader("number,name\n1,A\n2,B\n")) {
		break
	}
	for range ReadVCard(strings.NewReader("BEGIN:VCARD\nFN:A\nTEL:1\nTEL:2\nEND:VCARD\n")) {
		break
	}
}

func TestWriter(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b, []string{callerName, "call_info"})
	for _, c := range []lookup.Contact{
		{Number: "+49301", Vars: []lookup.Var{{Name: callerName, Value: "Zoë \"Z\", M;\nx"}}},
		{Number: "101", Vars: []lookup.Var{{Name: "call_info", Value: "i"}, {Name: callerName, Value: "A"}}},
	} {
		if err := w.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "2: +49301 CALLERID(name)=Zoë \"Z\", M;\nx\n4: 101 CALLERID(name)=A call_info=i\n"
	if got := told(ReadCSV(&b)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzReadCSV(f *testing.F) {
	for _, s := range []string{"number,name\n1,A\n", byteOrderMark + "phone;CALLERID(name)\r\n1;\"a\"\"b\r\nc\"\r\n", "number\tx\n\"\n\"\n1,\"", "\"number\",\"\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkEntries(t, ReadCSV(bytes.NewReader(data)), data, true) })
}

func FuzzReadVCard(f *testing.F) {
	for _, s := range []string{
		"BEGIN:VCARD\nFN:A\nTEL:1\nEND:VCARD\n", "BEGIN:VCARD\r\nN;ENCODING=QUOTED-PRINTABLE;CHARSET=KOI8-R:=C1=\r\n=C2;\r\nTEL;VALUE=uri:tel:+1;ext=2\r\nEND:VCARD",
		"begin:vcard\nPHOTO:x\n y\nitem.tel;x=\":\":1\nORG:a\\;b;c\nEND:VCARD\nBEGIN:VCARD\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkEntries(t, ReadVCard(bytes.NewReader(data)), data, false) })
}

// checkEntries checks what holds of every entry, and that its line is one of
// the file. In a CSV each line is told of once.
func checkEntries(t *testing.T, entries iter.Seq2[Entry, error], data []byte, once bool) {
	last, all := 0, bytes.Count(data, []byte("\n"))+1
	for e, err := range entries {
		line := e.Line
		var mistake *Mistake
		if errors.As(err, &mistake) {
			line = mistake.Line
		} else if err != nil {
			continue
		} else if e.Number == "" || !utf8.ValidString(e.Number) || len(e.Vars) == 0 {
			t.Errorf("entry %+v", e)
		}
		for _, v := range e.Vars {
			if !namePattern.MatchString(v.Name) || v.Value == "" || !utf8.ValidString(v.Value) || len(v.Value) > 2*maxLine {
				t.Errorf("line %d: variable %q = %q", line, v.Name, v.Value)
			}
		}
		if line < 1 || line > all || once && line <= last {
			t.Errorf("line %d after %d of %d", line, last, all)
		}
		last = line
	}
}
