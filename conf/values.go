package conf

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// duration decodes "1m30s".
func (d *decoder) duration(at *place, key string, in any, out reflect.Value) {
	s, ok := in.(string)
	if !ok {
		if n, isInt := in.(int64); isInt {
			d.wrong(at, key, `%d has no unit; write "%ds" for seconds or "%dms" for milliseconds`, n, n, n)
			return
		}
		d.wrong(at, key, `%s; it must be a duration, such as "5s"`, is(key, in))
		return
	}
	s, ok = d.expand(at, key, s)
	if !ok {
		return
	}
	length, err := time.ParseDuration(s)
	if err != nil {
		d.wrong(at, key, "%q is not a duration; %s", s, rightDuration(s))
		return
	}
	out.SetInt(int64(length))
}

// spoken is a duration as people write it: a number, and a unit in words or
// one that is longer than Go has.
var spoken = regexp.MustCompile(`^([0-9]{1,6}) *([a-z]*)\.?$`)

// units are the words for them, each with the unit that is right and how many of it.
var units = []struct {
	words []string
	times int
	unit  string
}{
	{[]string{"ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds"}, 1, "ms"},
	{[]string{"", "s", "sec", "secs", "second", "seconds"}, 1, "s"},
	{[]string{"m", "min", "mins", "minute", "minutes"}, 1, "m"},
	{[]string{"h", "hr", "hrs", "hour", "hours"}, 1, "h"},
	{[]string{"d", "day", "days"}, 24, "h"},
	{[]string{"w", "week", "weeks"}, 7 * 24, "h"},
}

// rightDuration says how a wrong duration is written right.
func rightDuration(s string) string {
	if m := spoken.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s))); m != nil {
		n, _ := strconv.Atoi(m[1])
		for _, u := range units {
			for _, word := range u.words {
				if word == m[2] {
					return fmt.Sprintf(`write "%d%s"`, n*u.times, u.unit)
				}
			}
		}
	}
	return `write a number and a unit, such as "800ms", "5s", "10m" or "24h"`
}

// reference is ${NAME}, or what should have been one.
var reference = regexp.MustCompile(`\$?\$\{[^}]*\}?`)

// variable is what an environment variable may be called.
var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand puts the environment's variables in the places of ${NAME}, once: what
// a variable holds is taken as it is. $${ stands for ${ itself.
func (d *decoder) expand(at *place, key, s string) (string, bool) {
	var bad, unset []string
	expanded := reference.ReplaceAllStringFunc(s, func(ref string) string {
		if strings.HasPrefix(ref, "$${") {
			return ref[1:]
		}
		name, closed := strings.CutSuffix(ref[2:], "}")
		if !closed {
			bad = append(bad, "${ without }")
			return ref
		}
		if !variable.MatchString(name) {
			bad = append(bad, ref)
			return ref
		}
		value, set := d.env(name)
		if !set {
			unset = append(unset, name)
			return ref
		}
		d.hide(value, ref)
		return value
	})
	switch {
	case bad != nil:
		d.wrong(at, key, "%s names no environment variable; write ${NAME}, or $${ where ${ itself is meant", strings.Join(bad, ", "))
	case unset != nil:
		d.wrong(at, key, "not set in the environment: %s; set it where the service is started", strings.Join(unset, ", "))
	case expanded == s:
		d.literal(at, key, s)
	}
	return expanded, bad == nil && unset == nil
}

// literal notes a secret that stands in the file itself.
func (d *decoder) literal(at *place, key, s string) {
	switch m := inURL.FindStringSubmatch(s); {
	case m != nil:
		s = m[1] + m[2]
	case s == "" || !secretKey(key) || onlyPlaceholder.MatchString(s):
		return
	}
	d.hide(s, "(hidden)")
	d.secrets = append(d.secrets, Mistake{File: d.file, Line: at.line, Key: key})
}

const secretWords = `pass|pwd|secret|token|bearer|key|auth|cookie|credential`

var (
	// secretName is what keys and headers with secrets are called. All headers
	// in one text, which is a mistake, are as secret as the worst of them.
	secretName = regexp.MustCompile(`(?i)\.headers$|(?:` + secretWords + `)[^.]*$`)
	// plain are the names of variables and the words of a receiver, and where a
	// secret is to be found, which is none.
	plain = regexp.MustCompile(`\.(variables|map|words|tls)\.|_(file|url)$`)
	// inURL is a password before the host, or a parameter of such a name.
	inURL = regexp.MustCompile(`://[^/@:?]*:([^/@?]+)@|(?i)[?&][a-z0-9_-]*(?:` + secretWords + `)[a-z0-9_-]*=([^&%]+)`)
	// onlyPlaceholder is a value that comes with each call.
	onlyPlaceholder = regexp.MustCompile(`^%[^%]+%$`)
)

// secretKey tells whether a value is a secret by the name of its key.
func secretKey(key string) bool {
	return secretName.MatchString(key) && !plain.MatchString(key)
}
