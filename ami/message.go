package ami

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The largest message that is read. Asterisk's own longest are about 8 KiB.
const (
	maxLine    = 64 << 10
	maxMessage = 256 << 10
	maxFields  = 1000
)

// Field is one line of a message.
type Field struct{ Key, Value string }

// Message is what Asterisk sends: a response, or an event. Values are as they came: they can
// hold a line feed, control characters and bytes that are not UTF-8.
type Message []Field

// Get returns the first value of a key, or "". The first counts because a dialplan's UserEvent
// can append keys of its own.
func (m Message) Get(key string) string {
	for i := range m {
		if m[i].Key == key {
			return m[i].Value
		}
	}
	return ""
}

// Event returns the event's name, or "" if the message is a response.
// Asterisk always writes the kind first.
func (m Message) Event() string { return m.first("Event") }

// Response returns "Success", "Error" and so on, or "" if the message is an event.
func (m Message) Response() string { return m.first("Response") }

func (m Message) first(key string) string {
	if len(m) > 0 && m[0].Key == key {
		return m[0].Value
	}
	return ""
}

// parse reads a message from its lines. A line without a colon is ignored.
func parse(text string) Message {
	m := make(Message, 0, strings.Count(text, "\r\n")+1)
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\r\n")
		if key, value, ok := strings.Cut(line, ":"); ok {
			m = append(m, Field{key, strings.TrimPrefix(value, " ")})
		}
	}
	return m
}

// errTooLarge is returned for a message that was skipped. The next one can be read.
var errTooLarge = errors.New("message too large")

// reader splits a stream into messages.
type reader struct {
	src *bufio.Reader
	buf []byte // of the message being read
}

func newReader(src io.Reader) *reader { return &reader{src: bufio.NewReaderSize(src, 16<<10)} }

// next returns the next message and its size in bytes. It skips stray empty lines.
func (r *reader) next() (Message, int, error) {
	for {
		r.buf = r.buf[:0]
		fields := 0
		var failed error
		for {
			length, err := r.line(failed == nil)
			if err != nil {
				if errors.Is(err, io.EOF) && (fields > 0 || length > 0) {
					err = io.ErrUnexpectedEOF
				}
				return nil, 0, err
			}
			if length == 0 {
				break
			}
			fields++
			switch {
			case failed != nil:
			case length > maxLine:
				failed = fmt.Errorf("%w: a line of %d bytes", errTooLarge, length)
			case fields > maxFields:
				failed = fmt.Errorf("%w: more than %d lines", errTooLarge, maxFields)
			case len(r.buf) > maxMessage:
				failed = fmt.Errorf("%w: more than %d bytes", errTooLarge, maxMessage)
			}
		}
		if failed != nil {
			return nil, 0, failed
		}
		if fields > 0 {
			return parse(string(r.buf)), len(r.buf), nil
		}
	}
}

// line appends a line and its CR LF to buf if keep is set, up to a little more than the limits,
// and returns the line's length without CR LF. It splits at CR LF only: a lone line
// feed is data, and one who can choose a value could forge events with it.
func (r *reader) line(keep bool) (length int, err error) {
	var last byte
	for {
		part, err := r.src.ReadSlice('\n')
		if keep && length <= maxLine && len(r.buf) <= maxMessage {
			r.buf = append(r.buf, part...)
		}
		length += len(part)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return length, err
		}
		n := len(part)
		if err == nil && (n > 1 && part[n-2] == '\r' || n == 1 && last == '\r') {
			return length - 2, nil
		}
		last = part[n-1]
	}
}
