package pgstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed migrations
var migrations embed.FS

// Errors of a database that this ringhook cannot use.
var (
	ErrNoSchema = errors.New("the database has no schema of ringhook")
	ErrNewer    = errors.New("the schema was changed by a newer ringhook, and this one cannot use it: install that version")
	ErrOutdated = errors.New("the schema is that of an older ringhook")
	ErrEncoding = errors.New("the database is not in UTF-8: create one with encoding UTF8")
)

const (
	// stepLock is the maximum time that a step of a migration waits for a lock. Other nodes use the tables meanwhile, and all of
	// them wait while a step waits.
	stepLock = 2 * time.Second
	// stepTries is the number of times that a step is tried that does not get its lock.
	stepTries = 30
	// migrationLock is the advisory lock of migrations: nodes that start at the same time migrate one after the other.
	migrationLock = 0x52484f4d
)

// Migrate creates the schema or applies the steps that it lacks, each in a transaction of its own. A step only adds, so
// that nodes with this version and the one before can use the schema at the same time.
func Migrate(ctx context.Context, dsn string) error {
	_, _, err := Init(ctx, dsn)
	return err
}

// Init is Migrate. It returns the number of steps that the schema had before and has now, 0 without a schema.
func Init(ctx context.Context, dsn string) (before, now int, err error) {
	conn, err := connect(ctx, dsn, nil)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if before, err = schemaVersion(ctx, conn); err != nil && !errors.Is(err, ErrNoSchema) {
		return before, before, err
	}
	if err = migrate(ctx, conn); err != nil {
		return before, before, err
	}
	now, err = schemaVersion(ctx, conn)
	return before, now, err
}

func migrate(ctx context.Context, conn *pgx.Conn) error {
	var encoding string
	if err := conn.QueryRow(ctx, "show server_encoding").Scan(&encoding); err != nil {
		return wrap("read the encoding of the database", err)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("%w (it is in %s)", ErrEncoding, encoding)
	}
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", migrationLock); err != nil {
		return wrap("wait for other migrations", err)
	}
	// The connection may be broken: closing it releases the lock too.
	defer func() { _, _ = conn.Exec(ctx, "select pg_advisory_unlock($1)", migrationLock) }()
	version, err := schemaVersion(ctx, conn)
	if errors.Is(err, ErrNoSchema) {
		version, err = 0, nil
	}
	if err != nil {
		return err
	}
	for i := version; i < len(steps); i++ {
		if err := applyStep(ctx, conn, steps[i], i+1); err != nil {
			return err
		}
	}
	if _, err := conn.Exec(ctx, written); err != nil {
		return wrap("change the schema", err)
	}
	return wrap("change the schema", takeWarning(conn.PgConn()))
}

const createSchema = `create schema if not exists ringhook;
	create table if not exists ringhook.schema (only_row boolean primary key check (only_row), version integer not null, oldest_reader integer not null);
	insert into ringhook.schema values (true, 0, 0) on conflict do nothing`

// applyStep applies one step. If it does not get its locks in time, it is tried again.
func applyStep(ctx context.Context, conn *pgx.Conn, name string, version int) error {
	text, err := fs.ReadFile(migrations, name)
	if err != nil {
		return err
	}
	sql := fmt.Sprintf(`begin; set local lock_timeout = '%dms'; %s; %s;
		update ringhook.schema set version = %d, oldest_reader = greatest(oldest_reader, %d); commit`,
		stepLock.Milliseconds(), createSchema, text, version, version-1)
	for try := 1; ; try++ {
		_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		if err == nil {
			return nil
		}
		// Fails if the server has ended the transaction itself.
		_, _ = conn.Exec(ctx, "rollback")
		if pg := (*pgconn.PgError)(nil); !errors.As(err, &pg) || pg.Code != "55P03" || try == stepTries {
			return fmt.Errorf("%s: %w", name, wrap("change the schema", err))
		}
	}
}

// schemaVersion returns the number of steps that were applied to the schema. The error is ErrNoSchema or ErrNewer if this
// ringhook cannot use it.
func schemaVersion(ctx context.Context, conn *pgx.Conn) (version int, err error) {
	var there bool
	if err := conn.QueryRow(ctx, "select to_regclass('ringhook.schema') is not null").Scan(&there); err != nil {
		return 0, wrap("look for the schema", err)
	}
	if !there {
		return 0, ErrNoSchema
	}
	var oldest int
	if err := conn.QueryRow(ctx, "select version, oldest_reader from ringhook.schema").Scan(&version, &oldest); err != nil {
		return 0, wrap("read the version of the schema", err)
	}
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err == nil && oldest > len(steps) {
		err = fmt.Errorf("%w (its schema is %d, the newest supported is %d)", ErrNewer, version, len(steps))
	}
	return version, err
}

// checkSchema returns an error unless the schema has every step that this ringhook needs.
func checkSchema(ctx context.Context, conn *pgx.Conn) error {
	version, err := schemaVersion(ctx, conn)
	if err != nil {
		return err
	}
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err == nil && version < len(steps) {
		err = fmt.Errorf("%w (it is %d, this one needs %d)", ErrOutdated, version, len(steps))
	}
	return err
}
