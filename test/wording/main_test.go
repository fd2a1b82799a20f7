package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"a.go": "// Package a tells what it is.\npackage a\n\n//go:generate tells\n\n// B gives up. It is `nobody` or \"whoever\".\n//\n//\tnobody\nconst B = \"nobody\" // Somebody\n\nconst C = \"`nobody` calls nobody\"\n\ntype d struct {\n\te int `help:\"Gives a name.\"`\n}\n\n// Nobody is a name.\nvar Nobody int\n",
		"sub/b.md": "# Nobody\n\n```\nnobody\n```\n\n      nobody\n\nIt `tells\nwho` [tells](nobody.md). Where there\nis none.\n" +
			"A slip of the pen, left alone.\n",
		"testdata/c.md": "nobody",
		"bin/e.md":      "nobody",
		"f.txt":         "nobody",
	} {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	n, err := check(&out, folder)
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for line := range strings.Lines(out.String()) {
		places = append(places, strings.Join(strings.SplitN(line, ":", 4)[:3], ":"))
	}
	want := `a.go:1: "tells" a.go:14: "Gives" a.go:9: "Somebody" a.go:11: "nobody" sub/b.md:10: "tells" sub/b.md:1: "Nobody" sub/b.md:10: "Where there is none" sub/b.md:12: "left alone" sub/b.md:12: "slip of the pen"`
	if got := strings.Join(places, " "); got != want || n != 9 {
		t.Errorf("%d found:\n%s\nwant\n%s", n, got, want)
	}
}

func TestBadGo(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "a.go"), []byte("no package"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := check(&strings.Builder{}, folder); err == nil {
		t.Error("a file that is not Go is accepted")
	}
}
