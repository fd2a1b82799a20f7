// Package phonebook reads and writes phonebooks as files: CSV, and vCards as
// phones and mail programs export them.
//
// A mistake in a file costs the entry that contains it and no other, and
// names its line. Memory is bounded, whatever the file is.
package phonebook

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"ringhook/lookup"
	"ringhook/lookup/answer"
)

// Entry is one number of a file.
type Entry struct {
	Line   int // of the file, from 1
	Number string
	Vars   []lookup.Var // at least one, none of them empty, each on one line
}

// Mistake is why an entry of a file cannot be used.
type Mistake struct {
	Line    int // from 1
	Problem string
}

// Error returns the line and what is wrong with it.
func (m *Mistake) Error() string { return fmt.Sprintf("line %d: %s", m.Line, m.Problem) }

// maxLine is the maximum length of a line, and of an entry of several, in bytes.
const maxLine = 64 << 10

// callerName is the variable that phones show.
const callerName = "CALLERID(name)"

// lines returns the lines of a file, without their ends.
type lines struct {
	r    *bufio.Reader
	line int // the number of the last one
	back []string
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(Decoded(r), maxLine)} }

// next returns the next line, or its beginning and long if it is longer than
// maxLine.
func (l *lines) next() (text string, long bool, err error) {
	if len(l.back) > 0 {
		text, l.back = l.back[0], l.back[1:]
		l.line++
		return text, false, nil
	}
	b, err := l.r.ReadSlice('\n')
	if len(b) == 0 && err != nil {
		return "", false, err
	}
	l.line++
	b = bytes.TrimSuffix(b, []byte("\n"))
	if l.line == 1 {
		b = bytes.TrimPrefix(b, []byte(byteOrderMark))
	}
	text = string(b)
	for ; errors.Is(err, bufio.ErrBufferFull); _, err = l.r.ReadSlice('\n') {
		long = true
	}
	if errors.Is(err, io.EOF) {
		err = nil // the next call returns it
	}
	return text, long, err
}

// unread puts lines back, the last of those that were read.
func (l *lines) unread(texts []string) {
	l.back = append(texts[:len(texts):len(texts)], l.back...)
	l.line -= len(texts)
}

// oneLine makes a value one line.
func oneLine(s string) string { return answer.OneLine(s) }

// numberLine makes a number one line. Its lines may be two numbers, which a blank would join to one.
func numberLine(s string) string {
	return oneLine(strings.ReplaceAll(strings.TrimSpace(s), "\n", "/"))
}

// words joins what is not empty.
func words(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}
