package lookup

// Parameters tells report every parameter of the call that a request takes, with
// the key that names it. It is for a lookup that Check has nothing against.
func (c *Config) Parameters(report func(key, name string)) {
	if c.Type != typeHTTP {
		return
	}
	a, err := newAsking(c)
	if err != nil {
		return
	}
	tell := func(key string, names []string) {
		for _, name := range names {
			if name != allSpellings {
				report(key, name)
			}
		}
	}
	tell("url", a.url.Names())
	if a.body != nil {
		tell("body", a.body.Names())
	}
	for _, h := range a.headers {
		tell("headers."+h.name, h.value.Names())
	}
}
