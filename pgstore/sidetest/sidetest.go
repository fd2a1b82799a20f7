// Package sidetest opens engines for the tests of what is stored beside calls and deliveries.
package sidetest

import (
	"log/slog"
	"os"
	"testing"

	"ringhook/pgstore"
	"ringhook/pgstore/pgtest"
	"ringhook/test/wait"
)

// server is the PostgreSQL of all tests of a package, nil if none is installed.
var server *pgtest.Server

// Main is a package's TestMain: it runs the tests with a server of their own.
func Main(m *testing.M) { os.Exit(pgtest.Main(m, &server)) }

// Server returns the server of the tests.
func Server() *pgtest.Server { return server }

// Database returns a new database with the schema.
func Database(t testing.TB) (dsn string) {
	t.Helper()
	dsn = server.Database(t)
	if err := pgstore.Migrate(wait.Context(t), dsn); err != nil {
		t.Fatal(err)
	}
	return dsn
}

// Open opens a database as another node does. It is closed when the test ends.
func Open(t testing.TB, dsn string) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(wait.Context(t), pgstore.Config{DSN: dsn}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
