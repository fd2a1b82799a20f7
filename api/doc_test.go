package api

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocumented checks that docs/api.md lists every route, and no other. A row of /v1/me stands for the
// same route of /v1/agents/{id} too.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(?:GET|POST|PUT|PATCH|DELETE) .*?\\|").FindAllString(string(text), -1) {
		for _, m := range regexp.MustCompile("`(GET|POST|PUT|PATCH|DELETE) ([^` ]+)`").FindAllStringSubmatch(row, -1) {
			r, parts, _ := find(m[1], m[2], false)
			if r == nil {
				t.Errorf("docs/api.md has %s %s, which is no route", m[1], m[2])
				continue
			}
			for name, value := range parts {
				if value == "" {
					t.Errorf("docs/api.md has %s without its %s", m[2], name)
				}
			}
			listed[r.method+" "+r.path] = true
			if rest, own := strings.CutPrefix(r.path, "/v1/me"); own {
				listed[r.method+" /v1/agents/{id}"+rest] = true
			}
		}
	}
	for _, r := range routes {
		if !listed[r.method+" "+r.path] {
			t.Errorf("docs/api.md has no row for %s %s", r.method, r.path)
		}
	}
}
