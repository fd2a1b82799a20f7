package phonebook

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"ringhook/lookup"
)

// maxRecord is how many lines one entry may take: its values can have line
// breaks between quotes.
const maxRecord = 50

// ReadCSV reads a table whose first line names the columns: one is number or
// phone, and the others are variables; name is CALLERID(name). Columns without
// a name are left out. Between the columns stand commas, semicolons or tabs,
// and the text is UTF-8. An error that is no *Mistake ends the sequence.
func ReadCSV(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		t := &table{lines: newLines(r)}
		if err := t.readHeader(); err != nil {
			yield(Entry{}, err)
			return
		}
		for {
			e, err := t.next()
			if errors.Is(err, io.EOF) {
				return
			}
			var mistake *Mistake
			if !yield(e, err) || err != nil && !errors.As(err, &mistake) {
				return
			}
		}
	}
}

// table is a CSV file being read.
type table struct {
	*lines
	comma   rune
	columns []string // the variable of each, empty where it is left out
	number  int      // the column with the number
}

// namePattern is what a variable may be called.
var namePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}(?:\([A-Za-z0-9_-]{1,64}\))?$`)

func (t *table) readHeader() error {
	text, long, err := t.lines.next()
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the file is empty: its first line has to name the columns, such as number,name")
	case err != nil:
		return err
	case long:
		return errors.New("line 1 is too long to name the columns")
	}
	t.comma = ','
	for _, other := range []rune{';', '\t'} {
		if strings.Count(text, string(other)) > strings.Count(text, string(t.comma)) {
			t.comma = other
		}
	}
	names, err := t.split(text)
	if err != nil {
		return fmt.Errorf("line 1 does not name the columns: %w", err)
	}
	t.number = -1
	for i, name := range names {
		name = strings.TrimSpace(name)
		switch lower := strings.ToLower(name); {
		case lower == "number" || lower == "phone":
			if t.number >= 0 {
				return fmt.Errorf("columns %d and %d are both called number or phone: one of them is expected", t.number+1, i+1)
			}
			t.number, name = i, ""
		case lower == "name":
			name = callerName
		case name != "" && !namePattern.MatchString(name):
			return fmt.Errorf("column %d is called %q, which is no name of a variable: CALLERID(name), call_info or customer_id are such", i+1, name)
		}
		if name != "" && slices.Contains(t.columns, name) {
			return fmt.Errorf("column %d is the second of the name %s", i+1, name)
		}
		t.columns = append(t.columns, name)
	}
	if t.number < 0 {
		return errors.New("no column is called number or phone: the first line has to name the columns, such as number,name")
	}
	return nil
}

// next gives the next entry.
func (t *table) next() (Entry, error) {
	text, long, err := t.lines.next()
	for err == nil && !long && strings.TrimSpace(text) == "" {
		text, long, err = t.lines.next()
	}
	if err != nil {
		return Entry{}, err
	}
	at := t.line
	if long {
		return Entry{}, &Mistake{at, fmt.Sprintf("is longer than %d bytes", maxLine)}
	}
	record, more, err := t.more(text)
	if err != nil {
		return Entry{}, err
	}
	fields, err := t.split(record)
	if err != nil {
		t.unread(more)
		return Entry{}, &Mistake{at, err.Error()}
	}
	return t.entry(at, fields)
}

// more adds the lines that an open quote reaches into.
func (t *table) more(text string) (record string, more []string, err error) {
	quotes := strings.Count(text, `"`)
	record = text
	for quotes%2 == 1 && len(more) < maxRecord && len(record) < maxLine {
		text, long, err := t.lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", nil, err
		}
		if long {
			break
		}
		more = append(more, text)
		record += "\n" + text
		quotes += strings.Count(text, `"`)
	}
	return record, more, nil
}

// split takes one record apart.
func (t *table) split(record string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(record))
	r.Comma = t.comma
	r.FieldsPerRecord = -1
	fields, err := r.Read()
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		return nil, wrong.Err // its line and column are those of the record
	}
	return fields, err
}

func (t *table) entry(line int, fields []string) (Entry, error) {
	if len(fields) != len(t.columns) {
		return Entry{}, &Mistake{line, fmt.Sprintf("has %d columns, the first line %d", len(fields), len(t.columns))}
	}
	e := Entry{Line: line, Number: strings.TrimSpace(fields[t.number])}
	if e.Number == "" {
		return Entry{}, &Mistake{line, "has no number"}
	}
	for i, value := range fields {
		if !utf8.ValidString(value) {
			return Entry{}, &Mistake{line, "is not UTF-8: save the file in that encoding"}
		}
		if value = strings.TrimSpace(value); value != "" && t.columns[i] != "" {
			e.Vars = append(e.Vars, lookup.Var{Name: t.columns[i], Value: value})
		}
	}
	if len(e.Vars) == 0 {
		return Entry{}, &Mistake{line, "says nothing of its number"}
	}
	return e, nil
}

// Writer writes a table that ReadCSV reads.
type Writer struct {
	csv   *csv.Writer
	names []string
}

// NewWriter makes a Writer with a column for the number and for each of the
// variables that names has.
func NewWriter(w io.Writer, names []string) *Writer {
	t := &Writer{csv: csv.NewWriter(w), names: names}
	_ = t.csv.Write(append([]string{"number"}, names...)) // Flush tells
	return t
}

// Write writes one contact.
func (t *Writer) Write(c lookup.Contact) error {
	fields := append(make([]string, 0, 1+len(t.names)), c.Number)
	for _, name := range t.names {
		value := ""
		if i := slices.IndexFunc(c.Vars, func(v lookup.Var) bool { return v.Name == name }); i >= 0 {
			value = c.Vars[i].Value
		}
		fields = append(fields, value)
	}
	return t.csv.Write(fields)
}

// Flush writes what is left, and tells the first error of all that was written.
func (t *Writer) Flush() error {
	t.csv.Flush()
	return t.csv.Error()
}
