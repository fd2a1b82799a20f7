package test

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
)

// TestPackageSize checks that a package can be looked over: it has at most 25 files beside its tests. Each command is a file,
// and so is each tool of test/.
func TestPackageSize(t *testing.T) {
	files := map[string]int{}
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == "test" || name == "command" || name != "." && strings.HasPrefix(d.Name(), ".")) {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			files[path.Dir(name)]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files["."] != 1 || files["dialplan"] == 0 {
		t.Errorf("found %v", files)
	}
	for folder, n := range files {
		if n > 25 {
			t.Errorf("%s has %d files", folder, n)
		}
	}
}
