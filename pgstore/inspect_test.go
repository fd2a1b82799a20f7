package pgstore

import (
	"log/slog"
	"strings"
	"testing"

	"ringhook/pgstore/pgtest"
	"ringhook/test/wait"
)

// TestInspect checks what is found out about engines.
func TestInspect(t *testing.T) {
	as := func(dsn, user string) string { return strings.Replace(dsn, "user=ringhook", "user="+user, 1) }
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, dsn string) (inspected string)
		fault   string // a part of it; empty for none
	}{
		{"a database without a schema", func(_ *testing.T, dsn string) string { return dsn }, "no schema of ringhook"},
		{"a good database", func(t *testing.T, dsn string) string { migrated(t, dsn); return dsn }, ""},
		{"an older schema", func(t *testing.T, dsn string) string {
			migrated(t, dsn)
			exec(t, dsn, "update ringhook.schema set version = 1")
			return dsn
		}, "older ringhook"},
		{"a user without the schema", func(t *testing.T, dsn string) string {
			migrated(t, dsn)
			exec(t, dsn, "create role stranger login")
			return as(dsn, "stranger")
		}, "may not use the schema"},
		{"a user who may only read", func(t *testing.T, dsn string) string {
			migrated(t, dsn)
			exec(t, dsn, "create role reader login; grant usage on schema ringhook to reader; grant select on all tables in schema ringhook to reader")
			return as(dsn, "reader")
		}, "lacks rights in the schema ringhook: delete on account, "},
		{"a database that takes no changes", func(t *testing.T, dsn string) string {
			migrated(t, dsn)
			return dsn + " options='-c default_transaction_read_only=on'"
		}, "accepts no changes"},
		{"a standby that is away", func(t *testing.T, dsn string) string {
			migrated(t, dsn)
			withoutStandby(t, dsn)
			return dsn
		}, "they do not return"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dsn := test.prepare(t, server.Database(t))
			r, err := Inspect(wait.Context(t), Config{DSN: dsn})
			if err != nil {
				t.Fatal(err)
			}
			found := strings.Join(r.Faults, "; ")
			if !strings.Contains(found, test.fault) || (test.fault == "") != (found == "") {
				t.Errorf("faults are %q, want %q", found, test.fault)
			}
			if r.Server == "" || r.RoundTrip <= 0 || r.Synchronous != "on" || r.Safe() || r.Served || found == "" && (r.Commit <= 0 || r.Schema == 0) {
				t.Errorf("got %+v", r)
			}
		})
	}
	if _, err := Inspect(wait.Context(t), Config{DSN: "host=/nowhere user=ringhook dbname=ringhook"}); classOf(err) != Away {
		t.Errorf("an engine that is not there: %v", err)
	}
}

func migrated(t *testing.T, dsn string) {
	t.Helper()
	if err := Migrate(wait.Context(t), dsn); err != nil {
		t.Fatal(err)
	}
}

// TestInspectServed checks that a database that a server uses is seen to be used, and that looking at it disturbs no server.
func TestInspectServed(t *testing.T) {
	dsn := database(t)
	s := serve(t, dsn, slog.New(slog.DiscardHandler), nil)
	if r, err := Inspect(wait.Context(t), Config{DSN: dsn}); err != nil || !r.Served || len(r.Faults) > 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
}

// TestInspectSilentServers checks that the last server of a DSN is found while the others do not answer, like machines that
// were lost.
func TestInspectSilentServers(t *testing.T) {
	dsn := database(t)
	first, second := server.NewProxy(t), server.NewProxy(t)
	first.Set(pgtest.Silent)
	second.Set(pgtest.Silent)
	host := func(dsn string) string { return strings.TrimPrefix(strings.Fields(dsn)[0], "host=") }
	all := strings.Replace(dsn, host(dsn), strings.Join([]string{host(first.DSN(dsn)), host(second.DSN(dsn)), host(dsn)}, ","), 1)
	if r, err := Inspect(wait.Context(t), Config{DSN: all}); err != nil || len(r.Faults) > 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestInit checks that the schema is made once, and what is returned about that.
func TestInit(t *testing.T) {
	dsn := server.Database(t)
	for _, first := range []bool{true, false} {
		before, now, err := Init(wait.Context(t), dsn)
		if err != nil || (before == 0) != first || now == 0 || !first && before != now {
			t.Errorf("from %d to %d, %v", before, now, err)
		}
	}
}
