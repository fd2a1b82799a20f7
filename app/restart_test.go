package app

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestRestartColumn checks that CONFIGURATION.md says of the right keys that a change needs
// a restart.
func TestRestartColumn(t *testing.T) {
	text, err := os.ReadFile("../CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| [a-z ]+ \\| (?:required|none|`[^`]+`) \\| (yes|no) \\| ")
	rows := 0
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		table, rest, _ := strings.Cut(section, "\n")
		for _, m := range row.FindAllStringSubmatch(rest, -1) {
			rows++
			if change := table + " " + m[1]; needsRestart(change) != (m[2] == "yes") {
				t.Errorf("%s: a change needs a restart: %v, and the documentation says %s", change, needsRestart(change), m[2])
			}
		}
		if strings.Contains(rest, "| restart |") != (table == "[fastagi]" || table == "[http]" || table == "[log]" || table == "[store]" || table == "[desk]") {
			t.Errorf("%s: unexpected column", table)
		}
	}
	if rows < 14 {
		t.Errorf("%d rows found", rows)
	}
}
