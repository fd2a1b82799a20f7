package conf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"ringhook/hooks"
)

// TestPreset overlays a preset with a hook's own keys, name by name if the preset has
// a table.
// Row V1.
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

// required returns the keys of a table that a preset leaves to the administrator.
func required(preset []byte, _ bool) string {
	var c hooks.Config
	if _, err := toml.Decode(string(preset), &c); err != nil {
		panic(err)
	}
	var keys []string
	for name, value := range c.Settings {
		if value == "(required)" {
			keys = append(keys, fmt.Sprintf("settings.%s = \"77\"\n", name))
		}
	}
	if c.Password != "" {
		keys = append(keys, "username = \"key\"\n")
	}
	return strings.Join(keys, "")
}

// beside returns the tables that a hook with a preset refers to.
func beside(name string) (tables string) {
	text, _ := hooks.Preset(name)
	var c hooks.Config
	if _, err := toml.Decode(string(text), &c); err != nil {
		panic(err)
	}
	if by := c.RememberedBy; by != "" {
		tables += fmt.Sprintf("[[hook]]\nname = %q\npreset = %[1]q\nurl = \"https://crm.example/x\"\n%s", by, required(hooks.Preset(by)))
	}
	if c.Uploads() {
		tables += "[recordings]\nfolder = \"/monitor\"\n"
	}
	return tables
}

// TestEveryPreset uses each preset with a name and a URL only.
func TestEveryPreset(t *testing.T) {
	for _, name := range hooks.Presets() {
		text := fmt.Sprintf("[[hook]]\nname = \"crm\"\npreset = %q\nurl = \"https://crm.example/x\"\n%s", name, required(hooks.Preset(name))) + beside(name)
		if _, err := Parse("ringhook.toml", []byte(text), environment); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLookupPreset overlays a preset of a lookup, and allows the variables that it sets, unless the file has them.
func TestLookupPreset(t *testing.T) {
	c, err := Parse("ringhook.toml", []byte(`
[dialplan]
variables = { owner_id = "digits" }
[[lookup]]
name = "one"
preset = "kommo"
points = ["queue-dial"]
url = "https://acme.kommo.com"
timeout = "700ms"
map = { agent_info = ".id" }
`), environment)
	if err != nil {
		t.Fatal(err)
	}
	l := c.Lookups[0]
	if l.Timeout.String() != "700ms" || l.Path == "" || l.Format != "json" || l.Map["agent_info"] != ".id" || l.Map["customer_id"] != ".id" {
		t.Errorf("%+v", l)
	}
	if v := c.Dialplan.Variables; v["customer_id"] != "word" || v["owner_id"] != "digits" {
		t.Errorf("variables: %v", v)
	}
	_, err = Parse("ringhook.toml", []byte("[[lookup]]\nname = \"one\"\npreset = \"komo\"\npoints = [\"queue-dial\"]\nurl = \"https://x.example\"\n"), environment)
	if err == nil || !strings.Contains(err.Error(), "kommo") {
		t.Errorf("unknown preset: %v", err)
	}
}

// TestRememberedNames checks that no remembered value hides behind a parameter, and that hooks may name their own.
func TestRememberedNames(t *testing.T) {
	hook := "[[hook]]\nname = \"h\"\nurl = \"https://x.example\"\nevents = [\"call-dial\", \"call-hangup\"]\nparams = { x = \"%crm_call%\" }\n[hook.on.call-dial]\nremember = { NAME = \".id\" }\n"
	c, err := Parse("ringhook.toml", []byte(strings.Replace(hook, "NAME", "crm_call", 1)), environment)
	if err != nil || len(c.Warnings) > 0 {
		t.Errorf("%v, %v", err, c)
	}
	_, err = Parse("ringhook.toml", []byte(strings.Replace(hook, "NAME", "callerid", 1)), environment)
	if err == nil || !strings.Contains(err.Error(), "hook.on.call-dial.remember: \"callerid\" is a parameter of calls") {
		t.Errorf("%v", err)
	}
}
