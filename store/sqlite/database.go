// Package sqlite opens the SQLite files of the store: it sets and checks
// the settings of every connection, migrates the files and classifies errors.
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

// PageSize is the page size of every file of ringhook in bytes: the default of SQLite.
const PageSize = 4096

// minSQLite is the first version in which a checkpoint at the same time as a reset of the
// write-ahead log cannot lose data.
const minSQLite = 3_051_003

// Options are the settings with which one file is opened. Every connection of
// the file gets them, and opening fails if SQLite does not accept one.
type Options struct {
	Path        string
	Synchronous string // FULL or NORMAL
	ReadOnly    bool
	Immutable   bool          // nothing can write to the file, so it is read without locks
	Busy        time.Duration // maximum wait for another process
	MaxPages    int64         // 0 for no limit
	Checkpoint  int           // pages after which a commit runs a checkpoint, 0 for never
	CacheKiB    int
}

// settings returns the pragmas of a connection, in the order in which they must be set:
// auto_vacuum has an effect only while the file is empty.
func (o Options) settings() [][2]string {
	s := [][2]string{
		{"busy_timeout", fmt.Sprint(o.Busy.Milliseconds())},
		{"foreign_keys", "1"},
		{"trusted_schema", "0"},
		{"cell_size_check", "1"},
		{"temp_store", "2"}, // memory: no temporary files on a full disk
		{"mmap_size", "0"},  // a failing disk must cause an error, not a signal
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

// Connect implements driver.Connector, so that each pool has its own settings without a
// registered driver.
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
	// _stmt_cache_size is the number of prepared statements kept per connection. No two
	// goroutines use a connection at a time, so SQLite need not lock it.
	return o.Driver().Open("file:" + path + "?mode=" + mode + "&_stmt_cache_size=32&_mutex=no")
}

// refuseLinks returns an error if a file of the database is not a regular file: through
// a symbolic link another user could make ringhook overwrite a file elsewhere.
func refuseLinks(path string) error {
	for _, part := range Parts {
		if info, err := os.Lstat(path + part); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file (%s): replace it with the file itself", path+part, info.Mode().Type())
		}
	}
	return nil
}

// Beside returns the options for a tool. If the file is Unwritable they open it for
// reading only; a write then fails with the error of a read-only database.
func (o Options) Beside() Options {
	if o.Unwritable() == nil {
		return o
	}
	o.ReadOnly = true
	// Without a log SQLite needs neither locks nor the shared-memory file, which cannot be
	// created here.
	info, err := os.Stat(o.Path + "-wal")
	o.Immutable = err != nil || info.Size() == 0
	return o
}

const accessWrite = 2 // W_OK

// sharedSize is the size of a shared-memory file, in bytes: SQLite creates one for the
// first connection.
const sharedSize = 32 << 10

// Unwritable returns why a tool can open the file only for reading: EROFS on a read-only
// file system, ENOSPC or EDQUOT if the disk is full and no process has the file open, so
// that the shared-memory file cannot be created, without which SQLite opens a file neither
// for writing nor for reading.
func (o Options) Unwritable() error {
	folder := filepath.Dir(o.Path)
	if syscall.Access(folder, accessWrite) == syscall.EROFS {
		return syscall.EROFS
	}
	if info, err := os.Stat(o.Path + "-shm"); err == nil && info.Size() >= sharedSize {
		return nil
	}
	if _, err := os.Stat(o.Path); err != nil {
		return nil
	}
	// Only an attempt shows whether there is room: there are quotas, and blocks that only root may use.
	f, err := os.CreateTemp(folder, ".room-*")
	if err == nil {
		err = os.Remove(f.Name())
		if err == nil {
			_, err = f.Write(make([]byte, sharedSize))
		}
		err = errors.Join(err, f.Close())
	}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, full) {
			return full
		}
	}
	return nil // another error is that of SQLite too
}

// Driver implements driver.Connector.
func (o Options) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: o.configure}
}

func (o Options) configure(c *sqlite3.SQLiteConn) error {
	for _, s := range o.settings() {
		name, want := s[0], s[1]
		if name == "auto_vacuum" {
			// Setting it writes to the file, so a start on a full disk would fail.
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
			continue // an existing file keeps the first, and the second is at least its size
		}
		if got != want {
			return fmt.Errorf("SQLite did not accept %s = %s, it uses %q", name, want, got)
		}
	}
	return nil
}

// pragmaTime is the time limit of a pragma. The first one reads the schema, which may
// not end in a file that was tampered with.
const pragmaTime = time.Minute

// pragma runs one pragma and returns its first value.
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

// Conn is the one connection that writes to a file. It belongs to one goroutine. Only
// ExecContext and AllContext use a context: an interrupted transaction is rolled back in part.
type Conn struct {
	db *sql.DB
	c  *sql.Conn
}

// Writer opens the connection for writing. It creates a missing file, readable only for
// its owner. It must not open an existing one itself: closing that would release the
// locks of SQLite in this process, and another process could treat the write-ahead log as
// unused.
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

// GiveToOwner changes the owner of a new file to that of its folder if root created it:
// commands run by root must not leave files that the service's user cannot open. Without
// the right to do so, the file is not changed, and this process can still use it.
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

// ExecContext runs a statement that is interrupted when the context ends.
func (c *Conn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.c.ExecContext(ctx, query, args...)
}

// Changes runs a statement and returns the number of rows that it changed.
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
	return c.AllContext(context.Background(), query, args, row)
}

// AllContext is All; the query is interrupted when the context ends.
func (c *Conn) AllContext(ctx context.Context, query string, args []any, row func(scan func(...any) error) error) error {
	rows, err := c.c.QueryContext(ctx, query, args...)
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
