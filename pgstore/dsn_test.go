package pgstore

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ringhook/conffile"
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

// TestDSNFiles checks that no file of a DSN is read without an end, and that a pipe blocks nothing.
func TestDSNFiles(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("HOME", folder)
	at := func(name string) string { return filepath.Join(folder, name) }
	for _, err := range []error{
		syscall.Mkfifo(at("pipe"), 0o600), os.Mkdir(at("quoted folder"), 0o700), syscall.Mkfifo(at("quoted folder/it's"), 0o600),
		os.WriteFile(at("large"), make([]byte, conffile.MaxPEM+1), 0o600),
		os.WriteFile(at("services"), []byte("[calls]\nhost=db1\nsslrootcert="+at("pipe")+"\n"), 0o600),
		os.WriteFile(at("empty"), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for dsn, want := range map[string]string{
		"postgres://db1/calls?passfile=" + at("pipe"):                                          "is not a regular file",
		"postgres://db1/calls?sslmode=verify-full&sslrootcert=/dev/zero":                       "/dev/zero is not a regular file",
		"host=db1 passfile = " + at("large") + " user=x":                                       "is larger than",
		"host=db1 password='a b' passfile='" + at("quoted folder") + `/it\'s'`:                 "it's is not a regular file",
		"host=db1 sslmode=verify-full sslkey=" + at("pipe") + " sslcert=" + at("empty"):        "is not a regular file",
		"service=calls servicefile=" + at("pipe"):                                              "is not a regular file",
		"service=calls sslmode=verify-full password=s3cret servicefile=" + at("services"):      "is not a regular file",
		"postgres://db1/calls?sslmode=verify-full&service=calls&servicefile=" + at("services"): "is not a regular file",
		"postgres://ringhook:s3cret@db1/calls?sslmode=disable&passfile=" + at("empty"):         "",
		"postgres://ringhook:s3cret@db1/calls?sslmode=disable&passfile=" + at("missing"):       "",
	} {
		err := CheckDSN(dsn)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) || err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", dsn, err, want)
		}
	}
	t.Setenv("PGPASSFILE", at("pipe"))
	if err := CheckDSN("host=db1"); err == nil {
		t.Error("PGPASSFILE is a pipe, and accepted")
	}
}
