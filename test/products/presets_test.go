package products

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"ringhook/hooks"
	"ringhook/lookup"
)

var presetOf = regexp.MustCompile(`(?m)^\[\[(lookup|hook)\]\]\n(?:[a-z_.]+ = .*\n)*?preset = "([^"]+)"`)

// TestEveryPresetIsPlayed checks that every preset that is shipped is on a page of docs/crm, whose configuration all
// tests of this package play, or is one whose answers do not matter, which the lab plays.
func TestEveryPresetIsPlayed(t *testing.T) {
	played := make(map[string]bool)
	for _, p := range all {
		page, err := os.ReadFile("../../docs/crm/" + p.name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range tomlBlock.FindAllSubmatch(page, -1) {
			for _, use := range presetOf.FindAllSubmatch(block[1], -1) {
				played[string(use[1])+" "+string(use[2])] = true
			}
		}
	}
	var names []string
	for _, name := range lookup.Presets() {
		names = append(names, "lookup "+name)
	}
	for _, name := range hooks.Presets() {
		if _, err := os.Stat(filepath.Join("../lab/testdata/presets", name+".golden")); err != nil {
			names = append(names, "hook "+name)
		}
	}
	for _, name := range names {
		if !played[name] {
			t.Errorf("the preset of the %s is on no page that is played: add a page to docs/crm, and the product with a strict fake to the list all", name)
		}
	}
}
