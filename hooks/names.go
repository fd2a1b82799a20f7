package hooks

import (
	"maps"
	"slices"

	"ringhook/httpclient"
)

// Names returns the names of the configured hooks in their order, with those of the copies that further URLs make.
func Names(cfgs []Config) []string {
	var names []string
	for i := range cfgs {
		for n := range max(1, len(cfgs[i].URL)) {
			names = append(names, nameOf(cfgs[i].Name, n))
		}
	}
	return names
}

// Parameters reports every parameter that the hook takes by name, with the key that names it. It is for a hook that
// Check accepts.
func (c *Config) Parameters(report func(key, name string)) {
	own := slices.Collect(maps.Keys(c.Params))
	for _, variant := range c.On {
		own = slices.AppendSeq(own, maps.Keys(variant.Params))
	}
	uses := compile(c, 0).uses
	for n := range c.URL {
		if n > 0 {
			uses = append(uses, compileURL(c, n).uses...)
		}
	}
	for _, u := range uses {
		_, setting := c.Settings[u.name]
		if setting || u.key == "body" && slices.Contains(own, u.name) {
			continue
		}
		report(u.key, u.name)
	}
}

// compileURL compiles one URL alone.
func compileURL(c *Config, n int) *builder {
	b := &builder{hook: &hook{cfg: c}}
	b.template("url", c.URL[n], httpclient.PlaceURL)
	return b
}
