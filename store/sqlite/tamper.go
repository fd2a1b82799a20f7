package sqlite

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrTampered means that a file has schema objects that ringhook did not create. A view
// in place of a table, for example, can return rows without end.
var ErrTampered = errors.New("has been tampered with")

var (
	createdTable   = regexp.MustCompile(`(?im)^create table (\w+)`)
	createdTrigger = regexp.MustCompile(`(?is)^create trigger (\w+)\b.*`)
)

// Genuine returns ErrTampered if the file has a view, a trigger that the migrations do
// not create, or anything but a plain table with the name of one of theirs. It reads only
// the schema. Further indexes and tables are allowed.
func (s Schema) Genuine(c *Conn) error {
	tables, triggers, err := s.created()
	if err != nil {
		return err
	}
	var problems []error
	refuse := func(kind, name string) {
		problems = append(problems, fmt.Errorf("%w: %s %s", ErrTampered, kind, name))
	}
	err = c.All("select type, name, coalesce(sql, ''), rootpage from sqlite_schema limit ?", []any{maxObjects + 1}, func(scan func(...any) error) error {
		var kind, name, text string
		var root int64
		if err := scan(&kind, &name, &text, &root); err != nil {
			return err
		}
		switch {
		case kind == "index":
		case kind == "trigger" && triggers[name] != "" && plain(text) == triggers[name]:
		case kind == "table" && root > 0 && (!tables[name] || !generated.MatchString(text)):
		default:
			refuse(kind, name)
		}
		return nil
	})
	return errors.Join(append(problems, err)...)
}

// maxObjects is the maximum number of schema objects that are read.
const maxObjects = 1000

var generated = regexp.MustCompile(`(?i)\bas\s*\(`)

// created returns the tables that the migrations create, and the text of their triggers.
func (s Schema) created() (tables map[string]bool, triggers map[string]string, err error) {
	steps, err := s.Steps()
	if err != nil {
		return nil, nil, err
	}
	tables, triggers = map[string]bool{}, map[string]string{}
	for _, step := range steps {
		text, err := s.read(step)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range createdTable.FindAllStringSubmatch(text, -1) {
			tables[m[1]] = true
		}
		for _, part := range strings.SplitAfter(text, "\nend;") {
			if i := strings.Index(strings.ToLower(part), "create trigger"); i >= 0 {
				part = part[i:]
				triggers[createdTrigger.FindStringSubmatch(part)[1]] = plain(strings.TrimSuffix(part, ";"))
			}
		}
	}
	return tables, triggers, nil
}

// plain returns SQL without differences of case and white space.
func plain(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), " ")) }
