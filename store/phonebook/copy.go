package phonebook

import (
	"errors"
	"fmt"
	"os"

	"ringhook/lookup"
	"ringhook/store/sqlite"
)

// AsideMark follows the name of the file in the names of those that KeepAside writes.
const AsideMark = ".before-postgres-"

// Copied returns of which phonebook this is a copy and up to which of its generations; source is empty if it is none.
func (p *Phonebook) Copied() (source string, generation int64, err error) {
	if p.broken != nil {
		return "", 0, p.broken
	}
	_, err = sqlite.One(p.read, "select source, generation from copy", nil, &source, &generation)
	return source, generation, sqlite.Wrap("read the phonebook", err)
}

// Follow makes changes of another phonebook in a copy of it: all of them or none.
func (p *Phonebook) Follow(changed []lookup.Contact, removed []string) error {
	return p.change(func() error {
		for _, number := range removed {
			if _, err := p.c.Exec(removeContact, number); err != nil {
				return err
			}
		}
		return p.put(changed)
	})
}

// Replace replaces the contacts after a number, up to and including another one, or all that come if that is empty.
func (p *Phonebook) Replace(after, last string, contacts []lookup.Contact) error {
	return p.change(func() error {
		query, args := "delete from entry where number > ?", []any{after}
		if last != "" {
			query, args = query+" and number <= ?", append(args, last)
		}
		if _, err := p.c.Exec(query, args...); err != nil {
			return err
		}
		return p.put(contacts)
	})
}

// SetCopied stores of which phonebook this is a copy, up to which of its generations.
func (p *Phonebook) SetCopied(source string, generation int64) error {
	return p.change(func() error {
		_, err := p.c.Exec("insert into copy values (1, ?1, ?2) on conflict (only) do update set source = ?1, generation = ?2", source, generation)
		return err
	})
}

// KeepAside writes what the file has to another file beside it, and returns its name. One that is there from before is kept.
func (p *Phonebook) KeepAside() (file string, err error) {
	if p.broken != nil {
		return "", p.broken
	}
	for n := 1; ; n++ {
		file = fmt.Sprint(p.path, AsideMark, n)
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err = p.c.Exec("vacuum into ?", file); err == nil {
		err = os.Chmod(file, 0o600)
	}
	return file, sqlite.Wrap("copy the phonebook", err)
}

func (p *Phonebook) change(do func() error) error {
	if p.broken != nil {
		return p.broken
	}
	return p.write("write to the phonebook", do)
}
