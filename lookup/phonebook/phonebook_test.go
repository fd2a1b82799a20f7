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

	"golang.org/x/text/encoding/unicode"

	"ringhook/lookup"
)

// listed returns what a reader returned, one line each.
func listed(entries iter.Seq2[Entry, error]) string {
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

// wide encodes a text in UTF-16.
func wide(text string, order unicode.Endianness, mark bool) string {
	policy := unicode.IgnoreBOM
	if mark {
		policy = unicode.UseBOM
	}
	out, err := unicode.UTF16(order, policy).NewEncoder().String(text)
	if err != nil {
		panic(err)
	}
	return out
}

// A file from which nothing can be read is described.
func TestDescribe(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "empty",
		"<!DOCTYPE html><p>log in": "HTML",
		"\xef\xbb\xbf <html>":      "HTML",
		"<contacts/>":              "XML",
		`[{"name":"Anna"}]`:        "JSON",
		"number,name\n":            "CSV",
		"BEGIN:VCARD\nEND:VCARD\n": "vCards",
		"PK\x03\x04...":            "spreadsheet",
		"\x00\x01\x02\x03\x04":     "no text",
		"hello":                    "BEGIN:VCARD",
		wide("a;b\n", unicode.LittleEndian, true): "CSV",
	} {
		if got, _ := Describe(strings.NewReader(text)); !strings.Contains(got, want) {
			t.Errorf("%q is described as %q, want %s", text, got, want)
		}
	}
}

func TestReadCSV(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, tc := range []struct{ name, text, want string }{
		{"plain", "number,name\n+49 30 1,Anna\n2,Ben\n", "2: +49 30 1 CALLERID(name)=Anna\n3: 2 CALLERID(name)=Ben\n"},
		{"mark, CRLF and semicolons", byteOrderMark + "Phone;CALLERID(name);QUEUE_PRIO\r\n1;Zoë;5\r\n2;;7", "2: 1 CALLERID(name)=Zoë QUEUE_PRIO=5\n3: 2 QUEUE_PRIO=7\n"},
		{"tabs", "name\tnumber\nAnna, B; C\t1\n", "2: 1 CALLERID(name)=Anna, B; C\n"},
		{"columns without a name", "number,name,,\n1,Anna,x,y\n", "2: 1 CALLERID(name)=Anna\n"},
		{"blank lines", "number,name\n\n  \n1,Anna\n\n", "4: 1 CALLERID(name)=Anna\n"},
		{"quotes", "number,name\n1,\"An \"\"na\"\"\nB, C\"\n2,Ben\n", "2: 1 CALLERID(name)=An \"na\" B, C\n4: 2 CALLERID(name)=Ben\n"},
		{"an open quote costs its line", "number,name\n1,\"Anna\n2,Ben\n3,Cy\n", "line 2: extraneous or missing \" in quoted-field\n3: 2 CALLERID(name)=Ben\n4: 3 CALLERID(name)=Cy\n"},
		{"a quote inside", "number,name\n1,5\" pipe\n2,Ben\n", "line 2: bare \" in non-quoted-field\n3: 2 CALLERID(name)=Ben\n"},
		{"other bad lines", "number,name\n1\n1,A,B\n,Anna\n5,\n6,\xe9\n7,Ben\n",
			"line 2: has only a number: there is nothing to know about it\nline 3: has 3 columns, the first line 2\nline 4: has no number\n" +
				"line 5: has only a number: there is nothing to know about it\nline 6: is not UTF-8: save the file in that encoding\n7: 7 CALLERID(name)=Ben\n"},
		{"a long line", "number,name\n1," + long + "\n2,Ben\n", "line 2: is longer than 65536 bytes\n3: 2 CALLERID(name)=Ben\n"},
		{"a long line behind a quote", "number,name\n1,\"A\n3," + long + "\n2,Ben\n", "line 2: extraneous or missing \" in quoted-field\n4: 2 CALLERID(name)=Ben\n"},
		{"short and long rows", "number,name,info\n1,Anna\n2,Ben,b,,\n3,,c\n", "2: 1 CALLERID(name)=Anna\n3: 2 CALLERID(name)=Ben info=b\n4: 3 info=c\n"},
		{"only separators", "number,name\n,\n1,Anna\n,,\n", "3: 1 CALLERID(name)=Anna\n"},
		{"separator named", "sep=;\nnumber;name\n1;A,B\n", "3: 1 CALLERID(name)=A,B\n"},
		{"separator named and rare", "SEP=|\r\nnumber|name\r\n1|A,B\r\n", "3: 1 CALLERID(name)=A,B\n"},
		{"carriage returns alone", "number,name\r1,Anna\r2,Ben", "2: 1 CALLERID(name)=Anna\n3: 2 CALLERID(name)=Ben\n"},
		{"UTF-16, little endian", wide("number,name\r\n1,Zoë\r\n", unicode.LittleEndian, true), "2: 1 CALLERID(name)=Zoë\n"},
		{"UTF-16, big endian", wide("number,name\n1,Анна\n", unicode.BigEndian, true), "2: 1 CALLERID(name)=Анна\n"},
		{"UTF-16 without a mark", wide("number,name,info,a,b,c,d,e,f,g,h\n1,Анна\n", unicode.LittleEndian, false), "2: 1 CALLERID(name)=Анна\n"},
		{"Google", "First Name,Middle Name,Last Name,Organization Name,Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value\nAnna,,Berg,ACME,Work,+49 30 1 ::: +49 30 2,Home,+49 40 1\n,,,ACME,,+49 30 0,,\nNo,,Number,,,,,\n",
			"2: +49 30 1 CALLERID(name)=Anna Berg call_info=ACME\n2: +49 30 2 CALLERID(name)=Anna Berg call_info=ACME\n2: +49 40 1 CALLERID(name)=Anna Berg call_info=ACME\n3: +49 30 0 CALLERID(name)=ACME\n"},
		{"Google, as it was", "Name,Given Name,Family Name,Organization 1 - Name,Phone 1 - Type,Phone 1 - Value\nAnna Berg,Anna,Berg,ACME,Work,1\n", "2: 1 CALLERID(name)=Anna Berg call_info=ACME\n"},
		{"Outlook", "\"Title\",\"First Name\",\"Last Name\",\"Company\",\"Business Fax\",\"Business Phone\",\"Business Phone 2\",\"Mobile Phone\",\"E-mail Address\"\n\"Dr.\",\"Anna\",\"Berg\",\"ACME\",\"9\",\"1\",\"2\",\"3\",\"a@b\"\n,,,,,7,,,\n",
			"2: 1 CALLERID(name)=Dr. Anna Berg call_info=ACME\n2: 2 CALLERID(name)=Dr. Anna Berg call_info=ACME\n2: 3 CALLERID(name)=Dr. Anna Berg call_info=ACME\nline 3: has numbers and no name\n"},
		{"bars", "number|name\n1|A,B\n", "2: 1 CALLERID(name)=A,B\n"},
		{"a header in two words", "Name,Phone number,Email\nAnna Berg,+49 30 1,a@b\n", "2: +49 30 1 CALLERID(name)=Anna Berg Email=a@b\n"},
		{"a phone beside what is no variable", "First Name,Last Name,Phone Number,E-mail Address\nAnna,Berg,+49 30 1,a@b\n", "2: +49 30 1 CALLERID(name)=Anna Berg\n"},
		{"Outlook in German", "Anrede;Vorname;Weitere Vornamen;Nachname;Suffix;Firma;Fax geschäftlich;Telefon geschäftlich;Telefon privat 2;Mobiltelefon;E-Mail-Adresse;Telefontyp\nDr.;Anna;;Berg;;ACME;9;1;2;3;a@b;x\n",
			"2: 1 CALLERID(name)=Dr. Anna Berg call_info=ACME\n2: 2 CALLERID(name)=Dr. Anna Berg call_info=ACME\n2: 3 CALLERID(name)=Dr. Anna Berg call_info=ACME\n"},
		{"Outlook in Russian", "Имя;Отчество;Фамилия;Организация;Рабочий факс;Рабочий телефон;Мобильный телефон\nАнна;Петровна;Берг;АКМЕ;9;1;2\n",
			"2: 1 CALLERID(name)=Анна Петровна Берг call_info=АКМЕ\n2: 2 CALLERID(name)=Анна Петровна Берг call_info=АКМЕ\n"},
		{"Outlook in French", "Prénom,Nom,Société,Téléphone (bureau),Tél. mobile,Télécopie (bureau)\nAnna,Berg,ACME,1,2,\n",
			"2: 1 CALLERID(name)=Anna Berg call_info=ACME\n2: 2 CALLERID(name)=Anna Berg call_info=ACME\n"},
		{"Outlook in Hebrew", "שם פרטי,שם משפחה,טלפון בעבודה,פקס,נייד\nחנה,כהן,1,9,2\n", "2: 1 CALLERID(name)=חנה כהן\n2: 2 CALLERID(name)=חנה כהן\n"},
		{"Google with a phonetic name", "First Name,Phonetic First Name,Phone 1 - Label,Phone 1 - Value\nAnna,x,Work,1\n", "2: 1 CALLERID(name)=Anna\n"},
		{"a phone and no name", "phone,Street name\n1,A\n", "column 2 is called \"Street name\", which is no name of a variable: use a name such as CALLERID(name), call_info or customer_id\n"},
		{"empty", "", "the file is empty: its first line must name the columns, such as number,name\n"},
		{"no number", "name,info\n", "no column is called number or phone: the first line must name the columns, such as number,name\n"},
		{"two numbers", "number,name,phone\n", "columns 1 and 3 are both called number or phone: only one may be\n"},
		{"no variable", "number,Customer Name\n", "column 2 is called \"Customer Name\", which is no name of a variable: use a name such as CALLERID(name), call_info or customer_id\n"},
		{"twice", "number,name,CALLERID(name)\n", "column 3 is the second with the name CALLERID(name)\n"},
		{"long header", long + "y\n", "line 1 is too long to name the columns\n"},
	} {
		if got := listed(ReadCSV(strings.NewReader(tc.text))); got != tc.want {
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
		{"quoted-printable, folded", "BEGIN:VCARD\nFN;ENCODING=QUOTED-PRINTABLE;CHARSET=utf-8:=D0=98=D0=B2=D0=\n =B0=D0=BD=\n Berg=\n=21\nTEL:1\nEND:VCARD\n", "6: 1 CALLERID(name)=Иван Berg!\n"},
		{"parameters in quotes", "BEGIN:VCARD\nFN;X=\"a;b:c\";CHARSET=\"utf-8\":Zoë\nTEL;TYPE=\"work,voice\";X=\"QUOTED-PRINTABLE;x\":+49=41\nEND:VCARD\n", "3: +49=41 CALLERID(name)=Zoë\n"},
		{"folded before the colon", "BEGIN:VCARD\nFN:Anna\nTEL;TYPE=WORK;\n TYPE=VOICE\n :+49 30\n 1\nEND:VCARD\n", "3: +49 301 CALLERID(name)=Anna\n"},
		{"escapes", "BEGIN:VCARD\nFN:A\\r\\nB\\: C\\, D\\\\\nTEL:1\nEND:VCARD\n", "3: 1 CALLERID(name)=A B: C, D\\\n"},
		{"carriage returns alone", "BEGIN:VCARD\rFN:Anna\rTEL:1\rEND:VCARD\r", "3: 1 CALLERID(name)=Anna\n"},
		{"UTF-16", wide("BEGIN:VCARD\r\nFN:Анна\r\nTEL:1\r\nEND:VCARD\r\n", unicode.LittleEndian, true), "3: 1 CALLERID(name)=Анна\n"},
		{"UTF-16 without a mark", wide("BEGIN:VCARD\r\nVERSION:3.0\r\nPRODID:-//Example//EN\r\nFN:Анна\r\nTEL:1\r\nEND:VCARD\r\n", unicode.BigEndian, false), "5: 1 CALLERID(name)=Анна\n"},
		{"a photo", "BEGIN:VCARD\nFN:Anna\nPHOTO;ENCODING=b:" + long + "\n " + long + "\nTEL:1\nEND:VCARD\n", "5: 1 CALLERID(name)=Anna\n"},
		{"an organization", "BEGIN:VCARD\nFN:\nORG:Example\nTEL:1\nEND:VCARD\n", "4: 1 CALLERID(name)=Example\n"},
		{"titles", "BEGIN:VCARD\nN:Lovelace;Ada;King;Lady;\nTEL:1\nEND:VCARD\n", "3: 1 CALLERID(name)=Lady Ada King Lovelace\n"},
		{"no number", "BEGIN:VCARD\nFN:Anna\nEND:VCARD\n", ""},
		{"no name", "BEGIN:VCARD\nTEL:1\nEND:VCARD\nBEGIN:VCARD\nFN:Ben\nTEL:2\nEND:VCARD\n", "line 1: the card has numbers and no name\n6: 2 CALLERID(name)=Ben\n"},
		{"no end", "BEGIN:VCARD\nFN:A\nTEL:1\nBEGIN:VCARD\nFN:B\nTEL:2\nEND:VCARD\nBEGIN:VCARD\n",
			"line 1: the card does not end before the next begins\n6: 2 CALLERID(name)=B\nline 8: the card does not end\n"},
		{"not UTF-8", "BEGIN:VCARD\nFN:\xe9\nTEL:1\nEND:VCARD\n", "line 2: FN is not UTF-8: save the file in that encoding\n"},
		{"unknown charset", "BEGIN:VCARD\nFN;CHARSET=X-OWN:a\nTEL:1\nEND:VCARD\n", "line 2: unknown charset \"X-OWN\" of FN\n"},
		{"bad quoted-printable", "BEGIN:VCARD\nFN;QUOTED-PRINTABLE:a\x01\nTEL:1\nEND:VCARD\n", "line 2: FN is not quoted-printable, which it declares\n"},
		{"a long name", "BEGIN:VCARD\nFN:" + long + "\nTEL:1\nEND:VCARD\n", "line 2: FN is longer than 65536 bytes\n"},
		{"an agent, 2.1", "BEGIN:VCARD\nFN:Anna\nAGENT:\nBEGIN:VCARD\nFN:Susan\nTEL:2\nEND:VCARD\nTEL:1\nEND:VCARD\n", "6: 2 CALLERID(name)=Susan\n8: 1 CALLERID(name)=Anna\n"},
		{"an agent, 3.0", `BEGIN:VCARD` + "\n" + `FN:Anna` + "\n" + `AGENT:BEGIN:VCARD\nFN:Susan\, S.\nTEL\;TYPE=work:+1-919-\n` + "\n" + ` EMAIL\;X=y:s@b\nEND:VCARD\n` + "\nTEL:1\nEND:VCARD\n", "3: +1-919- CALLERID(name)=Susan, S.\n5: 1 CALLERID(name)=Anna\n"},
		{"an agent elsewhere", "BEGIN:VCARD\nFN:Anna\nAGENT;VALUE=uri:CID:x@y\nTEL:1\nEND:VCARD\n", "4: 1 CALLERID(name)=Anna\n"},
		{"a bad agent", "BEGIN:VCARD\nFN:Anna\nAGENT:\nBEGIN:VCARD\nTEL:2\nEND:VCARD\nTEL:1\nEND:VCARD\n", "7: 1 CALLERID(name)=Anna\nline 4: the card has numbers and no name\n"},
		{"an agent without an end", "BEGIN:VCARD\nFN:Anna\nAGENT:BEGIN:VCARD\\nFN:Susan\nTEL:1\nEND:VCARD\n", "4: 1 CALLERID(name)=Anna\nline 3: the card does not end\n"},
		{"nothing of it", "hello\n\nnumber,name\n", ""},
	} {
		if got := listed(ReadVCard(strings.NewReader(tc.text))); got != tc.want {
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
	want := "2: +49301 CALLERID(name)=Zoë \"Z\", M; x\n4: 101 CALLERID(name)=A call_info=i\n"
	if got := listed(ReadCSV(&b)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestCell checks that no spreadsheet finds a formula in a table that is exported, and that it is imported as it was.
func TestCell(t *testing.T) {
	for value, want := range map[string]string{
		"=1+1": "'=1+1", "+49 30 1": "'+49 30 1", "-x": "'-x", "@SUM(1)": "'@SUM(1)", " =1": "' =1", "'=1": "''=1", "' =1": "'' =1", "a;=cmd|x": "a;'=cmd|x", "a,-b": "a,'-b",
		"\u200b＝1": "'\u200b＝1", "Anna": "Anna", "O'Neill": "O'Neill", "'quoted'": "'quoted'", "": "", "a = b": "a = b", "''-": "'''-", "'a;'=": "'a;''=",
	} {
		got := Cell(value)
		if got != want || FromCell(got) != value {
			t.Errorf("%q: got %q, which is read as %q, want %q", value, got, FromCell(got), want)
		}
	}
	var b bytes.Buffer
	w := NewWriter(&b, []string{callerName})
	for _, number := range []string{"+49301", "=cmd", "*43"} {
		if err := w.Write(lookup.Contact{Number: number, Vars: []lookup.Var{{Name: callerName, Value: "=1+1"}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := "number,CALLERID(name)\n+49301,'=1+1\n'=cmd,'=1+1\n*43,'=1+1\n"; b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	if got, want := listed(ReadCSV(&b)), "2: +49301 CALLERID(name)==1+1\n3: =cmd CALLERID(name)==1+1\n4: *43 CALLERID(name)==1+1\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func FuzzCell(f *testing.F) {
	for _, s := range []string{"=1", "'=1", "a;'\"=", ",,'", "''\u00a0-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := FromCell(Cell(value)); got != value {
			t.Errorf("%q becomes %q, and then %q", value, Cell(value), got)
		}
	})
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
		"BEGIN:VCARD\nFN:A\nAGENT:\nBEGIN:VCARD\nFN:B\nTEL:2\nEND:VCARD\nAGENT:BEGIN:VCARD\\nFN:C\\nTEL:3\\nEND:VCARD\nTEL:1\nEND:VCARD", "begin:vcard\nPHOTO:x\n y\nitem.tel;x=\":\":1\nORG:a\\;b;c\nEND:VCARD\nBEGIN:VCARD\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkEntries(t, ReadVCard(bytes.NewReader(data)), data, false) })
}

// checkEntries checks what holds of every entry, and that its line is one of
// the file. In a CSV lines come in their order.
func checkEntries(t *testing.T, entries iter.Seq2[Entry, error], data []byte, inOrder bool) {
	text, err := io.ReadAll(Decoded(bytes.NewReader(data)))
	if err != nil {
		t.Fatal(err)
	}
	last, all := 0, bytes.Count(text, []byte("\n"))+1
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
		if line < 1 || line > all || inOrder && line < last {
			t.Errorf("line %d after %d of %d", line, last, all)
		}
		last = line
	}
}

// TestFilesAsTheyAre reads what programs write and the rules of the formats do not have.
func TestFilesAsTheyAre(t *testing.T) {
	wide, err := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder().String("number,name\r\n030123,Анна Петровна\r\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		read       func(io.Reader) iter.Seq2[Entry, error]
		text, want string
	}{
		"UTF-16 without a mark, a name that is not Latin": {ReadCSV, wide, "030123 Анна Петровна"},
		"the separator in quotes":                         {ReadCSV, "\"sep=;\"\nnumber;name\n030123;A\n", "030123 A"},
		"a blank line before the header":                  {ReadCSV, "\r\n \r\nnumber,name\n030123,A\n", "030123 A"},
		"two numbers in one cell":                         {ReadCSV, "number,name\n\"0301230\n4\",A\n", "0301230/4 A"},
		"two numbers in one cell of an address book":      {ReadCSV, "First Name,Business Phone\nA,\"030 1234\n5 ::: 030 6\"\n", "030 1234/5 A030 6 A"},
		"two numbers of a card in one":                    {ReadVCard, "BEGIN:VCARD\nFN:A\nTEL:030 1234\\n030 5678\nEND:VCARD\n", "030 1234/030 5678 A"},
		"a remark below the number":                       {ReadCSV, "number,name\n\"0301230\n(office)\n\",A\n", "0301230/(office) A"},
		"a name in base64":                                {ReadVCard, "BEGIN:VCARD\nFN;CHARSET=UTF-8;ENCODING=BASE64:0JDQ\n  vdC90LA=\n\nTEL:030123\nEND:VCARD\n", "030123 Анна"},
	} {
		got := ""
		for e, err := range c.read(strings.NewReader(c.text)) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			got += e.Number + " " + e.Vars[0].Value
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
