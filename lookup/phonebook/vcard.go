package phonebook

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime/quotedprintable"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"

	"ringhook/lookup"
)

// ReadVCard reads vCards of the versions 2.1, 3.0 and 4.0 (RFC 6350). Each of
// a card's numbers is an entry: CALLERID(name) is the card's name, else its
// organization, and call_info the organization of a person. Cards without a
// number are left out. A card in a card, that of a person's agent, is one of its
// own. An error that is no *Mistake ends the sequence.
//
// It is a parser of our own because phones still export version 2.1, with its
// quoted-printable in charsets of its own, and because a mistake must name its
// line and cost one card.
func ReadVCard(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		b := &binder{lines: newLines(r)}
		for {
			entries, err := b.next()
			if errors.Is(err, io.EOF) {
				return
			}
			var mistake *Mistake
			if err != nil && (!yield(Entry{}, err) || !errors.As(err, &mistake)) {
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// binder is a file of cards being read.
type binder struct {
	*lines
	peeked *physical // a line that was read too early
	begun  int       // line of a BEGIN that was read too early, 0 if there was none
	wrong  []error   // mistakes of cards in cards, which are returned after the card around them
}

// physical is a line as it is in the file.
type physical struct {
	text string
	long bool // there is more of it
}

// card is the content of one card.
type card struct {
	fn, n, org string
	numbers    []Entry // with line and number
	problem    error
}

// maxNumbers is the maximum number of numbers of a card.
const maxNumbers = 100

// next returns the entries of the next card.
func (b *binder) next() ([]Entry, error) {
	if len(b.wrong) > 0 {
		wrong := b.wrong[0]
		b.wrong = b.wrong[1:]
		return nil, wrong
	}
	begun := b.begun
	b.begun = 0
	for begun == 0 {
		p, err := b.property()
		if err != nil {
			return nil, err
		}
		if p.is("BEGIN", "VCARD") {
			begun = p.line
		}
	}
	return b.card(begun, 0)
}

// maxAgents is the maximum depth of cards in cards.
const maxAgents = 4

// card reads the rest of a card.
func (b *binder) card(begun, depth int) ([]Entry, error) {
	var c card
	var agents []Entry
	inner := false // the property before announces a card
	for {
		p, err := b.property()
		switch {
		case errors.Is(err, io.EOF):
			return agents, &Mistake{begun, "the card does not end"}
		case err != nil:
			return agents, err
		case p.is("BEGIN", "VCARD") && inner && depth < maxAgents:
			entries, err := b.card(p.line, depth+1)
			if agents = append(agents, entries...); b.isFatal(err) {
				return agents, err
			}
		case p.is("BEGIN", "VCARD"):
			b.begun = p.line
			return agents, &Mistake{begun, "the card does not end before the next begins"}
		case p.is("END", "VCARD"):
			entries, err := c.entries(begun)
			return append(agents, entries...), err
		case p.name == "AGENT" && len(p.value) > 0 && depth < maxAgents:
			entries, err := p.agent(depth + 1)
			if agents = append(agents, entries...); b.isFatal(err) {
				return agents, err
			}
		default:
			c.take(p)
		}
		inner = p.name == "AGENT" && strings.TrimSpace(p.value) == ""
	}
}

// isFatal reports whether an error of a card in a card ends the reading. A mistake costs
// that card alone.
func (b *binder) isFatal(err error) bool {
	var mistake *Mistake
	if errors.As(err, &mistake) {
		b.wrong = append(b.wrong, mistake)
		return false
	}
	return err != nil
}

// agent reads the card that version 3.0 writes as a value in one line.
func (p *property) agent(depth int) ([]Entry, error) {
	value := escapes.Replace(p.value)
	if !strings.HasPrefix(strings.ToUpper(strings.TrimSpace(value)), "BEGIN:VCARD") {
		return nil, nil // a URI
	}
	if p.long {
		return nil, &Mistake{p.line, fmt.Sprintf("AGENT is longer than %d bytes", maxLine)}
	}
	b := &binder{lines: newLines(strings.NewReader(value))}
	if _, err := b.property(); err != nil {
		return nil, err
	}
	entries, err := b.card(p.line, depth)
	for i := range entries {
		entries[i].Line = p.line
	}
	if mistake := (*Mistake)(nil); errors.As(err, &mistake) {
		mistake.Line = p.line
	}
	return entries, err
}

// take keeps what is used.
func (c *card) take(p property) {
	if !slices.Contains([]string{"FN", "N", "ORG", "TEL"}, p.name) {
		return
	}
	value, err := p.decode()
	if err != nil {
		if c.problem == nil {
			c.problem = &Mistake{p.line, err.Error()}
		}
		return
	}
	switch p.name {
	case "FN":
		c.fn = cmp.Or(c.fn, text(value))
	case "N":
		parts := components(value)
		for len(parts) < 5 {
			parts = append(parts, "")
		}
		// Family, given and further names, prefixes and suffixes, in the order in which they are said.
		c.n = cmp.Or(c.n, words(parts[3], parts[1], parts[2], parts[0], parts[4]))
	case "ORG":
		c.org = cmp.Or(c.org, strings.Join(slices.DeleteFunc(components(value), func(s string) bool { return s == "" }), ", "))
	case "TEL":
		number := numberLine(escapes.Replace(value))
		if strings.HasPrefix(strings.ToLower(number), "tel:") {
			number, _, _ = strings.Cut(number[len("tel:"):], ";")
		}
		if number != "" && len(c.numbers) < maxNumbers {
			c.numbers = append(c.numbers, Entry{Line: p.line, Number: number})
		}
	}
}

// entries makes an entry of each number.
func (c *card) entries(line int) ([]Entry, error) {
	name := cmp.Or(c.fn, c.n, c.org)
	switch {
	case c.problem != nil:
		return nil, c.problem
	case len(c.numbers) == 0:
		return nil, nil
	case name == "":
		return nil, &Mistake{line, "the card has numbers and no name"}
	}
	vars := []lookup.Var{{Name: callerName, Value: name}}
	if c.org != "" && c.org != name {
		vars = append(vars, lookup.Var{Name: "call_info", Value: c.org})
	}
	for i := range c.numbers {
		c.numbers[i].Vars = vars
	}
	return c.numbers, nil
}

// property is one line of a card, unfolded.
type property struct {
	line   int
	name   string   // in capitals, without its group
	params []string // in capitals, without quotes
	value  string
	long   bool
}

func (p *property) is(name, value string) bool {
	return p.name == name && strings.EqualFold(strings.TrimSpace(p.value), value)
}

// property reads the next line that has a name and a value.
func (b *binder) property() (property, error) {
	for {
		text, long, err := b.physical()
		if err != nil {
			return property{}, err
		}
		p := property{line: b.line, long: long}
		head, value, found := cutHead(text)
		for !found && !long && text != "" && len(text) < maxLine { // it may be folded before its colon
			more, longer, err := b.physical()
			if err != nil && !errors.Is(err, io.EOF) {
				return property{}, err
			}
			if err != nil || !isFolded(more) {
				if err == nil {
					b.peeked = &physical{more, longer}
				}
				break
			}
			text += more[1:]
			p.long = longer
			head, value, found = cutHead(text)
		}
		if !found {
			continue
		}
		p.name, p.params = params(head)
		p.value = value
		return p, b.unfold(&p)
	}
}

// params returns a property's name and its parameters, in capitals and without
// quotes.
func params(head string) (name string, list []string) {
	quoted, from := false, 0
	for i := 0; i <= len(head); i++ {
		switch {
		case i < len(head) && head[i] == '"':
			quoted = !quoted
		case i == len(head), head[i] == ';' && !quoted:
			list = append(list, strings.ToUpper(strings.ReplaceAll(head[from:i], `"`, "")))
			from = i + 1
		}
	}
	return list[0][strings.LastIndexByte(list[0], '.')+1:], list[1:]
}

// isFolded reports whether a line continues the one before it.
func isFolded(text string) bool { return text != "" && (text[0] == ' ' || text[0] == '\t') }

// unfold adds the lines that continue the last one.
func (b *binder) unfold(p *property) error {
	quoted := p.param("QUOTED-PRINTABLE")
	value := []byte(p.value)
	for {
		soft := quoted && len(value) > 0 && value[len(value)-1] == '='
		text, long, err := b.physical()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			p.value = string(value)
			return err
		}
		switch {
		case soft:
			value = value[:len(value)-1]
			if isFolded(text) && endsWithinCharacter(value) {
				text = text[1:] // folded as well: the blank would tear the character apart
			}
			value = append(value, text...)
		case isFolded(text):
			value = append(value, text[1:]...)
		default:
			b.peeked = &physical{text, long}
			p.value = string(value)
			return nil
		}
		if long || len(value) > maxLine {
			p.long, value = true, value[:0]
		}
	}
}

// endsWithinCharacter reports whether quoted-printable text ends in the first bytes
// of a character of UTF-8.
func endsWithinCharacter(value []byte) bool {
	var tail []byte
	for len(tail) < utf8.UTFMax && len(value) >= 3 && value[len(value)-3] == '=' {
		n, err := strconv.ParseUint(string(value[len(value)-2:]), 16, 8)
		if err != nil {
			break
		}
		tail = append([]byte{byte(n)}, tail...)
		value = value[:len(value)-3]
		if utf8.RuneStart(byte(n)) {
			return byte(n) >= utf8.RuneSelf && !utf8.FullRune(tail)
		}
	}
	return false
}

// physical returns the next line of the file.
func (b *binder) physical() (text string, long bool, err error) {
	if b.peeked != nil {
		p := *b.peeked
		b.peeked = nil
		return p.text, p.long, nil
	}
	return b.lines.next()
}

// cutHead cuts a line at the first colon outside of quotes.
func cutHead(line string) (head, value string, found bool) {
	quoted := false
	for i := range len(line) {
		switch line[i] {
		case '"':
			quoted = !quoted
		case ':':
			if !quoted {
				return line[:i], line[i+1:], i > 0
			}
		}
	}
	return "", "", false
}

// param reports whether a property has a parameter with a value, in capitals.
func (p *property) param(value string) bool {
	for _, param := range p.params {
		if param == value || param == "ENCODING="+value {
			return true
		}
	}
	return false
}

// decode returns a property's value as text.
func (p *property) decode() (string, error) {
	value := p.value
	if p.long {
		return "", fmt.Errorf("%s is longer than %d bytes", p.name, maxLine)
	}
	if p.param("QUOTED-PRINTABLE") {
		decoded, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(value)))
		if err != nil {
			return "", fmt.Errorf("%s is not quoted-printable, which it declares", p.name)
		}
		value = string(decoded)
	}
	if p.param("BASE64") || p.param("B") {
		decoded, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(value, " ", ""))
		if err != nil {
			return "", fmt.Errorf("%s is not base64, which it declares", p.name)
		}
		value = string(decoded)
	}
	for _, param := range p.params {
		charset, ok := strings.CutPrefix(param, "CHARSET=")
		if !ok || charset == "UTF-8" {
			continue
		}
		encoding, err := htmlindex.Get(charset)
		if err != nil {
			return "", fmt.Errorf("unknown charset %q of %s", charset, p.name)
		}
		if value, err = encoding.NewDecoder().String(value); err != nil {
			return "", fmt.Errorf("%s is not in %s, which it declares", p.name, charset)
		}
	}
	if !utf8.ValidString(value) {
		return "", fmt.Errorf("%s is not UTF-8: save the file in that encoding", p.name)
	}
	return value, nil
}

var escapes = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\N`, "\n", `\r`, "\r", `\R`, "\r", `\,`, ",", `\;`, ";", `\:`, ":")

// text returns a value without its escapes, on one line.
func text(value string) string { return oneLine(escapes.Replace(value)) }

// components returns the parts of a value between its semicolons.
func components(value string) []string {
	var parts []string
	from := 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case ';':
			parts = append(parts, text(value[from:i]))
			from = i + 1
		}
	}
	return append(parts, text(value[from:]))
}
