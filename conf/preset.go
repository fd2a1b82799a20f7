package conf

import (
	"fmt"

	"github.com/BurntSushi/toml"

	"ringhook/hooks"
)

// hook gives what a [[hook]] begins with: the defaults, and over them the
// preset that it names.
func (r *report) hook(at *place, in any) any {
	c := hooks.DefaultConfig()
	table, _ := in.(map[string]any)
	name, _ := table["preset"].(string)
	if name == "" {
		return c // a preset of another type is reported when its key is decoded
	}
	text, ok := hooks.Preset(name)
	if !ok {
		r.wrong(at.key("preset"), "hook.preset", "there is no preset %q; %s", name, nearest("presets", name, hooks.Presets()))
		return c
	}
	if _, err := toml.Decode(string(text), &c); err != nil {
		panic(fmt.Sprintf("preset %s, which is in the program itself: %v", name, err))
	}
	return c
}
