package conf

import (
	"strings"

	"github.com/BurntSushi/toml"
)

// scanner reads a TOML text that the parser has accepted, and records the lines of its
// keys, which the parser does not return.
type scanner struct {
	text    string
	pos     int
	lines   int // number of newlines before counted
	counted int // offset at which counting stopped
}

// locate returns the positions of all keys of a valid TOML text.
func locate(text string) *position {
	for _, mark := range []string{byteOrderMark, "\xff\xfe", "\xfe\xff"} {
		if rest, marked := strings.CutPrefix(text, mark); marked {
			text = rest // the parser skips any of them, but only one
			break
		}
	}
	s := &scanner{text: text}
	root := &position{line: 1}
	table := root
	for s.skip(" \t\r\n"); s.pos < len(s.text); s.skip(" \t\r\n") {
		if s.peek() != '[' {
			s.pair(table)
			continue
		}
		line := s.line()
		s.pos++
		list := s.peek() == '['
		if list {
			s.pos++
		}
		table = root
		for _, name := range s.name() {
			table = table.add(name, line)
		}
		if list {
			table.items = append(table.items, &position{line: line})
		} else {
			table.line = line
		}
		s.skip(" \t]")
	}
	return root
}

// pair reads one `name = value` of a table.
func (s *scanner) pair(table *position) {
	line, start := s.line(), s.pos
	for _, name := range s.name() {
		table = table.add(name, line)
	}
	s.skip(" \t=")
	s.value(table)
	if s.pos == start {
		s.pos++
	}
}

// name reads a key, dotted or not, and stops before the character that ends it.
func (s *scanner) name() []string {
	var parts []string
	for s.skip(" \t."); s.pos < len(s.text); s.skip(" \t.") {
		start := s.pos
		switch c := s.peek(); c {
		case '"', '\'':
			s.quoted()
			parts = append(parts, unquote(s.text[start:s.pos]))
		case '=', ']', '\r', '\n':
			return parts
		default:
			s.until(" \t.=]\r\n")
			parts = append(parts, s.text[start:s.pos])
		}
	}
	return parts
}

// value reads a value and records the positions inside it.
func (s *scanner) value(at *position) {
	const between = " \t\r\n,"
	switch s.peek() {
	case '"', '\'':
		s.quoted()
	case '[':
		s.pos++
		for s.skip(between); s.pos < len(s.text) && s.peek() != ']'; s.skip(between) {
			item, start := &position{line: s.line()}, s.pos
			at.items = append(at.items, item)
			s.value(item)
			if s.pos == start {
				s.pos++
			}
		}
		s.pos++
	case '{':
		s.pos++
		for s.skip(between); s.pos < len(s.text) && s.peek() != '}'; s.skip(between) {
			s.pair(at)
		}
		s.pos++
	default:
		s.until(",]}#\r\n")
	}
}

// quoted reads a string of any of the four kinds.
func (s *scanner) quoted() {
	quote := s.text[s.pos : s.pos+1]
	if long := strings.Repeat(quote, 3); strings.HasPrefix(s.text[s.pos:], long) {
		s.pos += 3
		s.close(long)
		// Up to two quotes may precede the closing ones.
		for range 2 {
			if s.peek() == quote[0] {
				s.pos++
			}
		}
		return
	}
	s.pos++
	s.close(quote)
}

// close moves past the next end. In a string in double quotes, a backslash escapes
// the character after it.
func (s *scanner) close(end string) {
	for ; s.pos < len(s.text); s.pos++ {
		if strings.HasPrefix(s.text[s.pos:], end) {
			s.pos += len(end)
			return
		}
		if s.text[s.pos] == '\\' && end[0] == '"' {
			s.pos++
		}
	}
}

// skip moves past any of the characters, and past comments if newlines are among
// them.
func (s *scanner) skip(set string) {
	for s.pos < len(s.text) {
		switch {
		case strings.IndexByte(set, s.text[s.pos]) >= 0:
			s.pos++
		case s.text[s.pos] == '#' && strings.Contains(set, "\n"):
			s.until("\n")
		default:
			return
		}
	}
}

// until moves to the next of the characters, or to the end of the text.
func (s *scanner) until(set string) {
	if n := strings.IndexAny(s.text[min(s.pos, len(s.text)):], set); n >= 0 {
		s.pos += n
	} else {
		s.pos = len(s.text)
	}
}

func (s *scanner) peek() byte {
	if s.pos >= len(s.text) {
		return 0
	}
	return s.text[s.pos]
}

// line returns the number of the current line.
func (s *scanner) line() int {
	here := min(s.pos, len(s.text))
	s.lines += strings.Count(s.text[s.counted:here], "\n")
	s.counted = here
	return s.lines + 1
}

// unquote decodes a quoted key by the parser's rules.
func unquote(quoted string) string {
	var read struct{ Key string }
	if _, err := toml.Decode("key = "+quoted, &read); err != nil {
		return quoted
	}
	return read.Key
}
