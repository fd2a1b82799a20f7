package pgstore

import (
	"strings"
	"testing"
)

// TestDSN checks that wrong addresses are refused without their password, and how good ones are shown.
func TestDSN(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://ringhook:s3cret@db1,db2:5433/calls?sslmode=require":          "database calls on db1:5432, db2:5433",
		"host=/run/postgresql dbname=calls user=ringhook password='s3cret word'": "database calls on /run/postgresql",
		"host=db1 dbname=calls user=ringhook sslmode=prefer":                     "database calls on db1:5432",
	} {
		if err := CheckDSN(dsn); err != nil {
			t.Errorf("%s: %v", dsn, err)
		}
		if got := Address(dsn); got != want {
			t.Errorf("%s is shown as %q, want %q", dsn, got, want)
		}
	}
	for _, dsn := range []string{
		"postgres://ringhook:s3cret/word@db1/calls", "postgres://ringhook:s3cret%zz@db1/calls", "host=db1 password='s3cret", "db1", "host=db1 port=s3cret",
		"host=db1 sslmode=verify-full sslrootcert=/nowhere/ca.pem password=s3cret",
	} {
		err := CheckDSN(dsn)
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(dsn, "ca.pem") != strings.Contains(err.Error(), "/nowhere/ca.pem") {
			t.Errorf("%s: %v", dsn, err)
		}
		if got := Address(dsn); got != "" {
			t.Errorf("%s is shown as %q", dsn, got)
		}
	}
}
