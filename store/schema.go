package store

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/mattn/go-sqlite3"

	"ringhook/failpoint"
)

// Each folder holds the steps from an empty file to today's, numbered by
// their place. A step that was released is never changed.
//
//go:embed migrations
var migrations embed.FS

// schema is what one kind of file has in it.
type schema struct {
	name  string // folder of its migrations
	appID int64  // SQLite's application_id: whose file this is
}

var (
	outboxSchema    = schema{name: "outbox", appID: 0x52484f42}
	cacheSchema     = schema{name: "cache", appID: 0x52484341}
	phonebookSchema = schema{name: "phonebook", appID: 0x52485042}
	traceSchema     = schema{name: "trace", appID: 0x52485452}
)

var (
	errNewer   = errors.New("was made by a newer ringhook, and this one does not know how to read it: install the newer one again, or restore the backup from before the upgrade")
	errForeign = errors.New("is a SQLite file of something else: move it away or choose another folder")
	errMissing = errors.New("is not of this ringhook's version: start ringhook once to bring it up to date")
)

func checkVersion() error {
	text, number, _ := sqlite3.Version()
	return checkSQLite(text, number)
}

func checkSQLite(text string, number int) error {
	if number < minSQLite {
		return fmt.Errorf("SQLite %s is too old: ringhook needs 3.51.3, or it may lose a write-ahead log; build it with the go-sqlite3 that its go.mod names", text)
	}
	return nil
}

func (s schema) steps() ([]string, error) {
	return fs.Glob(migrations, path.Join("migrations", s.name, "*.sql"))
}

// version tells how many steps the file has behind it, and refuses one that
// is not ours.
func (s schema) version(c *conn) (int, error) {
	var version, tables int
	var appID int64
	_, err1 := c.one("pragma user_version", nil, &version)
	_, err2 := c.one("pragma application_id", nil, &appID)
	_, err3 := c.one("select count(*) from sqlite_schema", nil, &tables)
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, err
	}
	steps, err := s.steps()
	switch {
	case err != nil:
		return 0, err
	case tables == 0 && appID == 0:
		return 0, nil
	case appID != s.appID:
		return 0, errForeign
	case version > len(steps):
		return 0, fmt.Errorf("%w (its schema is %d, the newest known here %d)", errNewer, version, len(steps))
	}
	return version, nil
}

// migrate takes the steps that the file has not behind it, each in a
// transaction of its own.
func (s schema) migrate(c *conn) error {
	version, err := s.version(c)
	if err != nil {
		return err
	}
	steps, err := s.steps()
	if err != nil {
		return err
	}
	for i, name := range steps[version:] {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		_, err = c.exec("begin immediate; " + string(text))
		if err == nil {
			err = failpoint.Hit(failpoint.MigrateMid)
		}
		if err == nil {
			_, err = c.exec(fmt.Sprintf("pragma application_id = %d; pragma user_version = %d; commit", s.appID, version+i+1))
		}
		if err != nil {
			_, _ = c.exec("rollback") // fails where SQLite has done so already
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// current refuses a file that migrate would have to touch.
func (s schema) current(c *conn) error {
	version, err := s.version(c)
	if err != nil {
		return err
	}
	if steps, err := s.steps(); err != nil || version != len(steps) {
		return errors.Join(err, errMissing)
	}
	return nil
}
