package conf

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ringhook/store"
)

// TestStoreType checks the kinds of stores, and that no message has the password of a database.
func TestStoreType(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"type = \"sqlite\"", ""},
		{"type = \"postgres\"\ndsn = \"postgres://u:${RINGHOOK_DB_PASSWORD}@db1/calls\"", ""},
		{"type = \"postgres\"\ndsn = \"host=/run/postgresql dbname=calls\"", ""},
		{"type = \"mysql\"", `ringhook.toml:2: store.type: must be "sqlite" or "postgres"`},
		{"type = \"postgres\"", "ringhook.toml:1: store.dsn: is missing"},
		{"type = \"postgres\"\ndsn = \"postgres://u:pass/w0rd@db1/calls\"", "ringhook.toml:3: store.dsn: is not the address of a PostgreSQL database"},
		{"type = \"postgres\"\ndsn = \"host=db1 password='w0rd\"", "ringhook.toml:3: store.dsn: is not the address of a PostgreSQL database"},
		{"type = \"postgres\"\ndsn = [\"postgres://u:w0rd@db1/calls\"]", "ringhook.toml:3: store.dsn: "},
		{"type = \"postgres\"\ndsn = \"${NO_SUCH}\"", "not set in the environment: NO_SUCH"},
		{"type = \"postgres\"\ndsn = \"host=db1\"\nnode = \"pbx1.example\"", ""},
		{"type = \"postgres\"\ndsn = \"host=db1\"\nnode = \"pbx 1\"", "ringhook.toml:4: store.node: is a name of at most"},
		{"node = \"pbx1\"", "ringhook.toml:2: store.node: is only for type = \"postgres\""},
		{"dsn = \"host=db1 password=w0rd\"", "ringhook.toml:2: store.dsn: is only for type = \"postgres\""},
	} {
		_, err := Parse("ringhook.toml", []byte("[store]\n"+c.text), environment)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.text, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "w0rd")):
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
	}
}

// TestStoreSecret checks that a password in the address of a database counts as a secret that is written in the file, and
// that an address without one does not.
func TestStoreSecret(t *testing.T) {
	for dsn, want := range map[string]bool{
		"postgres://u:w0rd@db1/calls": true, "host=db1 password=w0rd": true, "host=db1 password = 'w0 rd'": true,
		"host=/run/postgresql dbname=calls": false, "postgres://u@db1/calls": false,
	} {
		file := filepath.Join(t.TempDir(), "ringhook.toml")
		if err := os.WriteFile(file, []byte("[store]\ntype = \"postgres\"\ndsn = \""+dsn+"\"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.ContainsFunc(c.Warnings, func(m Mistake) bool { return m.Key == "store.dsn" }); got != want {
			t.Errorf("%s: the warnings are %v", dsn, c.Warnings)
		}
		next := *c
		next.Store.Type, next.Store.DSN = store.SQLite, ""
		if got := Changes(c, &next); !slices.Equal(got, []string{"[store] type", "[store] dsn"}) {
			t.Errorf("changes: %v", got)
		}
	}
}
