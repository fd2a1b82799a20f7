// Package credentials stores the tokens that other systems issue to ringhook, in a file of its own that is never backed
// up: a token of yesterday may have been replaced since, and using it again can end the access for good.
package credentials

import (
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"ringhook/account"
	"ringhook/store/sqlite"
)

// File is the name of the file.
const File = "credentials.db"

//go:embed migrations
var migrations embed.FS

// Schema is the schema of the file.
var Schema = sqlite.Schema{AppID: 0x52484352, Files: migrations}

// Credentials is the open file. Each change is on disk when its method returns. It is safe for concurrent use, also by
// several processes.
type Credentials struct {
	folder string
	broken error   // why the file cannot be used; then read and c are nil
	read   *sql.DB // for queries

	mu sync.Mutex // owns c
	c  *sqlite.Conn
}

// Open opens the file of a folder for a command that only reads, also on a read-only file system. The error is an
// os.ErrNotExist if there is none.
func Open(folder string) (*Credentials, error) {
	o := options(folder)
	if _, err := os.Stat(o.Path); err != nil {
		return nil, fmt.Errorf("no %s in %s: %w", File, folder, err)
	}
	return open(folder, o.Beside(), sqlite.Schema.Current)
}

// Make opens the file of a folder, and creates the folder and the file if they are missing. A damaged file is not
// changed. On a read-only file system the file is opened for reading, and changes fail.
func Make(folder string) (*Credentials, error) {
	if err := sqlite.CheckVersion(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("create the store's folder: %w", err)
	}
	o := options(folder).Beside()
	if _, err := os.Stat(o.Path); err != nil && o.ReadOnly {
		return nil, fmt.Errorf("create %s: %w", o.Path, syscall.EROFS)
	}
	return open(folder, o, sqlite.Schema.Migrate)
}

func options(folder string) sqlite.Options {
	return sqlite.Options{Path: filepath.Join(folder, File), Synchronous: "FULL", Busy: 5 * time.Second, Checkpoint: 1000, CacheKiB: 1 << 10}
}

func open(folder string, o sqlite.Options, prepare func(sqlite.Schema, *sqlite.Conn) error) (*Credentials, error) {
	c, err := o.Writer()
	if err != nil {
		return nil, err
	}
	if err := prepare(Schema, c); err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", o.Path, err), c.Close())
	}
	s := &Credentials{folder: folder, c: c}
	if s.read, err = o.Pool(2); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return s, nil
}

// Broken returns a file that cannot be used: all methods return err.
func Broken(err error) *Credentials { return &Credentials{broken: sqlite.Wrap("open "+File, err)} }

// Close closes the file.
func (s *Credentials) Close() error {
	if s.broken != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.read.Close(), s.c.Close())
}

// write makes a change: all of it or none.
func (s *Credentials) write(op string, do func(c *sqlite.Conn) error) error {
	if s.broken != nil {
		return s.broken
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.c.Exec("begin immediate")
	if err != nil {
		return sqlite.Wrap(op, err)
	}
	if err = do(s.c); err == nil {
		_, err = s.c.Exec("commit")
	}
	if err != nil {
		_, _ = s.c.Exec("rollback") // fails if SQLite has already rolled back
	}
	return sqlite.Wrap(op, err)
}

const states = "select name, refresh, seed, access, expiry_ms, refreshed_ms, started_ms, failure, failed_ms, refused from account"

// Load returns the state of an account, the zero State if nothing is stored. It is part of account.Vault.
func (s *Credentials) Load(name string) (st account.State, err error) {
	err = s.each(states+" where name = ?", []any{name}, func(_ string, found account.State) { st = found })
	return st, err
}

// States returns the states of all accounts that are stored, by name.
func (s *Credentials) States() (map[string]account.State, error) {
	all := map[string]account.State{}
	err := s.each(states, nil, func(name string, st account.State) { all[name] = st })
	return all, err
}

func (s *Credentials) each(query string, args []any, take func(name string, st account.State)) error {
	if s.broken != nil {
		return s.broken
	}
	rows, err := s.read.Query(query, args...)
	return sqlite.Wrap("read accounts", sqlite.Each(rows, err, func(scan func(...any) error) error {
		var st account.State
		var name string
		var expiry, refreshed, started, failed sql.NullInt64
		if err := scan(&name, &st.Refresh, &st.Seed, &st.Access, &expiry, &refreshed, &started, &st.Failure, &failed, &st.Refused); err != nil {
			return err
		}
		st.Expiry, st.Refreshed, st.Started, st.Failed = at(expiry), at(refreshed), at(started), at(failed)
		take(name, st)
		return nil
	}))
}

// Save stores the state of an account. It is part of account.Vault.
func (s *Credentials) Save(name string, st account.State) error {
	return s.write("store the token of an account", func(c *sqlite.Conn) error {
		_, err := c.Exec(`insert into account values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) on conflict (name) do update set
			refresh = ?2, seed = ?3, access = ?4, expiry_ms = ?5, refreshed_ms = ?6, started_ms = ?7, failure = ?8, failed_ms = ?9, refused = ?10`,
			name, st.Refresh, st.Seed, st.Access, ms(st.Expiry), ms(st.Refreshed), ms(st.Started), st.Failure, ms(st.Failed), st.Refused)
		return err
	})
}

// Remove removes what is stored of an account, and reports whether there was anything.
func (s *Credentials) Remove(name string) (removed bool, err error) {
	err = s.write("remove an account", func(c *sqlite.Conn) error {
		n, err := c.Changes("delete from account where name = ?", name)
		removed = n > 0
		return err
	})
	return removed, err
}

// secretSize is the size of a random secret in bytes.
const secretSize = 32

// Secret returns a random secret of this installation. The first call makes it.
func (s *Credentials) Secret(name string) (value []byte, err error) {
	err = s.write("read a secret", func(c *sqlite.Conn) error {
		found, err := c.One("select value from secret where name = ?", []any{name}, &value)
		if err != nil || found {
			return err
		}
		value = make([]byte, secretSize)
		rand.Read(value)
		_, err = c.Exec("insert into secret values (?, ?)", name, value)
		return err
	})
	return value, err
}

func at(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64)
}

func ms(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}
