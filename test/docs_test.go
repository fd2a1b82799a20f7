package test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// TestPromisesAreTested checks that every test that the documents name exists.
func TestPromisesAreTested(t *testing.T) {
	var tests bytes.Buffer
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		tests.Write(code)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for file, least := range map[string]int{"docs/receivers.md": 15, "docs/faults.md": 50, "docs/attacks.md": 50} {
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`").FindAllSubmatch(text, -1)
		if len(names) < least {
			t.Errorf("%s names %d tests", file, len(names))
		}
		for _, name := range names {
			if !bytes.Contains(tests.Bytes(), []byte("\nfunc "+string(name[1])+"(")) {
				t.Errorf("%s names %s, which does not exist", file, name[1])
			}
		}
	}
}

// documents lists every Markdown file of the project, relative to its root.
func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"docs", "docs/crm"} {
		further, err := filepath.Glob("../" + folder + "/*.md")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, further...)
	}
	return files
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	source  = regexp.MustCompile("`([a-z]+(?:/[a-z]+)*/[a-z_]+\\.go)`")
)

// anchors returns the names by which the headings of a document can be linked to.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		name := strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case c == '-', c == '_', unicode.IsLetter(c), unicode.IsDigit(c):
				return unicode.ToLower(c)
			}
			return -1
		}, m[1])
		found[name] = true
	}
	return found
}

// TestLinks checks that every link in a document leads to a file, and to a heading
// in it, and that every source file that a document names exists.
func TestLinks(t *testing.T) {
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target, anchor, _ := strings.Cut(m[1], "#")
			linked := file
			if target != "" {
				linked = filepath.Join(filepath.Dir(file), target)
			}
			if _, err := os.Stat(linked); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
				continue
			}
			if anchor == "" || !strings.HasSuffix(linked, ".md") {
				continue
			}
			other, err := os.ReadFile(linked)
			if err != nil {
				t.Fatal(err)
			}
			if !anchors(string(other))[anchor] {
				t.Errorf("%s links to %s, which has no such heading", file, m[1])
			}
		}
		for _, m := range source.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat("../" + m[1]); err != nil {
				t.Errorf("%s names the file %s, which does not exist", file, m[1])
			}
		}
	}
}

// TestNamedPages checks that every page of docs that a preset or a sample names exists.
func TestNamedPages(t *testing.T) {
	page := regexp.MustCompile(`docs/[a-z0-9/-]+\.md`)
	named := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".toml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, name := range page.FindAllString(string(text), -1) {
			named++
			if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("%s names %s, which does not exist", path, name)
			}
		}
		return nil
	})
	if err != nil || named < 30 {
		t.Errorf("%d pages are named, %v", named, err)
	}
}

// TestRunbookLog checks that the log lines that docs/faults.md names for a search are written by the program.
func TestRunbookLog(t *testing.T) {
	var code bytes.Buffer
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		code.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile("Log:\\s+`([^`]+)`").FindAllSubmatch(text, -1)
	if len(lines) < 15 {
		t.Errorf("docs/faults.md names %d log lines", len(lines))
	}
	for _, line := range lines {
		words := bytes.Join(bytes.Fields(line[1]), []byte(" ")) // the line may be wrapped in the document
		if !bytes.Contains(code.Bytes(), words) {
			t.Errorf("docs/faults.md names the log line %q, which the program does not write", words)
		}
	}
}
