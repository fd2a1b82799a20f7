package hooks

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/httpclient"
)

var (
	hookName  = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)
	eventName = regexp.MustCompile(`^[A-Za-z0-9_.*?\[\]^\\-]*$`) // and patterns; ringhook.hook_disabled has a dot
	fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	// paramName allows the names that forms have for lists and tables too: user[], data[PHONE].
	paramName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*(?:\[[A-Za-z0-9_.-]*\])*$`)
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
		check(err != nil || name == "" || eventName.MatchString(name), "events",
			"%q fits no event: their names have letters, digits, - and _, also those of /event", name)
	}
	check(c.Timeout >= 100*time.Millisecond && c.Timeout <= time.Minute, "timeout", "%v is out of range: 100ms to 60s", c.Timeout)
	check(c.GiveUp >= time.Second && c.GiveUp <= 30*24*time.Hour, "give_up", "%v is out of range: 1s to 720h", c.GiveUp)
	check(schedules[c.Schedule] != nil, "schedule", "%q is not a schedule: one of %s", c.Schedule, oneOf(slices.Sorted(maps.Keys(schedules))))
	check(slices.Contains(orders, c.Order), "order", "%q is not an order: one of %s", c.Order, oneOf(orders))
	check(c.OrderHold >= time.Second && c.OrderHold <= 30*24*time.Hour, "order_hold", "%v is out of range: 1s to 720h", c.OrderHold)
	check(c.Concurrency >= 1 && c.Concurrency <= 64, "concurrency", "%d is out of range: 1 to 64", c.Concurrency)
	c.checkAnswers(check)
	for name, value := range c.Settings {
		check(value != httpclient.Required, "settings."+name, "is missing: the preset %s needs it", c.Preset)
		check(fieldName.MatchString(name) && name == strings.ToLower(name), "settings", "%q is not a name: small letters, digits and underscores", name)
	}
	problems := compile(c, 0).problems
	c.Credentials.Check(c.Headers, report)
	for n, address := range c.URL {
		switch {
		case n == maxAddresses:
			report("url", fmt.Sprintf("%d URLs are too many, %d at most", len(c.URL), maxAddresses))
		case slices.Contains(c.URL[:n], address):
			report("url", fmt.Sprintf("the %d. URL stands there already", n+1))
		case n > 0 && n < maxAddresses:
			problems = append(problems, compile(c, n).problems...)
		}
	}
	for i, p := range problems {
		if !slices.Contains(problems[:i], p) {
			report(p.key, p.text)
		}
	}
}

// transient are the 4xx statuses that may succeed later, whatever the event is.
var transient = []int{http.StatusRequestTimeout, http.StatusGone, http.StatusTooEarly, http.StatusTooManyRequests}

// unknowable are the statuses that never say that the receiver has an event already.
var unknowable = []int{http.StatusGone, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// checkAnswers checks which answers count as delivered and which as final.
func (c *Config) checkAnswers(check func(ok bool, key, format string, args ...any)) {
	check(!slices.Contains(c.Refused, ""), "refused", "has an empty text, which every answer has")
	for status, text := range c.Known {
		n, err := strconv.Atoi(status)
		check(err == nil && n >= 400 && n <= 599, "known", "%q is not a status of 400 to 599", status)
		check(!slices.Contains(unknowable, n), "known",
			"%d has a meaning of its own: 410 ends the hook, 429 asks for fewer requests, and 502 to 504 come from a proxy", n)
		check(n < 500 || n > 599 || text != "", "known", "%d needs a text: without one every failure of the receiver would count as delivered", n)
	}
	for _, status := range c.Final {
		check(status >= 400 && status <= 499 && !slices.Contains(transient, status), "final",
			"%d is not a status of 400 to 499 that stays the same: 408, 410, 425 and 429 are not", status)
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
	var uses []use
	for n := range max(1, len(c.URL)) {
		uses = append(uses, compile(c, n).uses...)
	}
	for i, u := range uses {
		_, setting := c.Settings[u.name]
		body := u.key == "body" || strings.HasPrefix(u.key, "on.") && strings.HasSuffix(u.key, ".body")
		if setting || body && slices.Contains(own, u.name) || slices.Contains(uses[:i], u) {
			continue
		}
		report(u.key, u.name)
	}
}

// Remembers returns the names of the values that the hook remembers of answers, sorted.
func (c *Config) Remembers() []string {
	names := slices.Collect(maps.Keys(c.Remember))
	for _, own := range c.On {
		names = slices.AppendSeq(names, maps.Keys(own.Remember))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// RememberedFor returns the name of the hook whose remembered values the requests of a hook use: its own, unless its
// configuration names another one.
func RememberedFor(cfgs []Config, hook string) string {
	for i := range cfgs {
		name, number, copied := strings.Cut(hook, ".")
		if _, err := strconv.Atoi(number); cfgs[i].Name == name && (!copied || err == nil) {
			return cmp.Or(cfgs[i].RememberedBy, hook)
		}
	}
	return hook
}

// Unclosed reports every name behind a percent sign that no other closes, with its key. The names of parameters and
// settings among them are placeholders that were to be closed.
func (c *Config) Unclosed(report func(key, name string)) {
	unclosed := compile(c, 0).unclosed
	for i, u := range unclosed {
		if !slices.Contains(unclosed[:i], u) {
			report(u.key, u.name)
		}
	}
}
