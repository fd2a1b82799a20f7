package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"ringhook/conf"
	"ringhook/lookup/number"
	enginebook "ringhook/pgstore/phonebook"
	"ringhook/store"
	"ringhook/store/browse"
	"ringhook/store/desk"
	"ringhook/store/phonebook"
)

type forgetCmd struct {
	Number    string `arg:"" help:"The number, as a trunk delivers it."`
	Phonebook bool   `help:"Erase it from the phonebook too."`
}

// Run erases what is stored about a number.
func (c *forgetCmd) Run(s *streams) error {
	return withPerson(s, c.Number, func(st *openedStore, _ *conf.Config, book bookStore, number string, spellings []string) error {
		ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
		defer cancel()
		erased, err := st.erase(ctx, spellings)
		if err != nil {
			return err
		}
		answers := 0
		for _, spelling := range spellings {
			n, err := st.cache().Forget(ctx, spelling)
			if err != nil && (st.engine != nil || !errors.Is(err, os.ErrNotExist)) { // else there is no cache yet
				return err
			}
			answers += n
		}
		inBook := c.Phonebook && book != nil
		if inBook {
			if inBook, err = book.Remove(number); err != nil {
				return err
			}
		}
		inDesk, err := eraseFromDesk(st, spellings)
		if err != nil {
			return err
		}
		if !inBook && answers == 0 && erased == (browse.Erased{}) && inDesk == (desk.Erased{}) && !hasDigit(number) {
			return noNumber(c.Number)
		}
		fmt.Fprintf(s.out, "%s: erased %d calls with %d points, %d events with %d deliveries, %d cached answers\n",
			printable(number), erased.Calls, erased.Points, erased.Events, erased.Deliveries, answers)
		if erased.Pending > 0 {
			fmt.Fprintf(s.out, "%d of the deliveries were still waiting and are not made\n", erased.Pending)
		}
		if inBook {
			fmt.Fprintln(s.out, "erased from the phonebook")
		}
		if inDesk.Commands+inDesk.Numbers > 0 {
			fmt.Fprintf(s.out, "erased from %d recorded commands and from %d places in campaigns\n", inDesk.Commands, inDesk.Numbers)
		}
		if inDesk.Notes+inDesk.Exceptions > 0 {
			fmt.Fprintf(s.out, "erased %d notes of agents and %d exceptions of screen pops\n", inDesk.Notes, inDesk.Exceptions)
		}
		if st.engine != nil {
			fmt.Fprintln(s.out, "PostgreSQL keeps deleted rows until vacuum, and its log, standbys and backups for longer: see docs/cluster.md#privacy")
		}
		return errors.Join(store.Scrub(st.folder.Folder()), printLeftovers(s.out, st.folder.Folder()))
	})
}

// printLeftovers names the copies of the store that may still have the number.
func printLeftovers(w io.Writer, folder string) error {
	left, err := store.Leftovers(folder)
	if len(left) > 0 {
		fmt.Fprintln(w, "these copies may still have the number; remove them when they are no longer needed:")
	}
	for _, path := range left {
		fmt.Fprintln(w, " ", path)
	}
	return err
}

// eraseFromDesk erases the number from the record of commands and from campaigns.
func eraseFromDesk(st *openedStore, spellings []string) (sum desk.Erased, err error) {
	err = st.eachDesk(func(d deskStore) error {
		e, err := d.Erase(spellings...)
		sum = desk.Erased{Commands: sum.Commands + e.Commands, Numbers: sum.Numbers + e.Numbers, Notes: sum.Notes + e.Notes, Exceptions: sum.Exceptions + e.Exceptions}
		return err
	})
	return sum, err
}

// withPerson opens the store, also while a server runs on it. The spellings are the forms in
// which the number may be stored: as it was read, as it came, and as others write it.
func withPerson(s *streams, raw string, do func(st *openedStore, cfg *conf.Config, book bookStore, number string, spellings []string) error) (err error) {
	st, cfg, err := openStore(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	caller := number.NewReader(cfg.Number).Normalize(raw).String()
	if caller == "" {
		return notANumber(raw)
	}
	var book bookStore
	if st.engine != nil {
		book = enginebook.New(st.engine)
	} else if book, err = openBook(s, cfg, phonebook.Open); err != nil {
		book = nil
	}
	switch {
	case err == nil:
		defer func() { err = errors.Join(err, book.Close()) }()
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	spellings := number.Spellings(caller)
	if !slices.Contains(spellings, raw) {
		spellings = append(spellings, raw)
	}
	return do(st, cfg, book, caller, spellings)
}

// notANumber is the error of a command that takes a caller's number.
func notANumber(raw string) error {
	return usageError{fmt.Errorf("%q is not a telephone number: give it as a caller has it, such as +4930123456", raw)}
}

// noNumber is the error of a text without a digit under which nothing is stored. Callers may have such texts, names of
// SIP accounts, so that it is not refused at once.
func noNumber(raw string) error {
	return usageError{fmt.Errorf("%q is not a telephone number, and nothing is stored under it: give a number as a caller has it, such as +4930123456", raw)}
}

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }
