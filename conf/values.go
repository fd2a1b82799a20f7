package conf

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ringhook/httpclient"
)

// duration decodes "1m30s".
func (d *decoder) duration(at *position, key string, in any, out reflect.Value) {
	s, ok := in.(string)
	if !ok {
		if n, isInt := in.(int64); isInt {
			d.wrong(at, key, `%d has no unit; write "%ds" for seconds or "%dms" for milliseconds`, n, n, n)
			return
		}
		d.wrong(at, key, `%s; it must be a duration, such as "5s"`, describe(key, in))
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

// humanDuration matches a duration with a unit that Go does not know, such as
// "2 hours" or "7d".
var humanDuration = regexp.MustCompile(`^([0-9]{1,6}) *([a-z]*)\.?$`)

// units maps words to the units of Go.
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

// rightDuration returns a hint how to write a wrong duration.
func rightDuration(s string) string {
	if m := humanDuration.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s))); m != nil {
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

// reference matches ${NAME}, and attempts at it.
var reference = regexp.MustCompile(`\$?\$\{[^}]*\}?`)

// variable matches the name of an environment variable.
var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand replaces ${NAME} by the variable of the environment, whose value is not
// expanded again. $${ stands for ${ itself.
func (d *decoder) expand(at *position, key, s string) (string, bool) {
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
		d.expanded = append(d.expanded, value)
		return value
	})
	switch {
	case bad != nil:
		d.wrong(at, key, "%s does not name an environment variable; write ${NAME}, or $${ for ${ itself", strings.Join(bad, ", "))
	case unset != nil:
		d.wrong(at, key, "not set in the environment: %s; set it in the environment of the service, or in a file named environment beside the configuration that this user may read", strings.Join(unset, ", "))
	case expanded == s:
		d.literal(at, key, s)
	}
	return expanded, bad == nil && unset == nil
}

// literal records a secret that is written in the file.
func (d *decoder) literal(at *position, key, s string) {
	switch m := inURL.FindStringSubmatch(s); {
	case m != nil:
		s = m[1] + m[2]
	case key == "store.dsn":
		m := inDSN.FindStringSubmatch(s)
		if m == nil {
			return
		}
		s = strings.Trim(m[1], "'")
	case s == "" || !secretKey(key) || onlyPlaceholder.MatchString(s):
		return
	}
	d.hide(s, "(hidden)")
	d.secrets = append(d.secrets, Mistake{File: at.file, Line: at.line, Key: key})
}

var secretWords = strings.Join(httpclient.SecretWords(), "|")

var (
	// secretName matches the keys and headers that hold secrets. If all headers
	// are one text by mistake, the whole text counts as a secret.
	secretName = regexp.MustCompile(`(?i)\.headers$|(?:` + secretWords + `)[^.]*$`)
	// plain matches keys that hold no secret in spite of their names: variables,
	// the words of a receiver, and the location of a secret.
	plain = regexp.MustCompile(`\.(variables|map|words|tls)\.|_(file|url)$`)
	// inURL matches a password before the host, or a parameter with such a name.
	inURL = regexp.MustCompile(`://[^/@:?]*:([^/@?]+)@|(?i)[?&][a-z0-9_-]*(?:` + secretWords + `)[a-z0-9_-]*=([^&%]+)`)
	// inDSN matches the password among the key=value pairs of a database's address.
	inDSN = regexp.MustCompile(`(?i)\b(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)`)
	// onlyPlaceholder matches a value that each call provides.
	onlyPlaceholder = regexp.MustCompile(`^%[^%]+%$`)
)

// secretKey reports whether the name of a key makes its value a secret.
func secretKey(key string) bool {
	return key == "store.dsn" || secretName.MatchString(key) && !plain.MatchString(key)
}
