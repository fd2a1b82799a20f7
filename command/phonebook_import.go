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
	// importBatch is how many entries are written at once: so few that nobody
	// who writes meanwhile waits long.
	importBatch = 2000
	// maxComplaints is how many bad lines are named; the rest is counted.
	maxComplaints = 100
)

type phonebookImportCmd struct {
	File   string `arg:"" type:"existingfile" help:"A .csv file, whose first line names the columns (number, name and other variables), or a .vcf file."`
	Strict bool   `help:"Import nothing where a line is bad."`
}

// Run imports a file. What was imported stays where it is cut short.
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
	in := &importing{streams: s, file: c.File, read: read, numbers: number.NewReader(cfg.Number)}
	if c.Strict {
		if err := in.run(nil); err != nil {
			return err
		}
		if in.bad > 0 {
			return fmt.Errorf("%d bad lines in %s: nothing is imported", in.bad, c.File)
		}
	}
	book, err := storebook.Make(cfg.Store.Folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	if err := in.run(book); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%d numbers imported, %d bad lines skipped\n", in.good, in.bad)
	return nil
}

// importing is a file on its way into the phonebook.
type importing struct {
	*streams
	file      string
	read      func(io.Reader) iter.Seq2[phonebook.Entry, error]
	numbers   *number.Reader
	good, bad int
}

// run reads the file once; without a book it only looks for bad lines.
func (in *importing) run(book *storebook.Phonebook) (err error) {
	in.good, in.bad = 0, 0
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
			return errors.Join(fmt.Errorf("read %s: %w", in.file, err), flush())
		}
		caller := number.Number{}
		if mistake == nil {
			caller = in.numbers.Normalize(e.Number)
			mistake = unfit(caller, e)
		}
		if mistake != nil {
			in.complain(mistake)
			continue
		}
		in.good++
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

// unfit says why a number cannot be a caller's, nil where it can.
func unfit(caller number.Number, e phonebook.Entry) *phonebook.Mistake {
	switch caller.Kind {
	case number.Invalid:
		return &phonebook.Mistake{Line: e.Line, Problem: fmt.Sprintf("%q is no number that can call; write it with + and the country, or set [number] country", caller.Raw)}
	case number.Anonymous:
		return &phonebook.Mistake{Line: e.Line, Problem: fmt.Sprintf("%q is nobody's number", caller.Raw)}
	}
	return nil
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
