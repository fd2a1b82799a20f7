package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrTampered means that a file has schema objects that ringhook did not create. A view
// in place of a table, for example, can return rows without end.
var ErrTampered = errors.New("has been tampered with")

// object is a table, an index, a view or a trigger.
type object struct{ kind, name string }

// Genuine returns ErrTampered if the schema of a file to which a number of migrations was
// applied has what SQLite would evaluate and the migrations do not create: a view, a
// trigger, an expression of a table or an index. It reads only the schema. Further indexes
// of columns and tables without expressions are allowed.
func (s Schema) Genuine(c *Conn, version int) error {
	created, err := s.created(version)
	if err != nil {
		return err
	}
	var problems []error
	err = c.All(readObjects, []any{maxObjects + 1}, func(scan func(...any) error) error {
		var o object
		var text string
		var root int64
		if err := scan(&o.kind, &o.name, &text, &root); err != nil {
			return err
		}
		switch own, known := created[o]; {
		case known && plain(text) == own && (root > 0 || o.kind == "trigger"):
		case o.kind == "index" && (text == "" || columnIndex.MatchString(text)):
		case o.kind == "table" && root > 0 && !evaluated.MatchString(text):
		default:
			problems = append(problems, fmt.Errorf("%w: %s %s", ErrTampered, o.kind, o.name))
		}
		return nil
	})
	return errors.Join(append(problems, err)...)
}

const readObjects = "select type, name, coalesce(sql, ''), rootpage from sqlite_schema limit ?"

// maxObjects is the maximum number of schema objects that are read.
const maxObjects = 1000

var (
	// evaluated matches the words that begin an expression in a table: of a generated column, a check or a default.
	evaluated = regexp.MustCompile(`(?i)\b(as|check)\b|\bdefault\s*[(/-]`)
	// columnIndex matches an index of columns alone. The index of a primary key has no text.
	columnIndex = regexp.MustCompile(`(?i)^create\s+(unique\s+)?index\s+[\w".]+\s+on\s+[\w"]+\s*\([\w\s,"]*\)\s*$`)
)

// created returns the text of the objects that a number of migrations creates.
func (s Schema) created(version int) (objects map[object]string, err error) {
	steps, err := s.Steps()
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // another connection would have another database
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, step := range steps[:version] {
		text, err := s.read(step)
		if err == nil {
			_, err = db.Exec(text)
		}
		if err != nil {
			return nil, fmt.Errorf("create the schema to compare, %s: %w", step, err)
		}
	}
	objects = map[object]string{}
	rows, err := db.Query(readObjects, maxObjects)
	err = Each(rows, err, func(scan func(...any) error) error {
		var o object
		var text string
		var root int64
		err := scan(&o.kind, &o.name, &text, &root)
		objects[o] = plain(text)
		return err
	})
	return objects, err
}

// plain returns SQL without differences of case and white space.
func plain(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }
