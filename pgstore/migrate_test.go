package pgstore

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"ringhook/test/wait"
)

// TestMigrate checks that nodes which start at the same time create the schema once.
func TestMigrate(t *testing.T) {
	dsn := server.Database(t)
	if _, err := Open(wait.Context(t), Config{DSN: dsn}, nil); !errors.Is(err, ErrNoSchema) {
		t.Errorf("an empty database: got %v, want %v", err, ErrNoSchema)
	}
	var nodes sync.WaitGroup
	for range 4 {
		nodes.Go(func() {
			if err := Migrate(wait.Context(t), dsn); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
	steps, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	if version := value[int](t, dsn, "select version from ringhook.schema"); version != len(steps) {
		t.Errorf("version %d, want %d", version, len(steps))
	}
}

// TestSchemaOfOthers checks which schemas of other versions are refused, with what the administrator has to do.
func TestSchemaOfOthers(t *testing.T) {
	dsn := database(t)
	for _, test := range []struct {
		change string
		want   error
	}{
		{"update ringhook.schema set version = 99, oldest_reader = 99", ErrNewer},
		{"update ringhook.schema set version = 0, oldest_reader = 0", ErrOutdated},
		{"update ringhook.schema set version = 99, oldest_reader = 1", nil}, // by a step that only added
	} {
		exec(t, dsn, test.change)
		conn, err := connect(wait.Context(t), dsn, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkSchema(wait.Context(t), conn); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.change, err, test.want)
		}
		if err := conn.Close(wait.Context(t)); err != nil {
			t.Error(err)
		}
	}
}

// TestEncoding checks that a database which cannot hold every name is refused.
func TestEncoding(t *testing.T) {
	dsn := server.Database(t)
	exec(t, dsn, "create database latin encoding 'LATIN1' locale 'C' template template0")
	if err := Migrate(wait.Context(t), strings.Replace(dsn, "dbname=", "dbname=latin application_name=", 1)); !errors.Is(err, ErrEncoding) {
		t.Errorf("got %v, want %v", err, ErrEncoding)
	}
}

// TestMigrateWithoutStandby checks that a schema is not taken for safe which no standby has, also if the steps are there
// already.
func TestMigrateWithoutStandby(t *testing.T) {
	dsn := server.Database(t)
	restore := withoutStandby(t, dsn)
	migrated := make(chan error, 1)
	begin := func() { migrated <- Migrate(wait.Context(t), dsn) }
	go begin()
	for err, done := error(nil), false; !done; {
		cancelled := value[int](t, dsn, "select count(pg_cancel_backend(pid))::integer from pg_stat_activity where datname = current_database() and "+waitsForStandby)
		select {
		case err = <-migrated:
			done = true
			if !errors.Is(err, ErrDoubt) {
				t.Errorf("got %v, want a doubt", err)
			}
		default:
			if cancelled == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}
	go begin()
	awaitPID(t, dsn, waitsForStandby)
	restore()
	if err := <-migrated; err != nil {
		t.Error(err)
	}
}
