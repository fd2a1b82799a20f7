package conf

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"ringhook/hooks"
)

// TestPreset overlays a preset with a hook's own keys, name by name if the preset has
// a table.
func TestPreset(t *testing.T) {
	c, err := Parse("ringhook.toml", []byte(`
[[hook]]
name = "one"
preset = "sipsim"
url = "https://crm.example/a"
timeout = "3s"
params = { caller = "%callerid_raw%", company = "example" }
words = { status = { answer = "ANSWER" } }
[hook.on.call-hangup.params]
receiver = "%queue_id%"

[[hook]]
name = "two"
preset = "sipsim"
url = "https://crm.example/b"
events = ["call-hangup"]

[[hook]]
name = "three"
preset = ""
url = "https://crm.example/c"
events = ["call-hangup"]
`), environment)
	if err != nil {
		t.Fatal(err)
	}
	one, two, three := c.Hooks[0], c.Hooks[1], c.Hooks[2]
	if one.Preset != "sipsim" || one.Timeout.String() != "3s" || one.GiveUp != hooks.DefaultConfig().GiveUp || len(one.Events) != 11 || one.TimeZone != "UTC" {
		t.Errorf("one: %+v", one)
	}
	if p := one.Params; p["caller"] != "%callerid_raw%" || p["company"] != "example" || p["pbx_id"] != "%linkedid%" {
		t.Errorf("one: params %v", p)
	}
	if w := one.Words; w["status"]["answer"] != "ANSWER" || w["event"]["call-dial"] != "incoming_call_start" {
		t.Errorf("one: words %v", w)
	}
	if on := one.On["call-hangup"]; on.Params["receiver"] != "%queue_id%" || on.Params["status"] != "%status%" || on.Words["status"]["*"] != "noanswer" || len(one.On) < 5 {
		t.Errorf("one: on %v", one.On)
	}
	if p := two.Params; p["caller"] != "%callerid%" || p["company"] != "" || two.On["call-hangup"].Params["receiver"] != "%directid%" {
		t.Errorf("two has keys of one: %v, %v", p, two.On)
	}
	if !slices.Equal(two.Events, []string{"call-hangup"}) || len(three.Params) != 0 {
		t.Errorf("two: %v; three: %v", two.Events, slices.Collect(maps.Keys(three.Params)))
	}
}

// TestEveryPreset uses each preset with a name and a URL only.
func TestEveryPreset(t *testing.T) {
	for _, name := range hooks.Presets() {
		text := fmt.Sprintf("[[hook]]\nname = \"crm\"\npreset = %q\nurl = \"https://crm.example/x\"\n", name)
		if _, err := Parse("ringhook.toml", []byte(text), environment); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
