package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"ringhook/lookup"
)

const phonebookFile = "phonebook.db"

// Phonebook keeps numbers and names of one's own: it is the lookup.Phonebook.
// It is a file of its own, since it must not be lost as the cache may, and
// since an import must not keep the outbox from committing. The daemon only
// reads it; commands write to it at any time. It is safe for concurrent use.
type Phonebook struct {
	path   string
	broken error   // why there is no file; the rest is nil then
	read   *sql.DB // for listings
	find   *sql.Stmt

	mu sync.Mutex // owns c
	c  *conn
}

var _ lookup.Phonebook = (*Phonebook)(nil)

// OpenPhonebook opens the phonebook of a folder for a command line. The error
// is an os.ErrNotExist where there is none.
func OpenPhonebook(folder string) (*Phonebook, error) {
	path := filepath.Join(folder, phonebookFile)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("no phonebook in %s: it is made by ringhook phonebook import: %w", folder, err)
	}
	return openPhonebook(path, schema.current)
}

// MakePhonebook opens the phonebook of a folder, and makes both where they are
// missing. One that is damaged is left as it is.
func MakePhonebook(folder string) (*Phonebook, error) {
	if err := checkVersion(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the phonebook's folder: %w", err)
	}
	return openPhonebook(filepath.Join(folder, phonebookFile), schema.migrate)
}

// phonebookReaders is how many calls read the phonebook at once; the next one
// waits for one of them, some microseconds.
const phonebookReaders = 8

func openPhonebook(path string, prepare func(schema, *conn) error) (*Phonebook, error) {
	o := opening{path: path, synchronous: "FULL", busy: 5 * time.Second, checkpoint: 4000, cacheKiB: 16 << 10}
	c, err := o.writer()
	if err != nil {
		return nil, err
	}
	if err := prepare(phonebookSchema, c); err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", path, err), c.close())
	}
	p := &Phonebook{path: path, c: c}
	o.cacheKiB = 2 << 10
	if p.read, err = o.pool(phonebookReaders); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if p.find, err = p.read.Prepare(findContact); err != nil {
		return nil, errors.Join(fault("read the phonebook", err), p.Close())
	}
	return p, nil
}

const findContact = "select vars from entry where number = ?"

// Find gives the variables of a number, none where the phonebook does not have
// it.
func (p *Phonebook) Find(number string) ([]lookup.Var, error) {
	if p.broken != nil {
		return nil, p.broken
	}
	var text []byte
	found, err := scanned(p.find.QueryRow(number), []any{&text})
	if err != nil || !found {
		return nil, fault("read the phonebook", err)
	}
	return decodeContact(text)
}

const putContact = "insert into entry (number, vars) values (?1, ?2) on conflict (number) do update set vars = ?2"

// Put adds contacts, or replaces those that have their numbers, all of them or
// none. Some thousands at once are quick, and do not keep others waiting.
func (p *Phonebook) Put(contacts []lookup.Contact) error {
	return p.write("write to the phonebook", func() error {
		for _, c := range contacts {
			text, err := encodeContact(c.Vars)
			if err != nil {
				return err
			}
			if _, err := p.c.exec(putContact, c.Number, text); err != nil {
				return err
			}
		}
		return nil
	})
}

// Remove removes a number, and tells whether it was there.
func (p *Phonebook) Remove(number string) (removed bool, err error) {
	err = p.write("remove from the phonebook", func() error {
		done, err := p.c.exec("delete from entry where number = ?", number)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		removed = n > 0
		return err
	})
	return removed, err
}

// Numbers are digits and +, all of which come before ~.
const eachContact = "select number, vars from entry where number >= ?1 and number < ?1 || '~' order by number"

// Each gives every contact whose number begins with prefix to f, in the order
// of the numbers, until f has an error; Each returns that.
func (p *Phonebook) Each(ctx context.Context, prefix string, f func(lookup.Contact) error) error {
	rows, err := p.read.QueryContext(ctx, eachContact, prefix)
	if err != nil {
		return fault("read the phonebook", err)
	}
	return each(rows, nil, func(scan func(...any) error) error {
		var c lookup.Contact
		var text []byte
		if err := scan(&c.Number, &text); err != nil {
			return fault("read the phonebook", err)
		}
		var err error
		if c.Vars, err = decodeContact(text); err != nil {
			return err
		}
		return f(c)
	})
}

// Names gives the names of all variables that contacts have, sorted.
func (p *Phonebook) Names(ctx context.Context) ([]string, error) {
	var names []string
	rows, err := p.read.QueryContext(ctx, "select distinct key from entry, json_each(entry.vars) order by key")
	err = each(rows, err, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		names = append(names, name)
		return err
	})
	return names, fault("read the phonebook", err)
}

// Len tells how many contacts there are.
func (p *Phonebook) Len() (n int, err error) {
	_, err = one(p.read, "select count(*) from entry", nil, &n)
	return n, fault("read the phonebook", err)
}

// Close closes the file.
func (p *Phonebook) Close() error {
	if p.broken != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.read.Close(), p.c.close())
}

func (p *Phonebook) write(op string, do func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.c.exec("begin immediate")
	if err != nil {
		return fault(op, err)
	}
	if err = do(); err == nil {
		_, err = p.c.exec("commit")
	}
	if err != nil {
		_, _ = p.c.exec("rollback") // fails where SQLite has done so already
	}
	return fault(op, err)
}

func encodeContact(vars []lookup.Var) (string, error) {
	object := make(map[string]string, len(vars))
	for _, v := range vars {
		object[v.Name] = v.Value
	}
	text, err := json.Marshal(object)
	return string(text), err
}

func decodeContact(text []byte) ([]lookup.Var, error) {
	var object map[string]string
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, fmt.Errorf("read the phonebook: variables of an entry: %w", err)
	}
	vars := make([]lookup.Var, 0, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		vars = append(vars, lookup.Var{Name: name, Value: object[name]})
	}
	return vars, nil
}
