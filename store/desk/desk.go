// Package desk stores what people and programs do with the PBX, in a file of its own:
// commands, tokens, campaigns, uses of numbers, and when agents were logged in or paused.
package desk

import (
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ringhook/store/sqlite"
)

// File is the name of the file.
const File = "desk.db"

//go:embed migrations
var migrations embed.FS

// Schema is the schema of the file.
var Schema = sqlite.Schema{AppID: 0x52484453, Files: migrations}

// Desk is the open file. It must not be lost, so each change is on disk when its method
// returns. It has a file of its own, so that its commits never delay those of calls. It is
// safe for concurrent use, also by several processes.
type Desk struct {
	path   string
	broken error   // why the file cannot be used; then read and c are nil
	read   *sql.DB // for queries

	mu sync.Mutex // owns c
	c  *sqlite.Conn
}

// Open opens the file of a folder for a command. The error is an os.ErrNotExist if there is none.
func Open(folder string) (*Desk, error) {
	path := filepath.Join(folder, File)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("no %s in %s: ringhook serve creates it at its first start: %w", File, folder, err)
	}
	return open(options(path).Beside(), sqlite.Schema.Current)
}

// Make opens the file of a folder, and creates the folder and the file if they are missing. A
// damaged file is not changed.
func Make(folder string) (*Desk, error) {
	if err := sqlite.CheckVersion(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("create the store's folder: %w", err)
	}
	return open(options(filepath.Join(folder, File)), sqlite.Schema.Migrate)
}

// Broken returns a file that cannot be used: all methods return err.
func Broken(err error) *Desk { return &Desk{broken: sqlite.Wrap("open "+File, err)} }

// readers is the maximum number of concurrent reads. A further one waits.
const readers = 4

func options(path string) sqlite.Options {
	return sqlite.Options{Path: path, Synchronous: "FULL", Busy: 5 * time.Second, Checkpoint: 1000, CacheKiB: 2 << 10}
}

func open(o sqlite.Options, prepare func(sqlite.Schema, *sqlite.Conn) error) (*Desk, error) {
	c, err := o.Writer()
	if err != nil {
		return nil, err
	}
	if err := prepare(Schema, c); err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", o.Path, err), c.Close())
	}
	d := &Desk{path: o.Path, c: c}
	if d.read, err = o.Pool(readers); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return d, nil
}

// Err returns why the file cannot be used, nil if it can.
func (d *Desk) Err() error { return d.broken }

// Close closes the file.
func (d *Desk) Close() error {
	if d.broken != nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.read.Close(), d.c.Close())
}

// Shared returns false: one server uses the file.
func (d *Desk) Shared() bool { return false }

// Hold returns true: the one server does everything.
func (d *Desk) Hold(string, string, time.Duration) (bool, error) { return true, nil }

// Release does nothing.
func (d *Desk) Release(string, string) error { return nil }

// write makes a change: all of it or none.
func (d *Desk) write(op string, do func(c *sqlite.Conn) error) error {
	if d.broken != nil {
		return d.broken
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.c.Exec("begin immediate")
	if err != nil {
		return sqlite.Wrap(op, err)
	}
	if err = do(d.c); err == nil {
		_, err = d.c.Exec("commit")
	}
	if err != nil {
		_, _ = d.c.Exec("rollback") // fails if SQLite has already rolled back
	}
	return sqlite.Wrap(op, err)
}

// exec runs one statement and returns the number of rows that it changed, 0 after an error.
func (d *Desk) exec(op, query string, args ...any) (n int, err error) {
	err = d.write(op, func(c *sqlite.Conn) (err error) {
		n, err = c.Changes(query, args...)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// all reads every row of a query.
func (d *Desk) all(op, query string, args []any, row func(scan func(...any) error) error) error {
	if d.broken != nil {
		return d.broken
	}
	rows, err := d.read.Query(query, args...)
	return sqlite.Wrap(op, sqlite.Each(rows, err, row))
}

// The times for which rows are kept.
const (
	KeepCommands = 30 * 24 * time.Hour
	KeepStates   = 400 * 24 * time.Hour
)

const (
	// MaxCommands is the number of commands that are kept: about 100 MB at most.
	MaxCommands = 100_000
	// MaxSessions is the number of sessions of one agent; a further one ends the oldest.
	MaxSessions = 32
)

// tidyRows is the maximum number of rows of a table that one commit removes.
const tidyRows = 1000

// Tidy removes what is older than it is kept, and commands beyond MaxCommands. A campaign is kept as long as commands,
// counted from its end.
func (d *Desk) Tidy(now time.Time) error {
	if err := d.write("tidy "+File, func(c *sqlite.Conn) error { return clamp(c, now) }); err != nil {
		return err
	}
	for _, t := range []struct {
		query string
		keep  time.Duration
	}{
		{"delete from command where id in (select id from command where at_ms < ?1 order by at_ms limit ?2)", KeepCommands},
		{"delete from campaign_number where (campaign, n) in (select campaign, n from campaign_number where campaign in (select id from campaign where ended_ms < ?1) limit ?2)", KeepCommands},
		{"delete from campaign where ended_ms < ?1 and ?2 > 0", KeepCommands},
		{"delete from expected where call in (select call from expected where at_ms < ?1 order by at_ms limit ?2)", KeepExpected},
		{"delete from note where (call, agent) in (select call, agent from note where at_ms < ?1 order by at_ms limit ?2)", KeepCommands},
		{"delete from agent_state where id in (select id from agent_state where to_ms < ?1 order by to_ms limit ?2)", KeepStates},
	} {
		for {
			n, err := d.exec("tidy "+File, t.query, now.Add(-t.keep).UnixMilli(), tidyRows)
			if err != nil {
				return err
			}
			if n < tidyRows {
				break
			}
		}
	}
	for {
		n, err := d.exec("tidy "+File, "delete from command where id in (select id from command where id <= (select max(id) from command) - ?1 limit ?2)", MaxCommands, tidyRows)
		if err != nil {
			return err
		}
		if n < tidyRows {
			break
		}
	}
	return d.write("tidy "+File, func(c *sqlite.Conn) error { return tidyAccounts(c, now) })
}

// clamp treats what lies in the future as of now: the clock was ahead when it was written, and it would be kept until that
// time, and a session would last until then.
func clamp(c *sqlite.Conn, now time.Time) error {
	for _, query := range []string{
		"update command set at_ms = ?1 where at_ms > ?2",
		"update campaign set ended_ms = ?1 where ended_ms > ?2",
		"update expected set at_ms = ?1 where at_ms > ?2",
		"update note set at_ms = ?1 where at_ms > ?2",
		"delete from agent_state where to_ms > ?2 and ?1 > 0",
		"delete from session where created_ms > ?2 and ?1 > 0",
	} {
		if _, err := c.Exec(query, now.UnixMilli(), now.Add(time.Hour).UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

// at returns a stored time.
func at(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64)
}
