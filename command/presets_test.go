package command

import (
	"strings"
	"testing"

	"ringhook/clickfrom"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/pops"
)

// TestPresets checks that the presets of all tables are listed, and that each can be shown.
func TestPresets(t *testing.T) {
	list := strings.Split(printed(t, "presets"), "\n")
	for table, names := range map[string][]string{
		"[[lookup]]": lookup.Presets(), "[[hook]]": hooks.Presets(), "[[pop]]": pops.Presets(), "[[click_from]]": clickfrom.Presets(),
	} {
		if len(names) == 0 {
			t.Errorf("%s has no presets", table)
		}
		for _, name := range names {
			found := 0
			for _, line := range list {
				if words := strings.Fields(line); len(words) > 2 && words[0] == name && words[1] == table {
					found++
				}
			}
			if found != 1 {
				t.Errorf("%s %s is listed %d times", table, name, found)
			}
		}
	}
	if shown := printed(t, "presets", "show", "bitrix24"); !strings.Contains(shown, "# [[click_from]]\n") || !strings.Contains(shown, "auth[application_token]") {
		t.Errorf("the preset of click_from is not shown:\n%s", shown)
	}
}
