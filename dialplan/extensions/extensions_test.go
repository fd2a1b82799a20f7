package extensions

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var update = flag.Bool("update", false, "write the golden files")

var options = Options{Listen: "127.0.0.1:4573", ExtraVariables: map[string]bool{"customer_id": false, "note": true}}

// printed returns the findings of a file, one a line, with paths relative to testdata.
func printed(t *testing.T, file string) string {
	t.Helper()
	r, err := Check(file, options)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString(strings.TrimPrefix(f.String(), "testdata/") + "\n")
	}
	return b.String()
}

// TestGolden compares the findings of each dialplan in testdata with its golden file.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) < 20 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		golden := strings.TrimSuffix(file, ".conf") + ".golden"
		got := printed(t, file)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
		}
	}
}

// TestClean checks that correct dialplans have no findings, among them the sample in contrib and
// that of the lab.
func TestClean(t *testing.T) {
	const sample = "../../contrib/extensions_ringhook.conf"
	folder := t.TempDir()
	text, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("../../test/lab/config_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(code), "const extensionsConf = `")
	lab, _, found := strings.Cut(after, "`")
	if !found {
		t.Fatal("extensionsConf is not in test/lab/config_test.go")
	}
	write(t, filepath.Join(folder, "extensions_ringhook.conf"), string(text))
	write(t, filepath.Join(folder, "extensions.conf"), lab)
	for _, file := range []string{"testdata/clean.conf", sample, filepath.Join(folder, "extensions.conf")} {
		if got := printed(t, file); got != "" {
			t.Errorf("%s:\n%s", file, got)
		}
	}
}

// TestFreePBX checks that the files for FreePBX have no findings in the dialplans of its shape that the lab
// plays, except values that FreePBX itself passes unfiltered.
func TestFreePBX(t *testing.T) {
	const contrib = "../../contrib/freepbx/"
	for shape, overrides := range map[string]string{"freepbx16.conf": "15-16", "freepbx17.conf": "17"} {
		for _, level := range []string{"level1", "level2"} {
			folder := t.TempDir()
			files := map[string]string{
				"extensions.conf": "../../test/lab/testdata/" + shape, "extensions_custom.conf": contrib + level + "/extensions_custom.conf",
				"extensions_override_freepbx.conf": "", "globals_custom.conf": "",
			}
			if level == "level2" {
				files["extensions_override_freepbx.conf"] = contrib + level + "/" + overrides + "/extensions_override_freepbx.conf"
				files["globals_custom.conf"] = contrib + level + "/globals_custom.conf"
			}
			for name, from := range files {
				var text []byte
				if from != "" {
					var err error
					if text, err = os.ReadFile(from); err != nil {
						t.Fatal(err)
					}
				}
				write(t, filepath.Join(folder, name), string(text))
			}
			r, err := Check(filepath.Join(folder, "extensions.conf"), Options{Listen: "127.0.0.1:4575"})
			if err != nil {
				t.Fatal(err)
			}
			if r.Files != 4 || r.Asks == 0 {
				t.Errorf("%s, %s: %d files, %d asks", shape, level, r.Files, r.Asks)
			}
			for _, f := range r.Findings {
				if f.Code != "raw" || filepath.Base(f.File) != "extensions.conf" {
					t.Errorf("%s, %s: %s", shape, level, f)
				}
			}
		}
	}
}

// TestKinds checks that files in the shape of real ones (FreePBX 12 to 16, Issabel 4 and 5, written by hand, VICIdial,
// Debian) have no false finding, with the lines of level 1 for FreePBX in use.
func TestKinds(t *testing.T) {
	files, err := filepath.Glob("testdata/kinds/*.conf")
	if err != nil || len(files) != 23 {
		t.Fatal(len(files), err)
	}
	ask, err := os.ReadFile("../../contrib/freepbx/level1/extensions_custom.conf")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"freepbx12.conf": "note raw", "freepbx15-outgoing.conf": "note raw", // the number as a name, and a name in the options of Dial()
		"issabel-extensions.conf": "note exec",
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		folder := t.TempDir()
		write(t, filepath.Join(folder, "extensions.conf"), string(text)+"\n#include extensions_custom.conf\n")
		write(t, filepath.Join(folder, "extensions_custom.conf"), string(ask))
		write(t, filepath.Join(folder, "globals_custom.conf"), "")
		write(t, filepath.Join(folder, "extensions-vicidial.conf"), "")
		r, err := Check(filepath.Join(folder, "extensions.conf"), Options{Listen: "127.0.0.1:4575"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range r.Findings {
			got = append(got, fmt.Sprint(f.Severity, " ", f.Code))
		}
		name := filepath.Base(file)
		if r.Asks != 1 || strings.Join(got, ", ") != want[name] {
			t.Errorf("%s: %d asks, want 1; findings %q, want %q: %v", name, r.Asks, got, want[name], r.Findings)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestReadme checks that the lines of README.md have one finding: the note that no line reports the
// end of the call.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "```\n same => n,AGI(")
	lines, _, found := strings.Cut(after, "```")
	if !found {
		t.Fatal("the dialplan lines are not in README.md")
	}
	file := filepath.Join(t.TempDir(), "extensions.conf")
	write(t, file, "[queue]\nexten => 500,1,Answer()\n same => n,AGI("+lines)
	r, err := Check(file, options)
	if err != nil {
		t.Fatal(err)
	}
	if r.Asks != 3 || len(r.Findings) != 1 || r.Findings[0].Severity != Note {
		t.Errorf("%d asks, %v", r.Asks, r.Findings)
	}
}

// TestBounds checks the limits of what is read.
func TestBounds(t *testing.T) {
	f := func(name, text, want string) {
		t.Helper()
		folder := t.TempDir()
		file := filepath.Join(folder, "extensions.conf")
		write(t, file, text)
		for i := range maxDepth + 2 {
			write(t, filepath.Join(folder, fmt.Sprintf("deep%d.conf", i)), fmt.Sprintf("#include deep%d.conf\n", i+1))
		}
		write(t, filepath.Join(folder, "back.conf"), "#include extensions.conf\n")
		if got := printed(t, file); !strings.Contains(got, want) {
			t.Errorf("%s: got\n%s\nwant %q", name, got, want)
		}
	}
	f("depth", "#include deep0.conf\n", "nested more than 16 deep")
	f("cycle", "#include back.conf\n", "includes itself")
	f("folder", "#include ../\n", "is not a regular file")
	f("device", "#include /dev/zero\n", "is not a regular file")
	f("line", "[a]\nexten => 1,1,NoOp("+strings.Repeat("x", maxLine)+")\n", "longer than 8191 bytes")
	f("templates", "[a0](!)\nignorepat => 9\n"+doubling(20), "more than 200000 lines")
	f("globals", "[globals]\nA="+strings.Repeat("${A}", 2000)+"\n[a]\nexten => 1,1,AGI(agi://127.0.0.1:4573/lookup,ivr=${A})\n", "")
	f("nested", "[a]\nexten => 1,1,"+strings.Repeat("Exec(", 1000)+"\n", "")

	if _, err := Check("testdata", options); err == nil {
		t.Error("a folder is read as a file")
	}
}

// doubling returns templates of which each has twice the lines of the one before.
func doubling(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[b%d](!,a%d)\n[a%d](!,a%d,b%d)\n", i, i, i+1, i, i)
	}
	return b.String()
}

// FuzzCheck checks that no text crashes the checker, and that each finding is one printable line.
func FuzzCheck(f *testing.F) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "../../contrib/extensions_ringhook.conf") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		// Included files would make the result depend on the machine.
		text = strings.ReplaceAll(text, "#", "")
		if len(text) > 10_000 {
			return
		}
		found := &report{}
		r := &reader{folders: []string{"."}, report: found, sections: map[string]*section{}, whole: true}
		r.text("x.conf", []byte(text))
		newLinter(newPlan(r), found, options).lint(place{"x.conf", 0})
		for _, finding := range found.sorted() {
			if s := finding.String(); strings.ContainsFunc(s, unicode.IsControl) || len(s) > 2000 {
				t.Errorf("%q", s)
			}
		}
	})
}

// TestDocumented checks that docs/dialplan.md lists every finding, and that each has a dialplan in
// testdata.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/dialplan.md")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	found := "[many]\n" // see TestLarge
	for _, file := range golden {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found += string(text)
	}
	codes := regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(string(text), -1)
	if len(codes) < 20 {
		t.Fatalf("%d rows", len(codes))
	}
	listed := map[string]bool{}
	for _, row := range codes {
		for _, code := range strings.Split(row[1], ", ") {
			code = strings.Trim(code, "`")
			listed[code] = true
			if !strings.Contains(found, "["+code+"]\n") {
				t.Errorf("no dialplan in testdata has the finding %s", code)
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)\[([a-z-]+)\]$`).FindAllStringSubmatch(found, -1) {
		if !listed[m[1]] {
			t.Errorf("%s is not documented", m[1])
		}
	}
}

// TestReportedEnds checks that the sample with one line misses nothing if the manager interface reports the ends.
func TestReportedEnds(t *testing.T) {
	const sample = "../../contrib/extensions_oneline.conf"
	for reported, want := range map[string]int{"": 2, "queue-hangup call-hangup": 0} {
		r, err := Check(sample, Options{Listen: "127.0.0.1:4573", Reported: strings.Fields(reported)})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Findings) != want {
			t.Errorf("with %q reported there are %d findings, want %d: %v", reported, len(r.Findings), want, r.Findings)
		}
	}
}

// TestLarge checks dialplans of very many lines that ask ringhook, in one extension and in one called by as many: what is compared
// with what is bounded.
func TestLarge(t *testing.T) {
	const lines = 50_000
	for name, text := range map[string]string{
		"asks":  "[a]\nexten => s,1,NoOp()\n" + strings.Repeat("same => n,AGI(agi://127.0.0.1/queue-dial,queue_id=500)\n", lines),
		"calls": "[a]\nexten => s,1,NoOp()\n" + strings.Repeat("same => n,Gosub(b,s,1)\n", lines) + "[b]\nexten => s,1,NoOp()\n" + strings.Repeat("same => n,Queue(500)\n", lines) + "same => n,Return()\n",
	} {
		file := filepath.Join(t.TempDir(), "extensions.conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Check(file, options)
		if err != nil {
			t.Fatal(err)
		}
		many := 0
		for _, f := range r.Findings {
			if f.Code == "many" {
				many++
			}
		}
		if asks := name == "asks"; asks != (r.Asks == lines) || asks != (many == 1) {
			t.Errorf("%s: %d places, %d times cut short", name, r.Asks, many)
		}
	}
}
