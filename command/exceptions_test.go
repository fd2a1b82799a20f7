package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"ringhook/app"
)

// TestExceptionsCommand adds, lists, exports and removes numbers that do not pop. Rows D27 and D28.
func TestExceptionsCommand(t *testing.T) {
	folder := t.TempDir()
	file, list := filepath.Join(folder, "ringhook.toml"), filepath.Join(folder, "list.csv")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "[store]\nfolder = \"data\"\n[number]\ncountry = \"DE\"\n[[agent]]\nid = \"7\"\nphone = \"101\"\n")
	f := func(exit int, want string, args ...string) {
		t.Helper()
		var out strings.Builder
		if got := Run(t.Context(), app.Build{}, append(args, "-c", file), &out, &out); got != exit || !strings.Contains(out.String(), want) {
			t.Errorf("%v: exit %d, want %d with %q:\n%s", args, got, exit, want, out.String())
		}
	}
	write(list, "# trunks\n030 123456,our trunk\n+4989*\n101,,7\n")
	f(0, "3 exceptions added", "exceptions", "import", list)
	f(0, "+4930123456", "exceptions", "list")
	f(0, "+4930123456,our trunk,\n+4989*,,\n101,,7\n", "exceptions", "export")
	write(list, "+49301,=1+1,7\n") // a note, which an agent writes
	f(0, "1 exceptions added", "exceptions", "import", list)
	f(0, "+49301,'=1+1,7\n", "exceptions", "export")
	write(list, "+49301,'=1+1,7\n")
	f(0, "1 exceptions added", "exceptions", "import", list)
	f(0, "+49301,'=1+1,7\n", "exceptions", "export")
	f(0, "", "exceptions", "remove", "+49301", "--agent", "7")
	for _, wrong := range []string{"anna", "030*x", "101,,8", "\"", "*"} {
		write(list, "+4940*\n"+wrong+"\n")
		f(1, "list.csv", "exceptions", "import", list)
	}
	f(0, `"number": "101"`, "exceptions", "list", "--json")
	f(1, "there is no exception", "exceptions", "remove", "101")
	f(0, "", "exceptions", "remove", "101", "--agent", "7")
	f(1, "there is no exception", "exceptions", "remove", "+4940*")
}

// TestExceptionFiles imports files as spreadsheets and people write them, and refuses those that would add wrong numbers or
// none.
func TestExceptionFiles(t *testing.T) {
	folder := t.TempDir()
	file, list := filepath.Join(folder, "ringhook.toml"), filepath.Join(folder, "list.csv")
	if err := os.WriteFile(file, []byte("[store]\nfolder = \"data\"\n[number]\ncountry = \"DE\"\n[[agent]]\nid = \"7\"\nphone = \"101\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wide := func(s string) string {
		out := []byte{0xff, 0xfe}
		for _, c := range utf16.Encode([]rune(s)) {
			out = append(out, byte(c), byte(c>>8))
		}
		return string(out)
	}
	const want = "+4930123456,Müller,7\n+4989*,,\n"
	for name, tc := range map[string]struct{ text, want string }{
		"header":         {"number,note,agent\n030 123456,Müller,7\n+4989*\n", want},
		"other order":    {"Agent,Note,Number\n7,Müller,030 123456\n,,+4989*\n", want},
		"semicolons":     {"+4989*\n030 123456;Müller;7\n", want},
		"sep":            {"sep=;\r\n030 123456;Müller;7\r\n+4989*;;\r\n", want},
		"other names":    {"Phone number;Name;Agent\n030 123456;Müller;7\n+4989*\n", want},
		"named colon":    {"\"SEP=:\"\r\n030 123456:Müller:7\r\n+4989*\r\n", want},
		"named wrongly":  {"sep=\xa7\n030 123456\n", "names a separator that none can be"},
		"tabs and empty": {"030 123456\tMüller\t7\n+4989*\t\t\n\t\t\n", want},
		"no note":        {"030 123456\t\t7\n", "+4930123456,,7\n"},
		"UTF-16":         {wide("number;note;agent\r\n030 123456;Müller;7\r\n+4989*\r\n"), want},
		"CR":             {"030 123456,Müller,7\r+4989*\r", want},
		"mark":           {"\xef\xbb\xbf030 123456,Müller,7\n+4989*\n", want},
		"as written":     {"\u202a+49 30 123456\u202c,Müller\u202e,7\n＋４９８９*\n", want},
		"spreadsheet":    {"'030 123456,Müller,7\n\u202a+4989*\n", want},
		"Latin-1":        {"030 123456,M\xfcller,7\n", "not UTF-8"},
		"two":            {"030 23456701/02\n", "two numbers"},
		"blank":          {"030 12345 030 67890\n", "two numbers"},
		"span":           {"030 23456705-06\n", "two numbers"},
		"empty":          {"", "empty"},
		"comments":       {"# nothing\n\n", "no number in it"},
		"header alone":   {"number,note,agent\n", "no number in it"},
		"HTML":           {"<html><body>Login</body></html>", "HTML"},
	} {
		if err := os.RemoveAll(filepath.Join(folder, "data")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(list, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		code := Run(t.Context(), app.Build{}, []string{"exceptions", "import", list, "-c", file}, &out, &out)
		if !strings.HasPrefix(tc.want, "+") {
			if code != 1 || !strings.Contains(out.String(), tc.want) {
				t.Errorf("%s: exit %d, want 1 with %q: %s", name, code, tc.want, out.String())
			}
			continue
		}
		var exported strings.Builder
		if code += Run(t.Context(), app.Build{}, []string{"exceptions", "export", "-c", file}, &exported, &out); code != 0 || exported.String() != tc.want {
			t.Errorf("%s: exit %d, %q, want %q: %s", name, code, exported.String(), tc.want, out.String())
		}
	}
}
