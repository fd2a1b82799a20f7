package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"ringhook/conf"
	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/lookup/phonebook"
	"ringhook/pgstore"
	enginebook "ringhook/pgstore/phonebook"
	"ringhook/store"
	storebook "ringhook/store/phonebook"
)

type phonebookCmd struct {
	Import phonebookImportCmd `cmd:"" help:"Add or replace the numbers of a CSV or vCard file."`
	List   phonebookListCmd   `cmd:"" help:"List numbers and their variables."`
	Export phonebookExportCmd `cmd:"" help:"Print the phonebook as a CSV file that import reads."`
	Remove phonebookRemoveCmd `cmd:"" help:"Remove numbers."`
}

// bookStore is where commands list and change the phonebook.
type bookStore interface {
	lookup.Phonebook
	Put(contacts []lookup.Contact) error
	Remove(number string) (removed bool, err error)
	Each(ctx context.Context, prefix string, f func(lookup.Contact) error) error
	Names(ctx context.Context) ([]string, error)
	Close() error
}

// engineBook is that of an engine that is closed with it.
type engineBook struct {
	*enginebook.Phonebook
	engine *pgstore.Store
}

// Close closes the engine.
func (b engineBook) Close() error { return b.engine.Close() }

// openBook opens the phonebook, also while a server runs on it. open opens that of a folder.
func openBook(s *streams, cfg *conf.Config, open func(folder string) (*storebook.Phonebook, error)) (bookStore, error) {
	if cfg.Store.Type == store.Postgres {
		engine, err := openEngine(s, cfg)
		if err != nil {
			return nil, err
		}
		return engineBook{enginebook.New(engine), engine}, nil
	}
	book, err := open(cfg.Store.Folder)
	if err != nil {
		return nil, err
	}
	return book, nil
}

// withPhonebook opens the phonebook, also while a server runs on it.
func withPhonebook(s *streams, do func(bookStore, *number.Reader) error) (err error) {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	book, err := openBook(s, cfg, storebook.Open)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	return do(book, number.NewReader(cfg.Number))
}

type phonebookListCmd struct {
	Prefix string `arg:"" optional:"" help:"Only numbers that begin so, such as +4930."`
	Limit  int    `default:"100" help:"At most this many."`
}

var errEnough = errors.New("enough")

// Run lists numbers in their order.
func (c *phonebookListCmd) Run(s *streams) error {
	return withPhonebook(s, func(book bookStore, _ *number.Reader) error {
		n := 0
		err := book.Each(s.ctx, c.Prefix, func(contact lookup.Contact) error {
			if n == c.Limit {
				return errEnough
			}
			n++
			fmt.Fprint(s.out, contact.Number)
			for _, v := range contact.Vars {
				fmt.Fprintf(s.out, "  %s = %s", v.Name, printable(v.Value))
			}
			fmt.Fprintln(s.out)
			return nil
		})
		if errors.Is(err, errEnough) {
			fmt.Fprintf(s.err, "the first %d are shown; --limit shows more\n", c.Limit)
			return nil
		}
		return err
	})
}

type phonebookExportCmd struct{}

// Run prints the whole phonebook.
func (c *phonebookExportCmd) Run(s *streams) error {
	return withPhonebook(s, func(book bookStore, _ *number.Reader) error {
		names, err := book.Names(s.ctx)
		if err != nil {
			return err
		}
		out := bufio.NewWriter(s.out)
		w := phonebook.NewWriter(out, names)
		err = book.Each(s.ctx, "", w.Write)
		return errors.Join(err, w.Flush(), out.Flush())
	})
}

type phonebookRemoveCmd struct {
	Numbers []string `arg:"" name:"number" help:"Numbers, as a trunk delivers them."`
}

// Run removes numbers, and fails if one is not in the phonebook.
func (c *phonebookRemoveCmd) Run(s *streams) error {
	return withPhonebook(s, func(book bookStore, numbers *number.Reader) error {
		var missing error
		for _, raw := range c.Numbers {
			number := numbers.Normalize(raw).String()
			removed, err := book.Remove(number)
			switch {
			case err != nil:
				return err
			case removed:
				fmt.Fprintf(s.out, "%s removed\n", printable(number))
			default:
				missing = errors.Join(missing, fmt.Errorf("%s is not in the phonebook", printable(raw)))
			}
		}
		return missing
	})
}
