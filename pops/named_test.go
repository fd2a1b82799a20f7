package pops

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// seedRows are the rows of the seed documents that concern desk, pops and control, without those that are out of reach.
var seedRows = strings.Fields(`L4 L5 L6 L7 L22 L38 L39 L40 L41 V1 V1a V1b V1c V7 V9 V14 V15 V16 V17 V18 V22
	D1 D2 D3 D11 D12 D13 D14 D15 D16 D17 D18 D19 D20 D21 D22 D23 D24 D25 D26 D27 D28 Y11 Y12 Y13 Y16 Y17 Y18 Y19 Y20 Y21 Y22 Y23 Y24`)

// TestSeedRowsAreNamed checks that every row of the seed documents has a test that names it.
func TestSeedRowsAreNamed(t *testing.T) {
	row := regexp.MustCompile(`\b[LVDY]\d+[abc]?\b`)
	named := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "/named_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, line := range strings.Split(string(text), "\n") {
			if strings.Contains(line, "ow ") || strings.Contains(line, "ows ") || strings.Contains(path, "pops/rows_test.go") {
				for _, name := range row.FindAllString(line, -1) {
					named[name] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range seedRows {
		if !named[r] {
			t.Errorf("no test names row %s", r)
		}
	}
}
