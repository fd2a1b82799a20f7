package command

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"sync"
	"unicode/utf8"
)

// terminal writes to a terminal: what could take it over, control characters and marks that turn the direction of a text, is
// written as an escape, wherever in an output it is. Callers, CRMs and the files of other programs bring texts into outputs and
// errors.
type terminal struct {
	*os.File
	mu    sync.Mutex
	begun []byte // of a character whose rest is not written yet; guarded by mu
}

// safe returns a file that is written to without a change, unless it is a terminal: files and pipes get what a command prints.
func safe(f *os.File) io.Writer {
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return f
	}
	return &terminal{File: f}
}

// Write implements io.Writer.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := append(t.begun, p...)
	var rest []byte
	text, rest = whole(text)
	t.begun = bytes.Clone(rest)
	if _, err := t.File.Write(escaped(text)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// whole splits a text before a character at its end that is not complete.
func whole(text []byte) (complete, rest []byte) {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return text[:i], text[i:]
			}
			break
		}
	}
	return text, nil
}

// escaped returns a text with escapes in place of what is not printable, but for the ends of lines and tabs.
func escaped(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		c := text[i : i+size]
		switch i += size; {
		case r == utf8.RuneError && size == 1:
			out = append(out, `\x`...)
			out = append(out, "0123456789abcdef"[c[0]>>4], "0123456789abcdef"[c[0]&15])
		case r == '\n', r == '\t', r == '\r' && i < len(text) && text[i] == '\n', strconv.IsPrint(r):
			out = append(out, c...)
		default:
			quoted := strconv.QuoteRune(r)
			out = append(out, quoted[1:len(quoted)-1]...)
		}
	}
	return out
}
