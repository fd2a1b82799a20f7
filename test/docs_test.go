package test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromisesAreTested wants every test that these documents name to exist.
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
