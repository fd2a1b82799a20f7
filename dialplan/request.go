package dialplan

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ringhook/fastagi"
	"ringhook/lookup/answer"
)

// maxValue is the maximum length of a parameter's value, in bytes. Names and numbers are much shorter,
// but the note of a CRM may be long.
const maxValue = 1024

// request is one request of a point: the environment of the channel, and the arguments passed by the
// dialplan or read from the channel.
type request struct {
	point Point
	spec  spec
	env   *fastagi.Env
	args  map[string]string
	event string   // name of a custom event
	asked []string // arguments to read from the channel
	test  bool     // asked by a test client, see TestVersion
	quiet bool     // its events are not stored
	// stray is true if the call is not known, because the request was refused before: its caller may withhold the number that
	// an argument on an agent's channel has.
	stray bool
	// changed has digests of the arguments whose values are not as they were given: cut, or without what is no text.
	changed map[string]string
}

// TestVersion and QuietVersion are the agi_version of a test client; Asterisk does not send them. The
// events of a call that began with TestVersion have test = true. With QuietVersion no events are stored.
const (
	TestVersion  = "ringhook test"
	QuietVersion = "ringhook test without events"
)

// mistake is a mistake of the dialplan. Its text may have what a call brings, its kind does not.
type mistake struct{ kind, text string }

// Error returns the text.
func (m *mistake) Error() string { return m.text }

func mistakef(format string, args ...any) error {
	return &mistake{format, fmt.Sprintf(format, args...)}
}

// parseRequest parses the point and its arguments. further names the arguments that are allowed beyond
// the contract.
func parseRequest(env *fastagi.Env, further map[string]rule) (*request, error) {
	quiet := env.Version == QuietVersion
	r := &request{point: Point(env.Point), env: env, test: quiet || env.Version == TestVersion, quiet: quiet}
	var known bool
	if r.spec, known = specs[r.point]; !known {
		return r, mistakef("unknown point %q: the path of the AGI URL must be one of %s", env.Point, strings.Join(Points(), ", "))
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
			return r, mistakef("argument %d is not name=value", i+1) // the argument itself may be a caller's name
		}
		if err := r.give(strings.TrimSpace(name), value, further); err != nil {
			return r, err
		}
	}
	for _, name := range r.spec.needs {
		if r.args[name] == "" {
			return r, mistakef("point %s needs the argument %s", r.point, name)
		}
	}
	r.event = string(r.point)
	if r.point == CustomEvent {
		r.event = r.args["name"]
		delete(r.args, "name")
		if !ValidEvent(r.event) {
			return r, mistakef("event name %q: use letters, digits, - and _ (64 at most), and no name of ringhook's own events", r.event)
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
		return mistakef("query string: %v", err)
	}
	for name, all := range values {
		if len(all) > 1 {
			return mistakef("argument %s is given twice", name)
		}
		if err := r.give(name, all[0], further); err != nil {
			return err
		}
	}
	return nil
}

// give adds one argument. It is not read from the channel then, even if its value is empty.
func (r *request) give(name, value string, further map[string]rule) error {
	if _, twice := r.args[name]; twice {
		return mistakef("argument %s is given twice", name)
	}
	if Reserved(name) {
		return mistakef("argument %q has the name of a parameter that only ringhook sets: choose another name", name)
	}
	if !r.accepts(name, further) {
		return mistakef("unknown argument %q", name)
	}
	r.set(name, value)
	return nil
}

// set sets an argument to a value as it was given.
func (r *request) set(name, value string) {
	kept := strings.Trim(clean(value), " ")
	r.args[name] = kept
	if kept == strings.Trim(value, " ") {
		return
	}
	if r.changed == nil {
		r.changed = map[string]string{}
	}
	sum := sha256.Sum256([]byte(value))
	r.changed[name] = hex.EncodeToString(sum[:16])
}

// distinct returns a text that differs if two values of an argument do, also beyond what is kept of them.
func (r *request) distinct(name string) string {
	if digest := r.changed[name]; digest != "" {
		return r.args[name] + "\x00" + digest
	}
	return r.args[name]
}

func (r *request) accepts(name string, further map[string]rule) bool {
	_, ok := further[name]
	return ok || r.point.Takes(name)
}

// The arguments that describe the trunk, if it differs from [number].
const (
	countryArgument = "country" // by whose plan its national numbers are read
	charsetArgument = "charset" // of its callers' names
)

// ownArguments are the arguments that are neither parameters nor read from the channel: they say how this
// point is to be answered.
var ownArguments = []string{countryArgument, charsetArgument, nameScriptArgument, nameBytesArgument}

// read reads the arguments that the dialplan did not pass from the channel, with one command.
func (r *request) read(s *fastagi.Session, deadline time.Time, calls *registry) error {
	var names, expressions []string
	for _, name := range r.spec.reads {
		if _, given := r.args[name]; !given {
			names = append(names, name)
			expressions = append(expressions, channelReads[name])
		}
	}
	// The Asterisk must be known when a channel asks for the first time. Its later points do not read it separately.
	if _, given := r.args["server"]; !given && systemName(r.env.UniqueID) == "" && (len(names) > 0 || !calls.knows(r.linkedid(), r.channel(s.Peer()))) {
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

// linkedid returns the linkedid of the call, or the uniqueid of the channel if it is not known.
func (r *request) linkedid() string {
	if id := r.args["linkedid"]; id != "" {
		return id
	}
	return r.env.UniqueID
}

// identity returns the identity of the call, as far as this point knows it.
func (r *request) identity() Identity { return NewIdentity(r.linkedid(), r.args["server"], "") }

// channel returns the properties that distinguish the channel from that of another call. The address is one only
// if nothing else names the Asterisk.
func (r *request) channel(peer netip.Addr) channel {
	ch := channel{UniqueID: r.env.UniqueID, Name: cut(clean(r.env.Channel), 128), Caller: cut(clean(r.env.CallerNum), 64)}
	if WithheldBits(r.env.CallingPres) {
		ch = ch.hidden()
	}
	named := r.args["server"] != "" && !slices.Contains(r.asked, "server") || systemName(r.linkedid()) != ""
	if peer.IsValid() && !peer.IsLoopback() && !named {
		ch.Peer = peer.String()
	}
	return ch
}

// clean returns a value as valid UTF-8 on one line, cut to maxValue: a run of control characters is one blank.
func clean(value string) string {
	value = strings.ToValidUTF8(value, "\uFFFD")
	if strings.IndexFunc(value, isControl) >= 0 {
		value = answer.OneLine(value)
	}
	return cut(value, maxValue)
}

// cut shortens a value to a number of bytes, without splitting a rune. What it cuts off is not kept
// in memory.
func cut(value string, most int) string {
	if len(value) <= most {
		return value
	}
	for most > 0 && !utf8.RuneStart(value[most]) {
		most--
	}
	return strings.Clone(value[:most])
}

func isControl(c rune) bool {
	return c < 0x20 || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029
}

// validName reports whether a text can be the name of an event or a parameter: letters, digits, - and
// _, starting with a letter, at most 64 bytes.
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
