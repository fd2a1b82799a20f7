package dialplan

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"ringhook/fastagi"
)

// maxValue bounds a parameter's value, in bytes. Asterisk's own names and
// numbers are shorter by far; a CRM's note may be longer than one would like.
const maxValue = 1024

// request is one point being asked: the channel's environment, and what the
// dialplan gave as arguments or the channel answered.
type request struct {
	point Point
	spec  spec
	env   *fastagi.Env
	args  map[string]string
	event string   // name of a custom event
	asked []string // arguments that the channel is asked for
	test  bool     // asked by a test client, see TestVersion
	quiet bool     // whose events are not kept
}

// TestVersion and QuietVersion are the agi_version of a test client, which no
// Asterisk sends. Every event of a call that began with TestVersion has test =
// true. QuietVersion keeps no events and promises none.
const (
	TestVersion  = "ringhook test"
	QuietVersion = "ringhook test without events"
)

// parseRequest finds the point and takes the arguments apart. further names
// the parameters beyond the contract that may be given.
func parseRequest(env *fastagi.Env, further map[string]rule) (*request, error) {
	quiet := env.Version == QuietVersion
	r := &request{point: Point(env.Point), env: env, test: quiet || env.Version == TestVersion, quiet: quiet}
	var known bool
	if r.spec, known = specs[r.point]; !known {
		return r, fmt.Errorf("unknown point %q: the path of the AGI URL must be one of %s", env.Point, strings.Join(Points(), ", "))
	}
	r.args = make(map[string]string, max(len(env.Args), len(r.spec.reads)))
	if err := r.parseQuery(further); err != nil {
		return r, err
	}
	for i, arg := range env.Args {
		if arg == "" {
			continue
		}
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			return r, fmt.Errorf("argument %d is not name=value", i+1) // what it is may be a caller's name
		}
		if err := r.give(strings.TrimSpace(name), value, further); err != nil {
			return r, err
		}
	}
	for _, name := range r.spec.needs {
		if r.args[name] == "" {
			return r, fmt.Errorf("point %s needs the argument %s", r.point, name)
		}
	}
	r.event = string(r.point)
	if r.point == CustomEvent {
		r.event = r.args["name"]
		delete(r.args, "name")
		if !ValidEvent(r.event) {
			return r, fmt.Errorf("event name %q: use letters, digits, - and _ (64 at most), and no name of ringhook's own events", r.event)
		}
	}
	return r, nil
}

func (r *request) parseQuery(further map[string]rule) error {
	if r.env.Query == "" {
		return nil
	}
	values, err := url.ParseQuery(r.env.Query)
	if err != nil {
		return fmt.Errorf("query string: %w", err)
	}
	for name, all := range values {
		if len(all) > 1 {
			return fmt.Errorf("argument %s is given twice", name)
		}
		if err := r.give(name, all[0], further); err != nil {
			return err
		}
	}
	return nil
}

// give takes one argument. An empty value counts as given: it says that there
// is nothing to read.
func (r *request) give(name, value string, further map[string]rule) error {
	if _, twice := r.args[name]; twice {
		return fmt.Errorf("argument %s is given twice", name)
	}
	if !r.accepts(name, further) {
		return fmt.Errorf("unknown argument %q", name)
	}
	r.args[name] = strings.Trim(clean(value), " ")
	return nil
}

func (r *request) accepts(name string, further map[string]rule) bool {
	_, ok := further[name]
	return ok || r.point.Takes(name)
}

// countryArgument says by whose plan the trunk's national numbers are read,
// where it is not the one of [number] country.
const countryArgument = "country"

// read asks the channel, in one command, for what the dialplan did not give.
func (r *request) read(s *fastagi.Session, deadline time.Time, calls *registry) error {
	var names, expressions []string
	for _, name := range r.spec.reads {
		if _, given := r.args[name]; !given {
			names = append(names, name)
			expressions = append(expressions, channelReads[name])
		}
	}
	// Which Asterisk asks must be known where a call begins; later it costs no read of its own.
	if _, given := r.args["server"]; !given && systemName(r.env.UniqueID) == "" && (len(names) > 0 || !calls.knows(r.linkedid())) {
		names = append(names, "server")
		expressions = append(expressions, channelReads["server"])
	}
	if len(names) == 0 {
		return nil
	}
	r.asked = names
	values, err := s.Read(deadline, expressions...)
	if err != nil {
		return fmt.Errorf("read %s from the channel: %w", strings.Join(names, ", "), err)
	}
	if len(values) != len(names) {
		return errors.New("read from the channel: wrong number of values")
	}
	for i, name := range names {
		if v := clean(values[i]); v != "" {
			r.args[name] = v
		}
	}
	return nil
}

// linkedid is what all channels of the call share, else the channel's own id.
func (r *request) linkedid() string {
	if id := r.args["linkedid"]; id != "" {
		return id
	}
	return r.env.UniqueID
}

// identity is the identity of the call, as far as this point knows it.
func (r *request) identity() Identity { return NewIdentity(r.linkedid(), r.args["server"], "") }

// channel is what distinguishes the point's channel from that of another call.
func (r *request) channel() channel {
	ch := channel{UniqueID: r.env.UniqueID, Name: cut(clean(r.env.Channel), 128), Caller: cut(clean(r.env.CallerNum), 64)}
	if r.env.CallingPres&presentationBits == presentationRestricted {
		ch.Caller = "withheld"
	}
	return ch
}

// phone is the agent's phone: 101 of 101, PJSIP/101 or Local/101@agents/n.
func (r *request) phone() string {
	p := r.args["agent_phone"]
	if _, rest, ok := strings.Cut(p, "/"); ok {
		p = rest
	}
	if i := strings.IndexAny(p, "@/"); i >= 0 {
		p = p[:i]
	}
	return p
}

// clean makes a value fit for parameters: valid UTF-8 without control
// characters, and not longer than maxValue.
func clean(value string) string {
	value = strings.ToValidUTF8(value, "\uFFFD")
	if strings.IndexFunc(value, isControl) >= 0 {
		value = strings.Map(func(c rune) rune {
			if isControl(c) {
				return -1
			}
			return c
		}, value)
	}
	return cut(value, maxValue)
}

// cut shortens a value to at most so many bytes, at a rune.
func cut(value string, most int) string {
	if len(value) <= most {
		return value
	}
	for most > 0 && !utf8.RuneStart(value[most]) {
		most--
	}
	return value[:most]
}

func isControl(c rune) bool {
	return c < 0x20 || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029
}

// validName reports whether a name can be an event's or a parameter's: letters,
// digits, - and _, a letter first, 64 bytes at most.
func validName(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return true
}
