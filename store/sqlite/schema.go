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
	ErrNewer    = errors.New("was created by a newer ringhook: install that version again, or restore the backup from before the upgrade")
	ErrForeign  = errors.New("belongs to another program: move it away or choose another folder")
	ErrOutdated = errors.New("has the schema of an older ringhook: start ringhook once to migrate it")
)

// CheckVersion returns an error if the linked SQLite is too old.
func CheckVersion() error {
	text, number, _ := sqlite3.Version()
	return checkSQLite(text, number)
}

func checkSQLite(text string, number int) error {
	if number < minSQLite {
		return fmt.Errorf("SQLite %s is too old: ringhook needs 3.51.3, because an older one may lose a write-ahead log; build with the go-sqlite3 of go.mod", text)
	}
	return nil
}

// Steps returns the names of the migrations, in their order.
func (s Schema) Steps() ([]string, error) { return fs.Glob(s.Files, "migrations/*.sql") }

func (s Schema) read(step string) (string, error) {
	text, err := fs.ReadFile(s.Files, step)
	return string(text), err
}

// Version returns the number of migrations that were applied to the file. The error is
// ErrForeign, ErrNewer or ErrTampered if ringhook cannot use the file.
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
		return 0, fmt.Errorf("%w (its schema is %d, the newest supported is %d)", ErrNewer, version, len(steps))
	}
	return version, s.Genuine(c, version)
}

// Migrate applies the missing migrations, each in a transaction of its own.
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
			_, _ = c.Exec("rollback") // fails if SQLite has already rolled back
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Current returns ErrOutdated if the file lacks migrations.
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
