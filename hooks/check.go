package hooks

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"ringhook/httpclient"
)

var (
	hookName  = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)
	fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
)

var (
	orders  = []string{orderCall, orderStrict, orderNone}
	methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch}
)

// Check reports every setting that cannot be used, by its key, with what would be right.
func (c *Config) Check(report func(key, problem string)) {
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			report(key, fmt.Sprintf(format, args...))
		}
	}
	check(hookName.MatchString(c.Name), "name", "%q is not a name for a hook: 1 to 32 small letters, digits, underscores and hyphens", c.Name)
	check(len(c.Events) > 0, "events", "the hook has no events: name some, or \"*\" for all")
	for _, name := range c.Events {
		_, err := path.Match(name, "")
		check(err == nil && name != "", "events", "%q is neither an event's name nor a pattern such as \"agent-*\"", name)
	}
	check(c.Timeout >= 100*time.Millisecond && c.Timeout <= time.Minute, "timeout", "%v is out of range: 100ms to 60s", c.Timeout)
	check(c.GiveUp >= time.Second && c.GiveUp <= 30*24*time.Hour, "give_up", "%v is out of range: 1s to 720h", c.GiveUp)
	check(schedules[c.Schedule] != nil, "schedule", "%q is not a schedule: one of %s", c.Schedule, oneOf(slices.Sorted(maps.Keys(schedules))))
	check(slices.Contains(orders, c.Order), "order", "%q is not an order: one of %s", c.Order, oneOf(orders))
	check(c.OrderHold >= time.Second && c.OrderHold <= 30*24*time.Hour, "order_hold", "%v is out of range: 1s to 720h", c.OrderHold)
	check(c.Concurrency >= 1 && c.Concurrency <= 64, "concurrency", "%d is out of range: 1 to 64", c.Concurrency)
	for name := range c.Settings {
		check(fieldName.MatchString(name) && name == strings.ToLower(name), "settings", "%q is not a name: small letters, digits and underscores", name)
	}
	for _, p := range compile(c, 0).problems {
		report(p.key, p.text)
	}
	c.Credentials.Check(c.Headers, report)
	for n, address := range c.URL {
		switch {
		case n == maxAddresses:
			report("url", fmt.Sprintf("%d URLs are too many, %d at most", len(c.URL), maxAddresses))
		case slices.Contains(c.URL[:n], address):
			report("url", fmt.Sprintf("the %d. URL stands there already", n+1))
		case n > 0:
			for _, p := range compileURL(c, n).problems {
				report(p.key, p.text)
			}
		}
	}
}

// err returns what Check reports as one error, nil if it reports nothing.
func (c *Config) err() error {
	var problems []error
	c.Check(func(key, text string) {
		problems = append(problems, fmt.Errorf("hook %q: %s: %s", c.Name, key, text))
	})
	return errors.Join(problems...)
}

// oneOf lists what may be chosen.
func oneOf(words []string) string { return strings.Join(words, ", ") }

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
