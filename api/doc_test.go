package api

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocumented checks that docs/api.md lists every route, and no other.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(?:GET|POST) .*?\\|").FindAllString(string(text), -1) {
		for _, m := range regexp.MustCompile("`(GET|POST) ([^` ]+)`").FindAllStringSubmatch(row, -1) {
			r, name := find(m[2])
			if r == nil || r.method != m[1] {
				t.Errorf("docs/api.md has %s %s, which is no route", m[1], m[2])
				continue
			}
			if name == "" && strings.HasSuffix(r.path, "/") {
				t.Errorf("docs/api.md has %s without a name", m[2])
			}
			listed[r.method+" "+r.path] = true
		}
	}
	for _, r := range routes {
		if !listed[r.method+" "+r.path] {
			t.Errorf("docs/api.md has no row for %s %s", r.method, r.path)
		}
	}
}
