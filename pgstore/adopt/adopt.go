// Package adopt copies into PostgreSQL what a folder has of agents, programs and numbers from before the store was an engine's.
package adopt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ringhook/lookup"
	"ringhook/pgstore"
	enginebook "ringhook/pgstore/phonebook"
	"ringhook/store/credentials"
	"ringhook/store/desk"
	"ringhook/store/phonebook"
	"ringhook/store/sqlite"
)

// table is a table that is copied. Columns that end in _ms are times there and here; the others have the same names. A row
// without a key of its own is there already if another one is the same in some columns.
type table struct{ name, to, columns, same string }

// Sessions are left out: agents sign in again. So are states that last, and what is kept for an hour.
var deskTables = []table{
	{"account", "password", "agent hash changed_ms", ""},
	{"token", "token", "hash name agent rights queues created_ms used_ms", ""},
	{"command", "command", "at_ms who command server agent queue call detail outcome result took_us", "at who command agent queue call"},
	{"campaign", "campaign", "id who server created_ms ended_ms state target settings", ""},
	{"campaign_number", "campaign_number", "campaign n number detail state tries result call at_ms", ""},
	{"did_use", "did_use", "did type target who changed_ms", ""},
	{"sip_account", "sip_account", "server name extension caller_id transport who created_ms", ""},
	{"setting", "setting", "agent name value", ""},
	{"exception", "exception", "number agent note who created_ms", ""},
	{"note", "note", "call agent number note at_ms", ""},
	{"pause_end", "pause_end", "server interface queue from_ms:since at_ms who", ""},
	{"agent_state where open = 0", "agent_state", "agent state reason from_ms:since to_ms:until open", "agent state reason since"},
}

var credentialTables = []table{
	{"account", "account", "name refresh seed access expiry_ms refreshed_ms started_ms failure failed_ms refused", ""},
	{"agent_id", "agent_id", "source n matches value id", ""},
	{"secret", "secret", "name value", ""},
}

// batchRows is the number of rows that one transaction copies.
const batchRows = 500

// copying is the end of the name of a file that says that a copy has begun and has not ended: the next one goes on with it,
// though the database has something of that kind.
const copying = ".copying"

// Folder copies what a folder has, if the database has nothing of that kind, and returns the names of the files that it copied.
// A copy that was interrupted is gone on with by the next one.
func Folder(ctx context.Context, engine *pgstore.Store, folder string) (files []string, err error) {
	for _, part := range []struct {
		file string
		used func(*pgstore.Store) (bool, error)
		copy func(context.Context, *pgstore.Store, string) (bool, error)
	}{
		{desk.File, anyIn("password", "token", "command", "setting", "exception"), func(ctx context.Context, engine *pgstore.Store, path string) (bool, error) {
			return copyFile(ctx, engine.Side(), path, desk.Schema, deskTables)
		}},
		{credentials.File, anyIn("account", "agent_id", "secret"), func(ctx context.Context, engine *pgstore.Store, path string) (bool, error) {
			return copyFile(ctx, engine.Side(), path, credentials.Schema, credentialTables)
		}},
		{phonebook.File, func(engine *pgstore.Store) (bool, error) {
			n, err := enginebook.New(engine).Len()
			return n > 0, err
		}, copyBook},
	} {
		path := filepath.Join(folder, part.file)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		copied, err := unlessUsed(path+copying, func() (bool, error) { return part.used(engine) }, func() (bool, error) { return part.copy(ctx, engine, path) })
		if err != nil {
			return files, fmt.Errorf("copy %s: %w", path, err)
		}
		if copied {
			files = append(files, part.file)
		}
	}
	return files, nil
}

// unlessUsed runs a copy unless the database is used already, and not by a copy that has not ended. The mark is the file that
// says so.
func unlessUsed(mark string, used, run func() (bool, error)) (copied bool, err error) {
	if _, err := os.Stat(mark); errors.Is(err, fs.ErrNotExist) {
		if is, err := used(); is || err != nil {
			return false, err
		}
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			return false, err
		}
	}
	if copied, err = run(); err != nil {
		return copied, err
	}
	return copied, os.Remove(mark)
}

// anyIn returns a function that reports whether the database has rows in one of some tables.
func anyIn(tables ...string) func(*pgstore.Store) (bool, error) {
	return func(engine *pgstore.Store) (used bool, err error) {
		for _, t := range tables {
			err := engine.Side().Query("look for what is stored", 0, pgstore.Do("select exists (select from ringhook."+t+" where tenant = $1)"), func(scan func(...any) error) error { return scan(&used) })
			if err != nil || used {
				return used, err
			}
		}
		return false, nil
	}
}

// copyFile copies the tables of a file.
func copyFile(ctx context.Context, db *pgstore.Side, path string, schema sqlite.Schema, tables []table) (copied bool, err error) {
	c, err := sqlite.Options{Path: path, Synchronous: "FULL", Busy: 5 * time.Second, CacheKiB: 1 << 10}.Beside().Writer()
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := schema.Current(c); err != nil {
		return false, fmt.Errorf("the file %w", err)
	}
	for _, t := range tables {
		n, err := t.copy(ctx, db, c)
		if err != nil {
			return copied, err
		}
		copied = copied || n > 0
	}
	return copied, nil
}

// copy copies the rows of a table, and returns their number. Rows that the database has stay as they are.
func (t *table) copy(ctx context.Context, db *pgstore.Side, c *sqlite.Conn) (n int, err error) {
	var from, to, values []string
	for i, column := range strings.Fields(t.columns) {
		there, here, renamed := strings.Cut(column, ":")
		value := fmt.Sprint("$", i+2)
		switch {
		case strings.HasSuffix(there, "_ms"):
			value = "to_timestamp(" + value + "::bigint / 1000.0)"
			if !renamed {
				here = strings.TrimSuffix(there, "_ms")
			}
		case there == "open" || there == "refused":
			value = "(" + value + "::bigint <> 0)"
			here = there
		case strings.HasSuffix(there, "_us"):
			value += "::bigint"
			here = there
		case !renamed:
			here = there
		}
		from, to, values = append(from, there), append(to, here), append(values, value)
	}
	insert := "insert into ringhook." + t.to + " (tenant, " + strings.Join(to, ", ") + ") "
	row := "$1, " + strings.Join(values, ", ")
	if t.same == "" {
		insert += "values (" + row + ")"
	} else {
		insert += "select " + row + " where not exists (select from ringhook." + t.to + " where tenant = $1"
		for _, column := range strings.Fields(t.same) {
			insert += " and " + column + " = " + values[slices.Index(to, column)]
		}
		insert += ")"
	}
	insert += " on conflict do nothing"
	var batch []pgstore.Statement
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		n += len(batch)
		err := db.Write("copy "+t.to, nil, batch...)
		batch = nil
		return err
	}
	err = c.AllContext(ctx, "select "+strings.Join(from, ", ")+" from "+t.name, nil, func(scan func(...any) error) error {
		row := make([]any, len(from))
		into := make([]any, len(from))
		for i := range row {
			into[i] = &row[i]
		}
		if err := scan(into...); err != nil {
			return err
		}
		batch = append(batch, pgstore.Do(insert, row...))
		if len(batch) < batchRows {
			return nil
		}
		return flush()
	})
	return n, errors.Join(err, flush())
}

// copyBook copies a phonebook that is no copy itself.
func copyBook(ctx context.Context, engine *pgstore.Store, path string) (copied bool, err error) {
	to := enginebook.New(engine)
	from, err := phonebook.Open(filepath.Dir(path))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if source, _, err := from.Copied(); source != "" || err != nil {
		return false, err
	}
	var batch []lookup.Contact
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		copied = true
		err := to.Put(batch)
		batch = nil
		return err
	}
	err = from.Each(ctx, "", func(c lookup.Contact) error {
		if batch = append(batch, c); len(batch) < batchRows {
			return nil
		}
		return flush()
	})
	return copied, errors.Join(err, flush())
}
