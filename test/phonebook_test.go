package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPhonebookCommands checks import, list, export and remove.
func TestPhonebookCommands(t *testing.T) {
	file, _, _ := config(t, "[number]\ncountry = \"GB\"\n[[lookup]]\nname = \"book\"\ntype = \"phonebook\"\npoints = [\"queue-dial\"]\nmin_length = 3\n")
	folder := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f := func(code int, want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		got := run(t.Context(), append(args, "-c", file), &out, &out)
		if got != code || !strings.Contains(out.String(), want) {
			t.Errorf("ringhook %s ended with %d and printed\n%s\nwant %d and %q", strings.Join(args, " "), got, &out, code, want)
		}
	}
	csv := write("a.csv", "\xef\xbb\xbfphone;name;QUEUE_PRIO\r\n020 7946 0142;Zoë;5\r\n0800;bad;\r\n101;Desk;\r\n99999999999999;bad;\r\n")
	vcf := write("b.vcf", "BEGIN:VCARD\nFN:Ben\nTEL:tel:+44-20-7946-0999\nEND:VCARD\n")

	f(exitFailure, "phonebook import", "phonebook", "list")
	f(exitFailure, "a.csv:5: ", "phonebook", "import", csv, "--strict")
	f(exitFailure, "phonebook import", "phonebook", "list") // nothing was imported
	f(exitUsage, ".vcf is expected", "phonebook", "import", write("c.xls", ""))
	f(exitFailure, "it is empty", "phonebook", "import", write("d.csv", ""))
	f(exitFailure, "it is an HTML page", "phonebook", "import", write("e.vcf", "<!DOCTYPE html>"))
	f(exitFailure, "it is an HTML page", "phonebook", "import", write("j.csv", "<!DOCTYPE html><html>"))
	f(exitFailure, "it holds vCards", "phonebook", "import", write("k.csv", "BEGIN:VCARD\nFN:A\nTEL:1\nEND:VCARD\n"))
	f(exitFailure, "may be two numbers", "phonebook", "import", write("l.csv", "number,name\n020 79460145-46,A\n"))
	f(exitFailure, "it is a table (CSV)", "phonebook", "import", write("f.vcf", "number,name\n1,A\n"))
	f(exitFailure, "no number is imported", "phonebook", "import", write("g.csv", "number,name\n"), "--strict")
	f(exitFailure, "may be two numbers", "phonebook", "import", write("p.csv", "number,name\n020 79460142 020 79460143,A\n"))
	f(exitFailure, "may be two numbers", "phonebook", "import", write("h.csv", "number,name\n020 79460142/43,A\n"))
	f(exitOK, "numbers imported, ", "phonebook", "import", csv)
	typed := write("i.csv", "number,name,QUEUE_PRIO\n020 7946 0142,Zoë,high\n+44 20 79460142,Zoë,5\n")
	f(exitOK, "i.csv:2: warning: calls do not get QUEUE_PRIO: \"high\" is not a whole number from 0 to 999999\n", "phonebook", "import", typed)
	f(exitOK, "i.csv:3: +442079460142 is the number of line 2 as well: this entry counts\n1 numbers imported, 0 bad lines skipped\n1 numbers stand there more than once", "phonebook", "import", typed)
	f(exitOK, "1 numbers imported, 0 bad lines skipped", "phonebook", "import", vcf, "--strict")
	f(exitOK, "+442079460142  CALLERID(name) = Zoë  QUEUE_PRIO = 5\n+442079460999  CALLERID(name) = Ben\n", "phonebook", "list", "+44")
	f(exitOK, "the first 1 are shown", "phonebook", "list", "--limit", "1")
	f(exitOK, "\n  CALLERID(name) = Desk\n", "lookup", "101")

	var export bytes.Buffer
	if code := run(t.Context(), []string{"phonebook", "export", "-c", file}, &export, &export); code != exitOK {
		t.Fatalf("export ended with %d: %s", code, &export)
	}
	if !strings.Contains(export.String(), "number,CALLERID(name),QUEUE_PRIO\n") || !strings.Contains(export.String(), "+442079460142,Zoë,5\n") {
		t.Errorf("export is\n%s", &export)
	}
	f(exitOK, "0 bad lines skipped", "phonebook", "import", write("again.csv", export.String()), "--strict")

	f(exitOK, "+442079460142 removed", "phonebook", "remove", "020 7946 0142")
	f(exitFailure, "020 7946 0142 is not in the phonebook", "phonebook", "remove", "020 7946 0142")
}
