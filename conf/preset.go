package conf

import (
	"fmt"

	"github.com/BurntSushi/toml"

	"ringhook/hooks"
)

// hook returns the value from which a [[hook]] starts: the defaults, overlaid with the
// preset that it names.
func (r *report) hook(at *position, in any) any {
	c := hooks.DefaultConfig()
	table, _ := in.(map[string]any)
	name, _ := table["preset"].(string)
	if name == "" {
		return c // a value of another type is reported when the key is decoded
	}
	text, ok := hooks.Preset(name)
	if !ok {
		r.wrong(at.key("preset"), "hook.preset", "unknown preset %q; %s", name, nearest("presets", name, hooks.Presets()))
		return c
	}
	if _, err := toml.Decode(string(text), &c); err != nil {
		panic(fmt.Sprintf("preset %s, which is part of the program: %v", name, err))
	}
	return c
}
