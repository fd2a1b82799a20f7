package sqlite

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/mattn/go-sqlite3"

	"ringhook/failpoint"
)

// Schema is what one kind of file contains.
type Schema struct {
	AppID int64 // SQLite's application_id, which identifies ringhook's files
	// Files holds the steps from an empty file to the current schema, in
	// migrations/*.sql, ordered by name. A released step is never changed.
	Files fs.FS
}

// Errors of files that this ringhook cannot use.
var (
	ErrNewer    = errors.New("was made by a newer ringhook, and this one does not know how to read it: install the newer one again, or restore the backup from before the upgrade")
	ErrForeign  = errors.New("is a SQLite file of something else: move it away or choose another folder")
	ErrOutdated = errors.New("is not of this ringhook's version: start ringhook once to bring it up to date")
)

// CheckVersion refuses a SQLite that is too old.
func CheckVersion() error {
	text, number, _ := sqlite3.Version()
	return checkSQLite(text, number)
}

func checkSQLite(text string, number int) error {
	if number < minSQLite {
		return fmt.Errorf("SQLite %s is too old: ringhook needs 3.51.3, or it may lose a write-ahead log; build it with the go-sqlite3 that its go.mod names", text)
	}
	return nil
}

// Steps returns the names of the migrations, in their order.
func (s Schema) Steps() ([]string, error) { return fs.Glob(s.Files, "migrations/*.sql") }

func (s Schema) read(step string) (string, error) {
	text, err := fs.ReadFile(s.Files, step)
	return string(text), err
}

// Version returns how many steps the file has behind it, and refuses one that
// is not ours.
func (s Schema) Version(c *Conn) (int, error) {
	var version, tables int
	var appID int64
	_, err1 := c.One("pragma user_version", nil, &version)
	_, err2 := c.One("pragma application_id", nil, &appID)
	_, err3 := c.One("select count(*) from sqlite_schema", nil, &tables)
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, err
	}
	steps, err := s.Steps()
	switch {
	case err != nil:
		return 0, err
	case tables == 0 && appID == 0:
		return 0, nil
	case appID != s.AppID:
		return 0, ErrForeign
	case version > len(steps):
		return 0, fmt.Errorf("%w (its schema is %d, the newest known here %d)", ErrNewer, version, len(steps))
	}
	return version, s.Genuine(c)
}

// Migrate takes the steps that the file has not behind it, each in a
// transaction of its own.
func (s Schema) Migrate(c *Conn) error {
	version, err := s.Version(c)
	if err != nil {
		return err
	}
	steps, err := s.Steps()
	if err != nil {
		return err
	}
	for i, name := range steps[version:] {
		text, err := s.read(name)
		if err != nil {
			return err
		}
		_, err = c.Exec("begin immediate; " + text)
		if err == nil {
			err = failpoint.Hit(failpoint.MigrateMid)
		}
		if err == nil {
			_, err = c.Exec(fmt.Sprintf("pragma application_id = %d; pragma user_version = %d; commit", s.AppID, version+i+1))
		}
		if err != nil {
			_, _ = c.Exec("rollback") // fails where SQLite has done so already
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Current refuses a file that Migrate would have to touch.
func (s Schema) Current(c *Conn) error {
	version, err := s.Version(c)
	if err != nil {
		return err
	}
	if steps, err := s.Steps(); err != nil || version != len(steps) {
		return errors.Join(err, ErrOutdated)
	}
	return nil
}
