// Package phonebook stores the administrator's own numbers and names in a file.
package phonebook

import (
	"context"
	"database/sql"
	"embed"
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
	"ringhook/store/sqlite"
)

// File is the name of the phonebook's file.
const File = "phonebook.db"

//go:embed migrations
var migrations embed.FS

// Schema is the schema of the file.
var Schema = sqlite.Schema{AppID: 0x52485042, Files: migrations}

// Phonebook stores the administrator's own numbers and names. It implements
// lookup.Phonebook. It has a file of its own: unlike the cache it cannot be rebuilt, and
// an import must not delay commits to the outbox. The daemon only reads it; commands
// write to it at any time. It is safe for concurrent use.
type Phonebook struct {
	path   string
	broken error   // why the file cannot be used; then all other fields are nil
	read   *sql.DB // for listings
	find   *sql.Stmt

	mu sync.Mutex // owns c
	c  *sqlite.Conn
}

var _ lookup.Phonebook = (*Phonebook)(nil)

// Open opens the phonebook of a folder for a command. The error is an os.ErrNotExist if
// there is none.
func Open(folder string) (*Phonebook, error) {
	path := filepath.Join(folder, File)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("no phonebook in %s: create it with `ringhook phonebook import`: %w", folder, err)
	}
	return open(options(path).Beside(), sqlite.Schema.Current)
}

// Make opens the phonebook of a folder, and creates the folder and the file if they are
// missing. A damaged file is not changed.
func Make(folder string) (*Phonebook, error) {
	if err := sqlite.CheckVersion(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("create the phonebook's folder: %w", err)
	}
	return open(options(filepath.Join(folder, File)), sqlite.Schema.Migrate)
}

// readers is the maximum number of concurrent reads. A further one waits, for some
// microseconds.
const readers = 8

func options(path string) sqlite.Options {
	return sqlite.Options{Path: path, Synchronous: "FULL", Busy: 5 * time.Second, Checkpoint: 4000, CacheKiB: 16 << 10}
}

func open(o sqlite.Options, prepare func(sqlite.Schema, *sqlite.Conn) error) (*Phonebook, error) {
	path := o.Path
	c, err := o.Writer()
	if err != nil {
		return nil, err
	}
	if err := prepare(Schema, c); err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", path, err), c.Close())
	}
	p := &Phonebook{path: path, c: c}
	o.CacheKiB = 2 << 10
	if p.read, err = o.Pool(readers); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if p.find, err = p.read.Prepare(findContact); err != nil {
		return nil, errors.Join(sqlite.Wrap("read the phonebook", err), p.Close())
	}
	return p, nil
}

// Broken returns a phonebook that cannot be used: its lookups fail with err.
func Broken(err error) *Phonebook { return &Phonebook{broken: sqlite.Wrap("open the phonebook", err)} }

const findContact = "select vars from entry where number = ?"

// Find returns the variables of a number, none if the phonebook does not contain it.
func (p *Phonebook) Find(number string) ([]lookup.Var, error) {
	if p.broken != nil {
		return nil, p.broken
	}
	var text []byte
	found, err := sqlite.Scan(p.find.QueryRow(number), []any{&text})
	if err != nil || !found {
		return nil, sqlite.Wrap("read the phonebook", err)
	}
	return DecodeVars(text)
}

const putContact = "insert into entry (number, vars) values (?1, ?2) on conflict (number) do update set vars = ?2"

// Put adds contacts, or replaces those with the same numbers: all of them or none. A few
// thousand in one call are quick and do not delay other writers.
func (p *Phonebook) Put(contacts []lookup.Contact) error {
	return p.write("write to the phonebook", func() error { return p.put(contacts) })
}

func (p *Phonebook) put(contacts []lookup.Contact) error {
	for _, c := range contacts {
		text, err := EncodeVars(c.Vars)
		if err != nil {
			return err
		}
		if _, err := p.c.Exec(putContact, c.Number, text); err != nil {
			return err
		}
	}
	return nil
}

const removeContact = "delete from entry where number = ?"

// Remove removes a number, and reports whether it was there.
func (p *Phonebook) Remove(number string) (removed bool, err error) {
	err = p.write("remove from the phonebook", func() error {
		done, err := p.c.Exec(removeContact, number)
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

// Each calls f with every contact whose number begins with prefix, in the order of the
// numbers, until f returns an error, which Each returns.
func (p *Phonebook) Each(ctx context.Context, prefix string, f func(lookup.Contact) error) error {
	rows, err := p.read.QueryContext(ctx, eachContact, prefix)
	if err != nil {
		return sqlite.Wrap("read the phonebook", err)
	}
	return sqlite.Each(rows, nil, func(scan func(...any) error) error {
		var c lookup.Contact
		var text []byte
		if err := scan(&c.Number, &text); err != nil {
			return sqlite.Wrap("read the phonebook", err)
		}
		var err error
		if c.Vars, err = DecodeVars(text); err != nil {
			return err
		}
		return f(c)
	})
}

// Names returns the names of all variables of the contacts, sorted.
func (p *Phonebook) Names(ctx context.Context) ([]string, error) {
	var names []string
	rows, err := p.read.QueryContext(ctx, "select distinct key from entry, json_each(entry.vars) order by key")
	err = sqlite.Each(rows, err, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		names = append(names, name)
		return err
	})
	return names, sqlite.Wrap("read the phonebook", err)
}

// Len returns the number of contacts.
func (p *Phonebook) Len() (n int, err error) {
	_, err = sqlite.One(p.read, "select count(*) from entry", nil, &n)
	return n, sqlite.Wrap("read the phonebook", err)
}

// Close closes the file.
func (p *Phonebook) Close() error {
	if p.broken != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.read.Close(), p.c.Close())
}

func (p *Phonebook) write(op string, do func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.c.Exec("begin immediate")
	if err != nil {
		return sqlite.Wrap(op, err)
	}
	if err = do(); err == nil {
		_, err = p.c.Exec("commit")
	}
	if err != nil {
		_, _ = p.c.Exec("rollback") // fails if SQLite has already rolled back
	}
	return sqlite.Wrap(op, err)
}

// EncodeVars returns the variables of a contact as they are stored.
func EncodeVars(vars []lookup.Var) (string, error) {
	object := make(map[string]string, len(vars))
	for _, v := range vars {
		object[v.Name] = v.Value
	}
	text, err := json.Marshal(object)
	return string(text), err
}

// DecodeVars returns the variables of a stored contact, by name.
func DecodeVars(text []byte) ([]lookup.Var, error) {
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
