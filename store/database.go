package store

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
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"
)

// pageSize is SQLite's own default, and that of every file made by ringhook.
const pageSize = 4096

// minSQLite is the first version in which a checkpoint cannot meet a reset of
// the write-ahead log and lose it.
const minSQLite = 3_051_003

// opening says how one file is opened: every connection of it gets the same
// settings, and is refused where SQLite did not take them.
type opening struct {
	path        string
	synchronous string // FULL or NORMAL
	readOnly    bool
	busy        time.Duration // how long SQLite waits for another process
	maxPages    int64         // 0 for no limit of ours
	checkpoint  int           // pages after which a commit has to checkpoint by itself, 0 for never
	cacheKiB    int
}

// settings are the pragmas of a connection, in the order in which they have
// to be given: auto_vacuum only counts before the file has anything in it.
func (o opening) settings() [][2]string {
	s := [][2]string{
		{"busy_timeout", fmt.Sprint(o.busy.Milliseconds())},
		{"foreign_keys", "1"},
		{"trusted_schema", "0"},
		{"cell_size_check", "1"},
		{"temp_store", "2"}, // memory: no temporary files on a full disk
		{"mmap_size", "0"},  // a failing disk has to be an error, not a signal
		{"cache_size", fmt.Sprint(-o.cacheKiB)},
	}
	if o.readOnly {
		return append(s, [2]string{"query_only", "1"}, [2]string{"journal_mode", "wal"})
	}
	s = append(s,
		[2]string{"auto_vacuum", "2"}, // incremental
		[2]string{"journal_mode", "wal"},
		[2]string{"synchronous", map[string]string{"FULL": "2", "NORMAL": "1"}[o.synchronous]},
		[2]string{"secure_delete", "fast"},
		[2]string{"journal_size_limit", fmt.Sprint(64 << 20)},
		[2]string{"wal_autocheckpoint", fmt.Sprint(o.checkpoint)},
	)
	if o.maxPages > 0 {
		s = append(s, [2]string{"max_page_count", fmt.Sprint(o.maxPages)})
	}
	return s
}

// Connect makes opening a driver.Connector, so that each pool has settings of
// its own without a driver registered for it.
func (o opening) Connect(context.Context) (driver.Conn, error) {
	mode := "rw"
	if o.readOnly {
		mode = "ro"
	}
	path := (&url.URL{Path: o.path}).EscapedPath()
	// The driver keeps that many statements prepared on each connection. No
	// connection is used by two goroutines at a time, so SQLite need not lock it.
	return o.Driver().Open("file:" + path + "?mode=" + mode + "&_stmt_cache_size=32&_mutex=no")
}

// Driver is part of driver.Connector.
func (o opening) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: o.configure}
}

func (o opening) configure(c *sqlite3.SQLiteConn) error {
	for _, s := range o.settings() {
		name, want := s[0], s[1]
		if name == "auto_vacuum" {
			// To set it writes to the file, which a full disk does not let a start do.
			if got, err := pragma(c, name); err == nil && got == want {
				continue
			}
		}
		if name != "journal_mode" || !o.readOnly {
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

// pragma runs one pragma and gives the first value that it answers.
func pragma(c *sqlite3.SQLiteConn, text string) (string, error) {
	rows, err := c.Query("pragma "+text, nil)
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

// pool opens up to n connections for reading.
func (o opening) pool(n int) (*sql.DB, error) {
	o.readOnly = true
	db := sql.OpenDB(o)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	if err := db.Ping(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s for reading: %w", o.path, err), db.Close())
	}
	return db, nil
}

// conn is the one connection that writes to a file. It belongs to one
// goroutine. No context ever ends a statement: a transaction that is cut short
// is rolled back in parts.
type conn struct {
	db *sql.DB
	c  *sql.Conn
}

// writer opens the connection for writing. The file is made, readable for
// its owner only, where it is missing. One that is there must not be opened
// here: closing it again would free the locks that SQLite has on it in this
// process, and another process could take the write-ahead log for unused.
func (o opening) writer() (*conn, error) {
	f, err := os.OpenFile(o.path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	db := sql.OpenDB(o)
	db.SetMaxOpenConns(1)
	c, err := db.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", o.path, err), db.Close())
	}
	return &conn{db: db, c: c}, nil
}

// exec runs a statement, or several without arguments.
func (c *conn) exec(query string, args ...any) (sql.Result, error) {
	return c.c.ExecContext(context.Background(), query, args...)
}

// changes runs a statement and tells how many rows it changed.
func (c *conn) changes(query string, args ...any) (int, error) {
	done, err := c.exec(query, args...)
	if err != nil {
		return 0, err
	}
	n, err := done.RowsAffected()
	return int(n), err
}

// one reads one row into dest; found is false where there is none.
func (c *conn) one(query string, args []any, dest ...any) (found bool, err error) {
	return scanned(c.c.QueryRowContext(context.Background(), query, args...), dest)
}

// all reads every row of a query to its end.
func (c *conn) all(query string, args []any, row func(scan func(...any) error) error) error {
	rows, err := c.c.QueryContext(context.Background(), query, args...)
	return each(rows, err, row)
}

func (c *conn) close() error { return errors.Join(c.c.Close(), c.db.Close()) }

// one reads one row of a pool into dest; found is false where there is none.
func one(db *sql.DB, query string, args []any, dest ...any) (found bool, err error) {
	return scanned(db.QueryRow(query, args...), dest)
}

func scanned(row *sql.Row, dest []any) (found bool, err error) {
	if err = row.Scan(dest...); errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// each reads rows to their end and closes them.
func each(rows *sql.Rows, err error, row func(scan func(...any) error) error) error {
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
