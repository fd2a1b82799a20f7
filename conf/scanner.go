package conf

import (
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
)

// Limits of a file, beside maxSize. The parser nests calls for each level and stores the
// full name of each part of a key: without limits 20 kB can take a gigabyte.
const (
	maxLevels = 32       // of tables and lists inside each other
	maxKey    = 1 << 10  // bytes of a key with its tables
	maxKeys   = 8 << 20  // bytes that the parser stores for all keys
	maxValues = 1 << 16  // keys, tables and list elements
	maxText   = 64 << 10 // bytes of one text

	maxRoomTables = 1000 // lookups, and hooks
)

// scanner reads a TOML text before the parser does. It checks the limits, and records
// the lines of all keys, which the parser does not return. As far as the text is valid,
// it finds the same keys as the parser; of an invalid text it finds something.
type scanner struct {
	file     string
	text     string
	pos      int
	lines    int // number of newlines before counted
	counted  int // offset at which counting stopped
	values   int
	keys     int       // bytes, see maxKeys
	exceeded *position // of the first value beyond a limit
	problem  string    // the limit
}

// scope is the table or list to which a key or an element belongs.
type scope struct {
	at     *position
	levels int
	key    int // bytes of its key
}

// locate returns the positions of all keys of a file. It reports a limit that the text
// exceeds, and then returns nil.
func (r *report) locate(file, text string) *position {
	for _, mark := range []string{byteOrderMark, "\xff\xfe", "\xfe\xff"} {
		if rest, marked := strings.CutPrefix(text, mark); marked {
			text = rest // the parser skips any of them, but only one
			break
		}
	}
	s := &scanner{file: file, text: text}
	root := scope{at: s.at(1)}
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
		table = s.name(root, line)
		if list {
			table.at.items = append(table.at.items, s.at(line))
		} else {
			table.at.line = line
		}
		s.skip(" \t]")
	}
	if s.exceeded != nil {
		r.wrong(s.exceeded, "", "%s", s.problem)
		return nil
	}
	return root.at
}

// at returns a position in the file.
func (s *scanner) at(line int) *position { return &position{file: s.file, line: line} }

// exceed records that a limit is exceeded, and ends the scan.
func (s *scanner) exceed(line int, problem string) {
	if s.exceeded == nil {
		s.exceeded, s.problem = s.at(line), problem
	}
	s.pos = len(s.text)
}

// count counts a value that begins on a line.
func (s *scanner) count(line int) {
	if s.values++; s.values > maxValues {
		s.exceed(line, fmt.Sprintf("the file has more than %d keys, tables and list elements", maxValues))
	}
}

// pair reads one `name = value` of a table.
func (s *scanner) pair(table scope) {
	line, start := s.line(), s.pos
	table = s.name(table, line)
	s.skip(" \t=")
	s.value(table)
	if s.pos == start {
		s.pos++
	}
}

// name reads a key, dotted or not, and stops before the character that ends it. It
// returns the scope of the key's value.
func (s *scanner) name(in scope, line int) scope {
	s.count(line)
	parts := 0
	for s.skip(" \t."); s.pos < len(s.text); s.skip(" \t.") {
		start := s.pos
		var part string
		switch c := s.peek(); c {
		case '"', '\'':
			s.quoted()
			part = s.text[start:s.pos]
		case '=', ']', '\r', '\n':
			s.keys += parts * in.key
			if s.keys > maxKeys {
				s.exceed(line, "the keys of the file are too long")
			}
			return in
		default:
			s.until(" \t.=]\r\n")
			part = s.text[start:s.pos]
		}
		parts++
		in.levels++
		in.key += len(part) + 1
		if in.key > maxKey {
			s.exceed(line, fmt.Sprintf("a key with its tables is longer than %d bytes", maxKey))
			return in
		}
		if !s.deep(in.levels, line) {
			return in
		}
		if part[0] == '"' || part[0] == '\'' {
			part = unquote(part)
		}
		in.at = in.at.add(part, line)
	}
	return in
}

// deep reports whether so many levels are allowed, and ends the scan if they are not.
func (s *scanner) deep(levels, line int) bool {
	if levels <= maxLevels {
		return true
	}
	s.exceed(line, fmt.Sprintf("more than %d tables and lists are inside each other", maxLevels))
	return false
}

// value reads a value and records the positions inside it.
func (s *scanner) value(in scope) {
	const between = " \t\r\n,"
	switch c := s.peek(); c {
	case '"', '\'':
		s.quoted()
	case '[', '{':
		line := s.line()
		s.pos++
		if in.levels++; !s.deep(in.levels, line) {
			return
		}
		for s.skip(between); s.pos < len(s.text) && s.peek() != c+2; s.skip(between) { // ']' and '}'
			if c == '{' {
				s.pair(in)
				continue
			}
			item, start := in, s.pos
			item.at = s.at(s.line())
			in.at.items = append(in.at.items, item.at)
			s.count(item.at.line)
			s.value(item)
			if s.pos == start {
				s.pos++
			}
		}
		s.pos++
	default:
		s.until(",]}#\r\n")
	}
}

// quoted reads a string of any of the four kinds.
func (s *scanner) quoted() {
	line, start := s.line(), s.pos
	defer func() {
		if s.pos-start > maxText {
			s.exceed(line, fmt.Sprintf("a text is longer than %d bytes", maxText))
		}
	}()
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
// the character after it. A newline ends a string of one line, which is invalid.
func (s *scanner) close(end string) {
	for ; s.pos < len(s.text); s.pos++ {
		if strings.HasPrefix(s.text[s.pos:], end) {
			s.pos += len(end)
			return
		}
		if s.text[s.pos] == '\n' && len(end) == 1 {
			return
		}
		if s.text[s.pos] == '\\' && end[0] == '"' {
			s.pos++
		}
	}
	s.pos = len(s.text)
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
