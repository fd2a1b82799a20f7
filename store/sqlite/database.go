// Package sqlite opens the SQLite files of the store: every connection gets
// the same checked settings, every file its migrations, and every error a class.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"
)

// PageSize is SQLite's own default, and that of every file made by ringhook.
const PageSize = 4096

// minSQLite is the first version in which a checkpoint cannot meet a reset of
// the write-ahead log and lose it.
const minSQLite = 3_051_003

// Options are the settings with which one file is opened. Every connection of
// the file gets them, and opening fails if SQLite does not accept one.
type Options struct {
	Path        string
	Synchronous string // FULL or NORMAL
	ReadOnly    bool
	Immutable   bool          // nothing can write to the file, so that it is read without locks
	Busy        time.Duration // how long SQLite waits for another process
	MaxPages    int64         // 0 for no limit of ours
	Checkpoint  int           // pages after which a commit runs a checkpoint, 0 for never
	CacheKiB    int
}

// settings are the pragmas of a connection, in the order in which they have
// to be given: auto_vacuum only counts before the file has anything in it.
func (o Options) settings() [][2]string {
	s := [][2]string{
		{"busy_timeout", fmt.Sprint(o.Busy.Milliseconds())},
		{"foreign_keys", "1"},
		{"trusted_schema", "0"},
		{"cell_size_check", "1"},
		{"temp_store", "2"}, // memory: no temporary files on a full disk
		{"mmap_size", "0"},  // a failing disk has to be an error, not a signal
		{"cache_size", fmt.Sprint(-o.CacheKiB)},
	}
	if o.ReadOnly {
		if s = append(s, [2]string{"query_only", "1"}); !o.Immutable {
			s = append(s, [2]string{"journal_mode", "wal"})
		}
		return s
	}
	s = append(s,
		[2]string{"auto_vacuum", "2"}, // incremental
		[2]string{"journal_mode", "wal"},
		[2]string{"synchronous", map[string]string{"FULL": "2", "NORMAL": "1"}[o.Synchronous]},
		[2]string{"secure_delete", "fast"},
		[2]string{"journal_size_limit", fmt.Sprint(64 << 20)},
		[2]string{"wal_autocheckpoint", fmt.Sprint(o.Checkpoint)},
	)
	if o.MaxPages > 0 {
		s = append(s, [2]string{"max_page_count", fmt.Sprint(o.MaxPages)})
	}
	return s
}

// Connect makes Options a driver.Connector, so that each pool has settings of
// its own without a driver registered for it.
func (o Options) Connect(context.Context) (driver.Conn, error) {
	mode := "rw"
	if o.ReadOnly {
		mode = "ro"
	}
	if o.Immutable {
		mode += "&immutable=1"
	}
	if err := refuseLinks(o.Path); err != nil {
		return nil, err
	}
	path := (&url.URL{Path: o.Path}).EscapedPath()
	// The driver keeps that many statements prepared on each connection. No
	// connection is used by two goroutines at a time, so SQLite need not lock it.
	return o.Driver().Open("file:" + path + "?mode=" + mode + "&_stmt_cache_size=32&_mutex=no")
}

// refuseLinks refuses a database of which a file is not a regular one: through a
// symbolic link another user could make ringhook overwrite a file elsewhere.
func refuseLinks(path string) error {
	for _, part := range Parts {
		if info, err := os.Lstat(path + part); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file (%s): remove it, and put the file itself there", path+part, info.Mode().Type())
		}
	}
	return nil
}

// Beside returns the options for a tool. On a read-only file system the file is only
// read; a write to it then fails as one of a read-only database.
func (o Options) Beside() Options {
	if syscall.Access(filepath.Dir(o.Path), accessWrite) != syscall.EROFS {
		return o
	}
	o.ReadOnly = true
	// Without a log there is nothing to lock, and no shared memory, which could not be made.
	info, err := os.Stat(o.Path + "-wal")
	o.Immutable = err != nil || info.Size() == 0
	return o
}

const accessWrite = 2 // W_OK

// Driver is part of driver.Connector.
func (o Options) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: o.configure}
}

func (o Options) configure(c *sqlite3.SQLiteConn) error {
	for _, s := range o.settings() {
		name, want := s[0], s[1]
		if name == "auto_vacuum" {
			// To set it writes to the file, which a full disk does not let a start do.
			if got, err := pragma(c, name); err == nil && got == want {
				continue
			}
		}
		if name != "journal_mode" || !o.ReadOnly {
			if _, err := pragma(c, name+" = "+want); err != nil {
				return fmt.Errorf("set %s: %w", name, err)
			}
		}
		got, err := pragma(c, name)
		if err != nil {
			return fmt.Errorf("read %s back: %w", name, err)
		}
		switch name {
		case "secure_delete":
			want = "2"
		case "auto_vacuum", "max_page_count":
			continue // of a file that is there already: not changed, or not below its size
		}
		if got != want {
			return fmt.Errorf("SQLite did not take %s = %s, it has %q", name, want, got)
		}
	}
	return nil
}

// pragmaTime bounds a pragma, the first of which reads the schema: in a file that
// was tampered with it may have no end.
const pragmaTime = time.Minute

// pragma runs one pragma and returns the first value that it answers.
func pragma(c *sqlite3.SQLiteConn, text string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pragmaTime)
	defer cancel()
	rows, err := c.QueryContext(ctx, "pragma "+text, nil)
	if err != nil {
		return "", err
	}
	row := make([]driver.Value, len(rows.Columns()))
	value := ""
	switch err = rows.Next(row); {
	case err == nil && len(row) > 0:
		if b, ok := row[0].([]byte); ok {
			row[0] = string(b)
		}
		value = strings.ToLower(fmt.Sprint(row[0]))
	case errors.Is(err, io.EOF):
		err = nil
	}
	return value, errors.Join(err, rows.Close())
}

// Pool opens up to n connections for reading.
func (o Options) Pool(n int) (*sql.DB, error) {
	o.ReadOnly = true
	db := sql.OpenDB(o)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	if err := db.Ping(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s for reading: %w", o.Path, err), db.Close())
	}
	return db, nil
}

// Conn is the one connection that writes to a file. It belongs to one
// goroutine. No context ever ends a statement: a transaction that is cut short
// is rolled back in parts.
type Conn struct {
	db *sql.DB
	c  *sql.Conn
}

// Writer opens the connection for writing. The file is made, readable for
// its owner only, where it is missing. One that is there must not be opened
// here: closing it again would free the locks that SQLite has on it in this
// process, and another process could take the write-ahead log for unused.
func (o Options) Writer() (*Conn, error) {
	if !o.ReadOnly {
		f, err := os.OpenFile(o.Path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err == nil {
			GiveToOwner(f)
			err = f.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	db := sql.OpenDB(o)
	db.SetMaxOpenConns(1)
	c, err := db.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", o.Path, err), db.Close())
	}
	return &Conn{db: db, c: c}, nil
}

// GiveToOwner gives a new file to the owner of its folder if root made it: the commands
// of root must not leave files that the service's user cannot open. Without the right to
// do so the file stays as it is, and is of use to this process.
func GiveToOwner(f *os.File) {
	if os.Geteuid() != 0 {
		return
	}
	info, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil {
		return
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
		_ = f.Chown(int(owner.Uid), int(owner.Gid))
	}
}

// Exec runs a statement, or several without arguments.
func (c *Conn) Exec(query string, args ...any) (sql.Result, error) {
	return c.c.ExecContext(context.Background(), query, args...)
}

// ExecContext runs a statement that the context ends.
func (c *Conn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.c.ExecContext(ctx, query, args...)
}

// Changes runs a statement and returns how many rows it changed.
func (c *Conn) Changes(query string, args ...any) (int, error) {
	done, err := c.Exec(query, args...)
	if err != nil {
		return 0, err
	}
	n, err := done.RowsAffected()
	return int(n), err
}

// One reads one row into dest; found is false if there is none.
func (c *Conn) One(query string, args []any, dest ...any) (found bool, err error) {
	return Scan(c.c.QueryRowContext(context.Background(), query, args...), dest)
}

// All reads every row of a query to its end.
func (c *Conn) All(query string, args []any, row func(scan func(...any) error) error) error {
	rows, err := c.c.QueryContext(context.Background(), query, args...)
	return Each(rows, err, row)
}

// Close closes the connection.
func (c *Conn) Close() error { return errors.Join(c.c.Close(), c.db.Close()) }

// One reads one row of a pool into dest; found is false if there is none.
func One(db *sql.DB, query string, args []any, dest ...any) (found bool, err error) {
	return Scan(db.QueryRow(query, args...), dest)
}

// Scan reads one row into dest; found is false if there is none.
func Scan(row *sql.Row, dest []any) (found bool, err error) {
	if err = row.Scan(dest...); errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Each reads rows to their end and closes them.
func Each(rows *sql.Rows, err error, row func(scan func(...any) error) error) error {
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}
