package phonebook

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// byteOrderMark stands before the first line if Windows wrote the file.
const byteOrderMark = "\xef\xbb\xbf"

// Decoded returns a file's text in UTF-8 with line feeds as the only ends of lines.
// UTF-16, which spreadsheets and phones export, is known by its mark or by its zero
// bytes.
func Decoded(r io.Reader) io.Reader {
	b := bufio.NewReaderSize(r, 4<<10)
	head, _ := b.Peek(12) // the first words are ASCII: number, phone, sep=; or BEGIN:
	var e encoding.Encoding
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), isWide(head, 1):
		e = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}), isWide(head, 0):
		e = unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	}
	if e == nil {
		return &lineEnds{r: b}
	}
	return &lineEnds{r: transform.NewReader(b, e.NewDecoder())}
}

// isWide reports whether every second byte is zero, as in UTF-16 of ASCII text.
func isWide(head []byte, first int) bool {
	if len(head) < 4 {
		return false
	}
	for i := first; i < len(head); i += 2 {
		if head[i] != 0 {
			return false
		}
	}
	return head[1-first] != 0
}

// lineEnds makes a line feed of each carriage return, with its line feed if it has
// one. Some programs end lines with a carriage return alone.
type lineEnds struct {
	r        io.Reader
	returned bool // the last byte was a carriage return
}

// Read implements io.Reader.
func (l *lineEnds) Read(p []byte) (int, error) {
	for {
		n, err := l.r.Read(p)
		out := p[:0]
		for _, c := range p[:n] {
			if c != '\n' || !l.returned {
				if c == '\r' {
					out = append(out, '\n')
				} else {
					out = append(out, c)
				}
			}
			l.returned = c == '\r'
		}
		if len(out) > 0 || err != nil || n == 0 {
			return len(out), err
		}
	}
}

// Describe returns what a file is, for the error that no number was read from it, and reports whether it is certainly
// no table.
func Describe(r io.Reader) (what string, wrong bool) {
	raw := make([]byte, 4<<10)
	n, err := io.ReadFull(r, raw)
	if n == 0 && errors.Is(err, io.EOF) {
		return "it is empty", true
	}
	if bytes.HasPrefix(raw, []byte("PK\x03\x04")) || bytes.HasPrefix(raw, []byte{0xd0, 0xcf, 0x11, 0xe0}) {
		return "it is a spreadsheet or an archive: save it as CSV", true
	}
	text, _ := io.ReadAll(io.LimitReader(Decoded(bytes.NewReader(raw[:n])), 4<<10))
	head := strings.ToLower(strings.TrimSpace(strings.TrimPrefix(string(text), byteOrderMark)))
	first, _, _ := strings.Cut(head, "\n")
	switch {
	case strings.HasPrefix(head, "<!doctype html"), strings.HasPrefix(head, "<html"):
		return "it is an HTML page, such as a login", true
	case strings.HasPrefix(head, "<"):
		return "it is XML", true
	case strings.HasPrefix(head, "{"), strings.HasPrefix(head, "["):
		return "it is JSON", true
	case strings.HasPrefix(head, "begin:vcard"):
		return "it holds vCards without a number, or the name of a .csv file", true
	case bytes.IndexByte(text, 0) >= 0:
		return "it is no text", true
	case strings.ContainsAny(first, ",;\t|"):
		return "it is a table (CSV) without entries, or has the name of a .vcf file", false
	}
	return "it has neither BEGIN:VCARD nor a first line that names columns", false
}
