package lookup

import (
	"maps"
	"testing"

	"github.com/BurntSushi/toml"
)

// usePreset returns the lookup of a preset. Settings that the administrator must set have the value 77.
func usePreset(t *testing.T, name, url string) Config {
	t.Helper()
	text, ok := Preset(name)
	if !ok {
		t.Fatalf("there is no preset %q", name)
	}
	c := DefaultConfig()
	c.Name, c.Preset, c.Points, c.URL = "crm", name, []string{"queue-dial"}, url
	meta, err := toml.Decode(string(text), &c)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, key := range meta.Undecoded() {
		if key[0] != "variables" {
			t.Errorf("%s: unknown key %v", name, key)
		}
	}
	for setting, value := range c.Settings {
		if value == "(required)" {
			c.Settings[setting] = "77"
		}
	}
	if c.Password != "" {
		c.Username = "key"
	}
	c.Check(func(key, problem string) { t.Errorf("%s: %s: %s", name, key, problem) })
	return c
}

// TestPresets checks that each preset is a valid lookup, names no host, and that what it maps beyond the usual variables has
// a type.
func TestPresets(t *testing.T) {
	if _, ok := Preset("../preset"); ok {
		t.Error("a file outside the folder of presets is a preset")
	}
	usual := map[string]bool{"CALLERID(name)": true, "QUEUE_PRIO": true, "call_info": true, "agent_info": true}
	for _, name := range Presets() {
		c := usePreset(t, name, "https://crm.example/")
		if c.Path == "" || c.Name != "crm" || len(c.Points) != 1 {
			t.Errorf("%s: %+v", name, c)
		}
		types := PresetVariables(name)
		maps.Copy(c.Map, c.Then.Map)
		for variable := range c.Map {
			if !usual[variable] && types[variable] == nil {
				t.Errorf("%s: %s has no type in variables", name, variable)
			}
		}
	}
}

// TestRequiredSetting checks that a setting which a preset leaves to the administrator is missed.
func TestRequiredSetting(t *testing.T) {
	c := usePreset(t, "kommo", "https://acme.kommo.com")
	c.Settings = map[string]string{"portal": "(required)"}
	var got []string
	c.Check(func(key, problem string) { got = append(got, key+": "+problem) })
	if len(got) != 1 || got[0] != "settings.portal: is missing: the preset kommo needs it" {
		t.Errorf("got %q", got)
	}
}
