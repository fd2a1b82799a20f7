package command

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/lookup/phonebook"
	storebook "ringhook/store/phonebook"
)

const (
	// importBatch is the number of entries that are written at once: few, so that other
	// writers do not wait long.
	importBatch = 2000
	// maxComplaints is the number of bad lines that are named; the rest is counted.
	maxComplaints = 100
)

type phonebookImportCmd struct {
	File   string `arg:"" type:"existingfile" help:"A .csv file, whose first line names the columns (number, name and other variables), or a .vcf file."`
	Strict bool   `help:"Import nothing if a line is bad."`
}

// Run imports a file. What was imported stays if it is cut short.
func (c *phonebookImportCmd) Run(s *streams) (err error) {
	read := phonebook.ReadCSV
	switch strings.ToLower(filepath.Ext(c.File)) {
	case ".csv", ".txt":
	case ".vcf", ".vcard":
		read = phonebook.ReadVCard
	default:
		return usageError{fmt.Errorf("%s: .csv or .vcf is expected", c.File)}
	}
	cfg, err := s.load()
	if err != nil {
		return err
	}
	in := &importing{streams: s, file: c.File, read: read, numbers: number.NewReader(cfg.Number), country: cfg.Number.Country, checkValue: cfg.Dialplan.CheckValue}
	if c.Strict {
		if err := in.run(nil); err != nil {
			return err
		}
		if in.bad > 0 {
			return fmt.Errorf("%d bad lines in %s: nothing is imported", in.bad, c.File)
		}
		if in.good == 0 {
			return in.nothing()
		}
	}
	book, err := openBook(s, cfg, storebook.Make)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	if err := in.run(book); err != nil {
		return err
	}
	if in.good == 0 {
		return in.nothing()
	}
	fmt.Fprintf(s.out, "%d numbers imported, %d bad lines skipped\n", in.good-in.repeated, in.bad)
	if in.repeated > 0 {
		fmt.Fprintf(s.out, "%d numbers stand there more than once: the last entry of each counts\n", in.repeated)
	}
	return nil
}

// importing is a file that is being imported.
type importing struct {
	*streams
	file       string
	read       func(io.Reader) iter.Seq2[phonebook.Entry, error]
	numbers    *number.Reader
	country    string
	checkValue func(name, value string) string

	good, bad, repeated, warned int
	lines                       map[string]int // of numbers, up to maxRemembered of them
}

// maxRemembered is the maximum number of numbers among which repeated ones are found.
const maxRemembered = 500_000

// nothing is the error of a file from which no number was read.
func (in *importing) nothing() error {
	f, err := os.Open(in.file)
	if err != nil {
		return err
	}
	defer f.Close()
	if in.bad > 0 {
		return fmt.Errorf("%s: no number is imported: all %d lines are bad", in.file, in.bad)
	}
	what, _ := phonebook.Describe(f)
	return fmt.Errorf("%s: no number is imported: %s", in.file, what)
}

// unreadable returns the error of a file that cannot be read, with what the file is if it
// is none of contacts.
func (in *importing) unreadable(err error) error {
	if f, openErr := os.Open(in.file); openErr == nil {
		defer f.Close()
		if what, wrong := phonebook.Describe(f); wrong {
			return fmt.Errorf("%s: no number is imported: %s", in.file, what)
		}
	}
	return fmt.Errorf("read %s: %w", in.file, err)
}

// run reads the file once; without a book it only looks for bad lines.
func (in *importing) run(book bookStore) (err error) {
	in.good, in.bad, in.repeated, in.warned = 0, 0, 0, 0
	in.lines = make(map[string]int)
	f, err := os.Open(in.file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	batch := make([]lookup.Contact, 0, importBatch)
	flush := func() error {
		if book == nil || len(batch) == 0 {
			batch = batch[:0]
			return nil
		}
		err := book.Put(batch)
		batch = batch[:0]
		return err
	}
	for e, err := range in.read(f) {
		var mistake *phonebook.Mistake
		if err != nil && !errors.As(err, &mistake) {
			return errors.Join(in.unreadable(err), flush())
		}
		caller := number.Number{}
		if mistake == nil {
			caller = in.numbers.Normalize(e.Number)
			mistake = in.checkNumber(caller, e)
		}
		if mistake != nil {
			in.complain(mistake)
			continue
		}
		in.good++
		in.look(caller.String(), e, book == nil)
		batch = append(batch, lookup.Contact{Number: caller.String(), Vars: e.Vars})
		if len(batch) == importBatch {
			if err := flush(); err != nil {
				return err
			}
			if in.ctx.Err() != nil {
				return fmt.Errorf("cut short after %d numbers: %w", in.good, in.ctx.Err())
			}
		}
	}
	return flush()
}

// look warns of a number that the file has more than once, and of values that calls
// would not get.
func (in *importing) look(caller string, e phonebook.Entry, silent bool) {
	if line, again := in.lines[caller]; again {
		in.repeated++
		in.warn(silent, e.Line, fmt.Sprintf("%s is the number of line %d as well: this entry counts", caller, line))
	}
	if len(in.lines) < maxRemembered {
		in.lines[caller] = e.Line
	}
	for _, v := range e.Vars {
		if problem := in.checkValue(v.Name, v.Value); problem != "" {
			in.warn(silent, e.Line, fmt.Sprintf("warning: calls do not get %s: %s", v.Name, problem))
		}
	}
}

func (in *importing) warn(silent bool, line int, text string) {
	if in.warned++; silent || in.warned > maxComplaints {
		return
	}
	fmt.Fprintf(in.err, "%s:%d: %s\n", in.file, line, text)
}

// checkNumber returns why a number cannot be a caller's, nil if it can.
func (in *importing) checkNumber(caller number.Number, e phonebook.Entry) *phonebook.Mistake {
	problem := ""
	switch {
	case caller.Kind == number.Anonymous:
		problem = fmt.Sprintf("%q is a withheld number", caller.Raw)
	case caller.Kind != number.Invalid:
		return nil
	case in.numbers.Several(caller.Raw):
		problem = fmt.Sprintf("%q may be two numbers: write each in a line of its own", caller.Raw)
	case strings.HasPrefix(caller.Raw, "+") || strings.HasPrefix(caller.Raw, "00"):
		problem = fmt.Sprintf("%q is not a telephone number of its country", caller.Raw)
	case in.country == "":
		problem = fmt.Sprintf("%q is not a telephone number: write it with + and the country code, or set [number] country", caller.Raw)
	default:
		problem = fmt.Sprintf("%q is not a telephone number of %s: write one of another country with + and its code", caller.Raw, in.country)
	}
	return &phonebook.Mistake{Line: e.Line, Problem: problem}
}

func (in *importing) complain(m *phonebook.Mistake) {
	in.bad++
	switch {
	case in.bad <= maxComplaints:
		fmt.Fprintf(in.err, "%s:%d: %s\n", in.file, m.Line, m.Problem)
	case in.bad == maxComplaints+1:
		fmt.Fprintln(in.err, "further bad lines are counted")
	}
}
