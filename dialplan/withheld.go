package dialplan

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"ringhook/lookup/number"
)

const (
	// revealing is the number of last digits of a number that identify a caller, with or without country and area.
	revealing = 6
	// maxMarks is the maximum number of marks of a call.
	maxMarks = 16
)

// withheldText stands for what a trace or a list does not show of a caller who withholds the number.
const withheldText = "withheld"

// restricted reports whether the channel asks to withhold the number of the caller.
func (r *request) restricted() bool {
	return WithheldBits(r.env.CallingPres) || Withheld(r.args["connected_pres"])
}

// ownArgument reports whether an argument says nothing of the caller, whatever its value is.
func ownArgument(name string) bool {
	switch name {
	case "callerid_kind", "callerid_withheld", "connected_pres", "agent_phone", "agent_id", "agent_name", "queue_id", "queue_name":
		return true
	}
	return false
}

// reveals reports whether an argument of a call holds the number or the name of its caller, who withholds them: by its name,
// or because its value is that of this channel, as in phone=${CALLERID(num)}, or of one that the call was reported on before.
// seen are the marks of the call, none if it is not known.
func (r *request) reveals(name, value string, seen marks) bool {
	switch {
	case ownArgument(name):
		return false
	case strings.HasPrefix(name, "callerid"), name == "connected":
		return true
	case seen.in(value):
		return true
	case r.stray && !r.restricted():
		return lastDigits(value) != "" && !number.IsUniqueID(value) && !holdsNumber(value, r.env.CallerNum)
	case !r.restricted():
		return false // the caller of this channel may be an agent
	}
	if shown := clean(r.env.CallerName); shown != "" && strings.Contains(value, shown) {
		return true
	}
	return holdsNumber(value, r.env.CallerNum) || holdsNumber(value, r.args["connected"])
}

// holdsNumber reports whether a text holds a number, with or without its country.
func holdsNumber(text, num string) bool {
	end := lastDigits(num)
	return end != "" && strings.Contains(strings.Map(digit, text), end)
}

// lastDigits returns the digits that identify the caller of a number, empty if it has fewer.
func lastDigits(num string) string {
	digits := strings.Map(digit, num)
	if len(strings.TrimLeft(digits, "0")) < revealing {
		return ""
	}
	return digits[len(digits)-revealing:]
}

func digit(c rune) rune {
	if c < '0' || c > '9' {
		return -1
	}
	return c
}

// marks are those of a call. They are a copy, which can be read without the call's lock: a trace is written after the call has
// continued.
//
// They are digests by which the number and the name of a caller who withholds them are found in what other
// channels report: an agent's channel does not have them, and the manager interface does not say whose they are. They are
// short, so that the store has neither number nor name. One text in 65,536 is taken for the number.
type marks struct {
	linkedID string
	list     []string
}

// marks returns the marks of the call as they are now.
func (c *call) marks() marks { return marks{c.LinkedID, slices.Clip(c.Marks)} }

// mark adds the marks of a number and a name.
func (c *call) mark(num, name string) {
	add := func(mark string) {
		if !slices.Contains(c.Marks, mark) && len(c.Marks) < maxMarks {
			c.Marks = append(c.Marks, mark)
		}
	}
	if end := lastDigits(num); end != "" {
		add(c.marks().ofNumber(end))
	}
	if words := wordsOf(name); !number.IsAnonymous(name) && strings.IndexFunc(name, unicode.IsLetter) >= 0 && len(strings.Join(words, "")) > 2 {
		add(c.marks().ofName(words))
	}
}

func (m marks) ofNumber(end string) string { return fmt.Sprintf("%04x", m.digest(end)&0xffff) }

func (m marks) ofName(words []string) string {
	return fmt.Sprintf("%d:%08x", len(words), m.digest(strings.Join(words, " ")))
}

func (m marks) digest(text string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(m.linkedID + "\x00" + text))
	return h.Sum32()
}

// wordsOf returns the words of a text, in small letters.
func wordsOf(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
}

// in reports whether a text holds a number or a name of which there is a mark.
func (m marks) in(text string) bool {
	if len(m.list) == 0 || text == "" {
		return false
	}
	digits := strings.Map(digit, text)
	for i := 0; i+revealing <= len(digits); i++ {
		if slices.Contains(m.list, m.ofNumber(digits[i:i+revealing])) {
			return true
		}
	}
	words := wordsOf(text)
	for _, mark := range m.list {
		count, _, isName := strings.Cut(mark, ":")
		n, err := strconv.Atoi(count)
		for i := 0; isName && err == nil && i+n <= len(words); i++ {
			if m.ofName(words[i:i+n]) == mark {
				return true
			}
		}
	}
	return false
}

// markCaller adds the marks of the caller who withholds the number, as far as this channel shows who that is.
func (t *transition) markCaller() {
	switch {
	case t.onCalledChannel():
		t.call.mark(t.args["connected"], "")
	case t.env.UniqueID == t.call.LinkedID, WithheldBits(t.env.CallingPres):
		t.call.mark(t.env.CallerNum, clean(t.numbers.Name(cmp.Or(t.env.RawCallerName, t.env.CallerName), t.args[charsetArgument])))
	}
	if Withheld(t.args["connected_pres"]) {
		t.call.mark(t.args["connected"], "")
	}
}

// forgetCaller removes what the call knows of a caller who shows the number first and withholds it then.
func (t *transition) forgetCaller() {
	for _, name := range []string{"callerid_kind", "region_name", "region_time"} {
		delete(t.call.Known, name)
	}
	for name, value := range t.call.Known {
		if text, ok := value.(string); ok && t.reveals(name, text) {
			delete(t.call.Known, name)
		}
	}
	if f := &t.call.First; f.Caller != hiddenCaller && t.reveals("first", f.Caller) {
		*f = f.hidden()
	}
}

// reveals is that of the request, for its call.
func (t *transition) reveals(name, value string) bool { return t.request.reveals(name, value, t.marks) }

// shownChannel returns the name of the point's channel as traces and the log show it: drivers such as DAHDI write the
// caller's number in it.
func (t *transition) shownChannel() string {
	if !t.hidden {
		return t.env.Channel
	}
	return hideNumbers(t.env.Channel, func(digits string) bool { return t.reveals("channel", digits) })
}

// HideNumber returns a channel's name without the number of its caller, such as DAHDI/i1/withheld-5.
func HideNumber(channel, num string) string {
	return hideNumbers(channel, func(digits string) bool { return holdsNumber(digits, num) })
}

// hideNumbers replaces the numbers in a channel's name of which reveals is true.
func hideNumbers(channel string, reveals func(digits string) bool) string {
	var b strings.Builder
	for rest := channel; rest != ""; {
		end := strings.IndexFunc(rest, func(r rune) bool { return digit(r) < 0 })
		if end < 0 {
			end = len(rest)
		}
		if digits := rest[:end]; len(digits) >= revealing && reveals(digits) {
			b.WriteString(withheldText)
		} else {
			b.WriteString(digits)
		}
		rest = rest[end:]
		next := strings.IndexFunc(rest, func(r rune) bool { return digit(r) >= 0 })
		if next < 0 {
			next = len(rest)
		}
		b.WriteString(rest[:next])
		rest = rest[next:]
	}
	return b.String()
}

// shownArgument returns an argument of the dialplan as a trace of a point with a withheld number shows it.
func (r *request) shownArgument(arg string, seen marks) string {
	name, value, ok := strings.Cut(arg, "=")
	if ok && r.reveals(strings.TrimSpace(name), value, seen) {
		return name + "=" + withheldText
	}
	return arg
}

// shownQuery is shownArgument for the arguments in the URL.
func (r *request) shownQuery(query string, seen marks) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		plain, err := url.QueryUnescape(part)
		if err != nil {
			plain = part
		}
		if r.shownArgument(plain, seen) != plain {
			name, _, _ := strings.Cut(part, "=")
			parts[i] = name + "=" + withheldText
		}
	}
	return strings.Join(parts, "&")
}
