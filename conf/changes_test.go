package conf

import (
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
