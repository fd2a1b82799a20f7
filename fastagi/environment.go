package fastagi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/zaf/agi"
)

const (
	maxEnvironment = 64 << 10
	maxLine        = 8 << 10
	maxLines       = 160
)

var (
	agiPrefix = []byte("agi_")
	argPrefix = []byte("agi_arg_")
	threadKey = []byte("agi_threadid")

	// callerKeys stand before what a caller or the network before this Asterisk chose freely: Asterisk lets control
	// characters through, a line feed excepted.
	callerKeys = [][]byte{[]byte("agi_callerid: "), []byte("agi_calleridname: "), []byte("agi_dnid: "), []byte("agi_rdnis: "), []byte("agi_extension: ")}
)

// readEnvironment takes the environment off the stream and checks it: the
// text is given without its blank line, valid until the stream's next read.
// Asterisk writes values as they are, a caller's name too, so whatever could
// be a forged line ends the session.
func readEnvironment(in *stream) ([]byte, error) {
	var check envCheck
	from := 0
	for {
		text := in.bytes()
		i := bytes.IndexByte(text[from:], '\n')
		switch {
		case i == 0:
			if err := check.end(text[from+1:]); err != nil {
				return text[:from], err
			}
			in.take(from + 1)
			return text[:from], nil
		case i > maxLine || i < 0 && len(text)-from > maxLine:
			return text[:from], fmt.Errorf("line %d is longer than %d bytes", check.lines+1, maxLine)
		case i > 0:
			if err := check.line(text, from, from+i); err != nil {
				return text[:from], err
			}
			from += i + 1
		default:
			if err := in.more(maxEnvironment); err != nil {
				if errors.Is(err, errTooLong) {
					err = fmt.Errorf("longer than %d bytes", maxEnvironment)
				}
				return in.bytes(), err
			}
		}
	}
}

// envCheck follows the lines of one environment.
type envCheck struct {
	lines  int
	args   int
	thread bool
	fixed  int
	keys   [maxLines]struct{ from, to uint16 } // of the lines before the arguments
}

// line checks text[from:to], of which everything before from has passed.
func (c *envCheck) line(text []byte, from, to int) error {
	line := text[from:to]
	if c.lines++; c.lines > maxLines {
		return fmt.Errorf("more than %d lines", maxLines)
	}
	for i, b := range line {
		if isControl(b) {
			if !blank(line[i:], line) {
				return fmt.Errorf("line %d holds a control character", c.lines)
			}
			break
		}
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || !bytes.HasPrefix(line, agiPrefix) || colon+1 >= len(line) || line[colon+1] != ' ' {
		return fmt.Errorf("line %d is not of the form agi_name: value", c.lines)
	}
	key := line[:colon]
	if bytes.HasPrefix(key, argPrefix) {
		return c.argument(key[len(argPrefix):])
	}
	for _, k := range c.keys[:c.fixed] {
		if bytes.Equal(text[k.from:k.to], key) {
			return fmt.Errorf("line %d has %s a second time", c.lines, key)
		}
	}
	c.keys[c.fixed].from, c.keys[c.fixed].to = uint16(from), uint16(from+colon)
	c.fixed++
	c.thread = c.thread || bytes.Equal(key, threadKey)
	return nil
}

func isControl(b byte) bool { return b < ' ' || b == 0x7f }

// blank makes blanks of the control characters in a caller's number or name, or in a called number,
// and reports whether the line is one of these. A call must not go unreported for
// a tabulator in its caller's name; on any other line no honest peer has one.
func blank(rest, line []byte) bool {
	if !slices.ContainsFunc(callerKeys, func(key []byte) bool { return bytes.HasPrefix(line, key) }) {
		return false
	}
	for i, b := range rest {
		if isControl(b) {
			rest[i] = ' '
		}
	}
	return true
}

// argument wants the arguments counted from 1, after the thread's number.
func (c *envCheck) argument(number []byte) error {
	if !c.thread {
		return fmt.Errorf("line %d is an argument in front of agi_threadid", c.lines)
	}
	c.args++
	if n, err := strconv.Atoi(string(number)); err != nil || n != c.args || number[0] == '0' || number[0] == '+' {
		return fmt.Errorf("line %d is not argument %d", c.lines, c.args)
	}
	return nil
}

// end is for the blank line. What would follow a blank line that a caller's
// name has brought in are the channel's true lines.
func (c *envCheck) end(behind []byte) error {
	if !c.thread {
		return errors.New("agi_threadid is missing")
	}
	if bytes.HasPrefix(behind, agiPrefix) {
		return errors.New("lines behind the blank one")
	}
	return nil
}

// parser is zaf/agi with what it needs to read from memory. It is kept
// between sessions for its map.
type parser struct {
	text    bytes.Reader
	rw      *bufio.ReadWriter
	session *agi.Session
}

var parsers = sync.Pool{New: func() any {
	p := &parser{session: agi.New()}
	// With a buffer this small bufio hands the text straight through.
	p.rw = bufio.NewReadWriter(bufio.NewReaderSize(&p.text, 16), nil)
	return p
}}

// parseEnvironment parses what readEnvironment has checked: v1.3.0 of zaf/agi
// panics on lines such as "a:bcdef".
func parseEnvironment(text []byte, env *Env) error {
	p := parsers.Get().(*parser)
	p.text.Reset(text)
	p.rw.Reader.Reset(&p.text)
	if err := p.session.Init(p.rw); err != nil {
		return err
	}
	env.fill(p.session.Env)
	clear(p.session.Env)
	p.text.Reset(nil)
	parsers.Put(p)
	return nil
}

// fixedKeys is the number of lines before the arguments that Asterisk sends.
const fixedKeys = 22

func (e *Env) fill(m map[string]string) {
	script := valid(m["network_script"])
	path, query, _ := strings.Cut(script, "?")
	e.Point, e.Query = strings.Trim(path, "/"), query
	e.Channel = valid(m["channel"])
	e.UniqueID = valid(m["uniqueid"])
	e.Version = valid(m["version"])
	e.CallerNum = known(m["callerid"])
	e.CallerName = known(m["calleridname"])
	if name := m["calleridname"]; !utf8.ValidString(name) {
		e.RawCallerName = strings.Clone(name)
	}
	e.CallingPres, _ = strconv.Atoi(m["callingpres"]) // 0, allowed, is also what an Asterisk without it means
	e.DNID = known(m["dnid"])
	e.RDNIS = known(m["rdnis"])
	e.Context = valid(m["context"])
	e.Extension = valid(m["extension"])
	e.Priority = valid(m["priority"])
	e.AccountCode = valid(m["accountcode"])
	for i := 1; ; i++ {
		arg, ok := m["arg_"+strconv.Itoa(i)]
		if !ok {
			return
		}
		if i == 1 {
			e.Args = make([]string, 0, max(4, len(m)-fixedKeys))
		}
		e.Args = append(e.Args, valid(arg))
	}
}

func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// known turns Asterisk's word for a missing caller or number into nothing.
func known(text string) string {
	if text == "unknown" {
		return ""
	}
	return valid(text)
}

// channelOf finds the channel's name in an environment that was refused.
func channelOf(text []byte) string {
	for line := range bytes.Lines(text) {
		if name, ok := bytes.CutPrefix(line, []byte("agi_channel: ")); ok {
			return valid(string(bytes.TrimSpace(name)))
		}
	}
	return ""
}
