package hooks

import (
	"maps"
	"slices"

	"ringhook/httpclient"
)

// Parameters tells report every parameter that the hook takes by its name, with the
// key that names it. It is for a hook that Check has nothing against.
func (c *Config) Parameters(report func(key, name string)) {
	h := compile(c, 0, func(string, string) {})
	own := slices.Collect(maps.Keys(c.Settings))
	tell := func(key string, t *httpclient.Template) {
		for _, name := range t.Names() {
			if !slices.Contains(own, name) {
				report(key, name)
			}
		}
	}
	if h.when != nil {
		for _, name := range slices.Sorted(maps.Keys(h.when.zero)) {
			report("when", name)
		}
	}
	for _, address := range c.URL {
		if t, err := httpclient.ParseTemplate(address, httpclient.PlaceURL); err == nil {
			tell("url", t)
		}
	}
	for _, header := range h.headers {
		tell("headers."+header.name, header.value)
	}
	for name := range c.Words {
		report("words."+name, name)
	}
	for _, p := range h.params {
		tell("params."+p.name, p.text)
	}
	for event, params := range h.variants {
		for _, p := range params {
			if _, here := c.On[event].Params[p.name]; here {
				tell("on."+event+".params."+p.name, p.text)
			}
		}
	}
	for event, variant := range c.On {
		for name := range variant.Words {
			report("on."+event+".words."+name, name)
		}
		own = slices.AppendSeq(own, maps.Keys(variant.Params))
	}
	own = slices.AppendSeq(own, maps.Keys(c.Params))
	if h.body != nil {
		tell("body", h.body)
	}
}
