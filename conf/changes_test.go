package conf

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestChanges(t *testing.T) {
	const text = "[[queue]]\nid = \"500\"\nname = \"Sales\"\n[[hook]]\nname = \"crm\"\nevents = [\"*\"]\nurl = \"http://a.example/\"\nwhen = \"queue_id == '500'\"\n" +
		"[[lookup]]\nname = \"crm\"\npoints = [\"queue-dial\"]\nurl = \"http://a.example/%callerid%\"\nformat = \"json\"\nmap = { \"CALLERID(name)\" = \".name\" }\n"
	parse := func(text string) *Config {
		t.Helper()
		c, err := Parse("ringhook.toml", []byte(text), environment)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, c := range []struct{ text, want string }{
		{text, ""},
		{"[http]\ntoken = \"0123456789abcdef\"\n[store]\nkeep_dead = \"800h\"\n" + text, "[http] token|[store] keep_dead"},
		{strings.Replace(text, "Sales", "Service", 1), "[[queue]] 500"},
		{strings.Replace(text, `"500"`, `"600"`, 1), "[[queue]] 500 removed|[[queue]] 600 added"},
		{strings.Replace(text, "http://a.example/\"", "http://b.example/\"", 1), "[[hook]] crm"},
	} {
		var want []string
		if c.want != "" {
			want = strings.Split(c.want, "|")
		}
		if got := Changes(parse(text), parse(c.text)); !slices.Equal(got, want) {
			t.Errorf("%s\ngot %q, want %q", c.text, got, want)
		}
	}
}

// TestDigests checks that every table that nodes compare has a digest, which changes with the table alone, and that tables of
// the machine have none.
func TestDigests(t *testing.T) {
	text, err := os.ReadFile("../contrib/ringhook.toml")
	if err != nil {
		t.Fatal(err)
	}
	load := func(text string) *Config {
		t.Helper()
		c, err := Parse("ringhook.toml", []byte(text), environment)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := load(string(text)).Digests()
	tables := 0
	for i := range reflect.TypeFor[Config]().NumField() {
		table := reflect.TypeFor[Config]().Field(i).Tag.Get("toml")
		if table == "" || slices.Contains(ofMachine, table) {
			continue
		}
		tables++
		if len(first[table]) != 8 {
			t.Errorf("the digest of %s is %q", table, first[table])
		}
	}
	if len(first) != tables {
		t.Errorf("%d digests of %d tables", len(first), tables)
	}
	const hook = "\n[[hook]]\nname = \"another\"\nevents = [\"*\"]\nurl = \"https://another.example/\"\n"
	second := load(strings.Replace(string(text), "level = \"info\"", "level = \"debug\"", 1) + hook).Digests()
	for table := range first {
		if (first[table] == second[table]) != (table != "hook") {
			t.Errorf("digests of %s: %s and %s", table, first[table], second[table])
		}
	}
}
