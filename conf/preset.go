package conf

import (
	"fmt"
	"slices"

	"github.com/BurntSushi/toml"

	"ringhook/clickfrom"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/pops"
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

// lookup returns the value from which a [[lookup]] starts: the defaults, overlaid with the preset that it names.
func (r *report) lookup(at *position, in any) any {
	c := lookup.DefaultConfig()
	table, _ := in.(map[string]any)
	name, _ := table["preset"].(string)
	if name == "" {
		return c
	}
	text, ok := lookup.Preset(name)
	if !ok {
		r.wrong(at.key("preset"), "lookup.preset", "unknown preset %q; %s", name, nearest("presets", name, lookup.Presets()))
		return c
	}
	if _, err := toml.Decode(string(text), &c); err != nil {
		panic(fmt.Sprintf("preset %s, which is part of the program: %v", name, err))
	}
	return c
}

// presetVariables allows the variables that the presets of lookups set, as if they were in [dialplan] variables. What the
// file says about them wins.
func (c *Config) presetVariables() {
	for i := range c.Lookups {
		for name, kind := range lookup.PresetVariables(c.Lookups[i].Preset) {
			if _, has := c.Dialplan.Variables[name]; has {
				continue
			}
			if c.Dialplan.Variables == nil {
				c.Dialplan.Variables = make(map[string]any)
			}
			c.Dialplan.Variables[name] = kind
		}
	}
}

// shareSecrets has hooks and pops hide the secrets of links to recordings, which come to them as a parameter of events.
func (c *Config) shareSecrets() {
	secrets := c.Recordings.Secrets()
	for i := range c.Hooks {
		c.Hooks[i].Environment = slices.Concat(c.Hooks[i].Environment, secrets)
	}
	for i := range c.Pops {
		c.Pops[i].Environment = slices.Concat(c.Pops[i].Environment, secrets)
	}
}

// pop returns the value from which a [[pop]] starts: the defaults, overlaid with the preset that it names.
func (r *report) pop(at *position, in any) any {
	c := pops.DefaultConfig()
	table, _ := in.(map[string]any)
	name, _ := table["preset"].(string)
	if name == "" {
		return c
	}
	text, ok := pops.Preset(name)
	if !ok {
		r.wrong(at.key("preset"), "pop.preset", "unknown preset %q; %s", name, nearest("presets", name, pops.Presets()))
		return c
	}
	if _, err := toml.Decode(string(text), &c); err != nil {
		panic(fmt.Sprintf("preset %s, which is part of the program: %v", name, err))
	}
	return c
}

// clickFrom returns the value from which a [[click_from]] starts: the defaults, overlaid with the preset that it names.
func (r *report) clickFrom(at *position, in any) any {
	c := clickfrom.DefaultConfig()
	table, _ := in.(map[string]any)
	name, _ := table["preset"].(string)
	if name == "" {
		return c
	}
	text, ok := clickfrom.Preset(name)
	if !ok {
		r.wrong(at.key("preset"), "click_from.preset", "unknown preset %q; %s", name, nearest("presets", name, clickfrom.Presets()))
		return c
	}
	if _, err := toml.Decode(string(text), &c); err != nil {
		panic(fmt.Sprintf("preset %s, which is part of the program: %v", name, err))
	}
	return c
}
