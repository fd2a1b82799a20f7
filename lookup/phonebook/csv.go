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

// maxRecord is the maximum number of lines of one entry: its values can have line
// breaks between quotes.
const maxRecord = 50

// ReadCSV reads a table whose first line names the columns: one is number or
// phone, and the others are variables; name is CALLERID(name). Columns without
// a name are left out. Tables that Google Contacts and Outlook export are known by
// their headers. Between the columns stand commas, semicolons, tabs or bars, or what a first
// line such as sep=; names, and the text is UTF-8 or UTF-16. An error that is no
// *Mistake ends the sequence.
func ReadCSV(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		t := &table{lines: newLines(r)}
		if err := t.readHeader(); err != nil {
			yield(Entry{}, err)
			return
		}
		for {
			entries, err := t.next()
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

// table is a CSV file being read.
type table struct {
	*lines
	comma   rune
	columns []string // the variable of each, empty if it is left out
	number  int      // the column with the number
	book    *addressBook
}

// namePattern is what a variable may be called.
var namePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}(?:\([A-Za-z0-9_-]{1,64}\))?$`)

func (t *table) readHeader() error {
	text, long, err := t.filled()
	named := false
	if err == nil {
		if t.comma, named, err = NamedSeparator(text); err != nil {
			return fmt.Errorf("line %d %w", t.line, err)
		}
	}
	if named {
		text, long, err = t.filled()
	}
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the file is empty: its first line must name the columns, such as number,name")
	case err != nil:
		return err
	case long:
		return errors.New("line 1 is too long to name the columns")
	case t.comma == 0:
		t.comma = ','
		for _, other := range []rune{';', '\t', '|'} {
			if strings.Count(text, string(other)) > strings.Count(text, string(t.comma)) {
				t.comma = other
			}
		}
	}
	names, err := t.split(text)
	if err != nil {
		return fmt.Errorf("line %d does not name the columns: %w", t.line, err)
	}
	err = t.name(names)
	if t.number < 0 || errors.Is(err, errNoVariable) {
		if t.book = newAddressBook(names); t.book != nil {
			t.columns = names
			return nil
		}
	}
	return err
}

// errNoVariable is a column whose name no variable can have.
var errNoVariable = errors.New("is no name of a variable: use a name such as CALLERID(name), call_info or customer_id")

// name reads the names of the columns.
func (t *table) name(names []string) error {
	t.number = slices.IndexFunc(names, IsNumberColumn)
	if t.number < 0 {
		return errors.New("no column is called number or phone: the first line must name the columns, such as number,name")
	}
	for i, name := range names {
		name = strings.TrimSpace(name)
		switch lower := strings.ToLower(name); {
		case IsNumberColumn(name):
			if i != t.number {
				return fmt.Errorf("columns %d and %d are both called number or phone: only one may be", t.number+1, i+1)
			}
			name = ""
		case lower == "name":
			name = callerName
		case name != "" && !namePattern.MatchString(name):
			return fmt.Errorf("column %d is called %q, which %w", i+1, name, errNoVariable)
		}
		if name != "" && slices.Contains(t.columns, name) {
			return fmt.Errorf("column %d is the second with the name %s", i+1, name)
		}
		t.columns = append(t.columns, name)
	}
	return nil
}

// filled returns the next line with something in it.
func (t *table) filled() (text string, long bool, err error) {
	text, long, err = t.lines.next()
	for err == nil && !long && strings.Trim(text, " \t\v\f"+string(t.comma)) == "" {
		text, long, err = t.lines.next()
	}
	return text, long, err
}

// NamedSeparator reports whether a first line of a table is one such as sep=; that names what stands between the columns,
// and returns it. The error continues a sentence about the line.
func NamedSeparator(line string) (comma rune, named bool, err error) {
	line = strings.Trim(strings.TrimRight(line, "\r\n"), `"`) // some programs quote it
	if len(line) < len("sep=") || !strings.EqualFold(line[:len("sep=")], "sep=") || utf8.RuneCountInString(line) != len("sep=")+1 {
		return 0, false, nil
	}
	if comma, _ = utf8.DecodeRuneInString(line[len("sep="):]); comma == utf8.RuneError {
		return 0, false, errors.New("names a separator that none can be: use sep=; or sep=,")
	}
	return comma, true, nil
}

// IsNumberColumn reports whether a table's column of this name has the numbers.
func IsNumberColumn(name string) bool {
	return slices.Contains([]string{"number", "phone", "phone number", "phone_number"}, strings.ToLower(strings.TrimSpace(name)))
}

// next returns the entries of the next row.
func (t *table) next() ([]Entry, error) {
	text, long, err := t.filled()
	if err != nil {
		return nil, err
	}
	at := t.line
	if long {
		return nil, &Mistake{at, fmt.Sprintf("is longer than %d bytes", maxLine)}
	}
	record, more, err := t.more(text)
	if err != nil {
		return nil, err
	}
	fields, err := t.split(record)
	if err != nil {
		t.unread(more)
		return nil, &Mistake{at, err.Error()}
	}
	return t.entries(at, fields)
}

// more adds the lines that an open quote continues on.
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

// split returns the fields of one record.
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

// entries makes the entries of a row. Cells that a row does not have are empty, and
// so may those be that the first line does not name.
func (t *table) entries(line int, fields []string) ([]Entry, error) {
	for i, value := range fields {
		if !utf8.ValidString(value) {
			return nil, &Mistake{line, "is not UTF-8: save the file in that encoding"}
		}
		if i >= len(t.columns) && strings.TrimSpace(value) != "" {
			return nil, &Mistake{line, fmt.Sprintf("has %d columns, the first line %d", len(fields), len(t.columns))}
		}
	}
	if t.book != nil {
		return t.book.entries(line, fields)
	}
	e := Entry{Line: line}
	for i, value := range fields[:min(len(fields), len(t.columns))] {
		if i == t.number {
			e.Number = numberLine(FromCell(value))
			continue
		}
		if value = oneLine(FromCell(value)); value != "" && t.columns[i] != "" {
			e.Vars = append(e.Vars, lookup.Var{Name: t.columns[i], Value: value})
		}
	}
	if e.Number == "" {
		return nil, &Mistake{line, "has no number"}
	}
	if len(e.Vars) == 0 {
		return nil, &Mistake{line, "has only a number: there is nothing to know about it"}
	}
	return []Entry{e}, nil
}

// What a spreadsheet takes for a formula, at the beginning of a cell and after what separates cells for one of another language, and
// the same with the apostrophe that Cell writes before it.
var (
	formula = regexp.MustCompile(`(^|[;,])([\p{Z}\p{Cf}"']*[=+\-@|%＝＋－＠])`)
	marked  = regexp.MustCompile(`(^|[;,])'([\p{Z}\p{Cf}"']*[=+\-@|%＝＋－＠])`)
)

// Cell returns a value of a table in which no spreadsheet finds a formula: an apostrophe stands before what begins as one.
func Cell(value string) string { return formula.ReplaceAllString(value, "$1'$2") }

// FromCell returns the value of a cell that Cell or a spreadsheet wrote.
func FromCell(cell string) string { return marked.ReplaceAllString(cell, "$1$2") }

// Writer writes a table that ReadCSV reads.
type Writer struct {
	csv   *csv.Writer
	names []string
}

// NewWriter returns a Writer with a column for the number and one for each variable
// in names.
func NewWriter(w io.Writer, names []string) *Writer {
	t := &Writer{csv: csv.NewWriter(w), names: names}
	_ = t.csv.Write(append([]string{"number"}, names...)) // Flush returns its error
	return t
}

// Write writes one contact.
func (t *Writer) Write(c lookup.Contact) error {
	number := c.Number
	if strings.Trim(number, "+0123456789") != "" {
		number = Cell(number)
	}
	fields := append(make([]string, 0, 1+len(t.names)), number)
	for _, name := range t.names {
		value := ""
		if i := slices.IndexFunc(c.Vars, func(v lookup.Var) bool { return v.Name == name }); i >= 0 {
			value = c.Vars[i].Value
		}
		fields = append(fields, Cell(value))
	}
	return t.csv.Write(fields)
}

// Flush writes what is left, and returns the first error of everything that was
// written.
func (t *Writer) Flush() error {
	t.csv.Flush()
	return t.csv.Error()
}
