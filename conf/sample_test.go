package conf

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	crmaccount "ringhook/account"
	"ringhook/ami"
	"ringhook/clickfrom"
	"ringhook/control"
	"ringhook/control/switching"
	"ringhook/dialplan"
	"ringhook/directory"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/pops"
)

const (
	sample = "../contrib/ringhook.toml"
	manual = "../CONFIGURATION.md"
)

// commented matches the start of a line of the sample that is commented out.
var commented = regexp.MustCompile(`(?m)^#([\[a-z])`)

// TestSample loads contrib/ringhook.toml as it is, which must equal the defaults, and
// with all its examples active, which must have every key.
func TestSample(t *testing.T) {
	data := readFile(t, sample)
	c, err := Parse(sample, []byte(data), environment)
	if err != nil {
		t.Fatal(err)
	}
	// An empty table and no table are the same.
	if len(c.Dialplan.Variables) == 0 {
		c.Dialplan.Variables = Default().Dialplan.Variables
	}
	if !reflect.DeepEqual(c, Default()) {
		t.Errorf("got %+v\nwant the defaults %+v", c, Default())
	}

	all := strings.Replace(strings.Replace(data, "variables = {}\n", "", 1), `type = "sqlite" `, `type = "postgres" `, 1)
	all = commented.ReplaceAllString(all, "$1")
	c, err = Parse(sample, []byte(all), environment)
	if err != nil {
		t.Fatal(err)
	}
	root := (&report{}).locate(sample, all)
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		if !appears(root, strings.Split(key, ".")) {
			t.Errorf("%s has no %s", sample, key)
		}
	}
	keepsDefaults(t, "lookup", reflect.ValueOf(c.Lookups[0]), reflect.ValueOf(lookup.DefaultConfig()))
	keepsDefaults(t, "hook", reflect.ValueOf(c.Hooks[0]), reflect.ValueOf(hooks.DefaultConfig()))
	keepsDefaults(t, "agent", reflect.ValueOf(c.Agents[0]), reflect.ValueOf(dialplan.DefaultAgent()))
	keepsDefaults(t, "pause", reflect.ValueOf(c.Pauses[0]), reflect.ValueOf(control.DefaultPauseReason()))
	keepsDefaults(t, "agents", reflect.ValueOf(c.Lists[0]), reflect.ValueOf(directory.DefaultConfig()))
	keepsDefaults(t, "pop", reflect.ValueOf(c.Pops[0]), reflect.ValueOf(pops.DefaultConfig()))
	keepsDefaults(t, "ami", reflect.ValueOf(c.AMI[0]), reflect.ValueOf(ami.DefaultConfig()))
}

// TestPackaged loads the short file of the Debian package: it sets an absolute folder
// for the store, and nothing else.
func TestPackaged(t *testing.T) {
	c, err := Load("../contrib/deb/ringhook.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.File, want.Store.Folder = "../contrib/deb/ringhook.toml", "/var/lib/ringhook"
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
}

// keepsDefaults checks that an example shows the default if there is one.
func keepsDefaults(t *testing.T, table string, got, want reflect.Value) {
	t.Helper()
	defaults := fieldsOf(want)
	for key, v := range fieldsOf(got) {
		if want := defaults[key]; !want.IsZero() && !reflect.DeepEqual(v.Interface(), want.Interface()) {
			t.Errorf("%s.%s is %v in the sample, want the default %v", table, key, v, want)
		}
	}
}

// keysOf lists the keys of a struct and of the structs in it, by their toml tags; a
// name that the administrator chooses is EVENT.
func keysOf(typ reflect.Type, table string) []string {
	var keys []string
	for i := range typ.NumField() {
		field := typ.Field(i)
		if field.Anonymous {
			keys = append(keys, keysOf(field.Type, table)...)
			continue
		}
		name := field.Tag.Get("toml")
		if name == "" || name == "-" {
			continue
		}
		key, inner := join(table, name), field.Type
		if inner.Kind() == reflect.Map && inner.Elem().Kind() == reflect.Struct {
			key, inner = key+".EVENT", inner.Elem()
		} else if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			keys = append(keys, keysOf(inner, key)...)
		} else {
			keys = append(keys, key)
		}
	}
	return keys
}

// appears reports whether a file has a key, in any of the tables of a list.
func appears(at *position, path []string) bool {
	if len(path) == 0 {
		return true
	}
	for _, item := range at.items {
		if appears(item, path) {
			return true
		}
	}
	if path[0] == "EVENT" {
		for _, inner := range at.keys {
			if appears(inner, path[1:]) {
				return true
			}
		}
	}
	return at.keys[path[0]] != nil && appears(at.keys[path[0]], path[1:])
}

// row matches a key's row in CONFIGURATION.md: the key, its type and its default.
var row = regexp.MustCompile("(?m)^\\| `([a-zA-Z0-9_.]+)` \\| [a-z ]+ \\| (required|none|`[^`]+`) \\| .")

// TestManual checks that CONFIGURATION.md describes exactly the keys that exist, in the
// section of their table, with their defaults.
func TestManual(t *testing.T) {
	described := make(map[string]string)
	for _, section := range strings.Split(readFile(t, manual), "\n## ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		table := strings.Trim(title, "[]")
		for _, m := range row.FindAllStringSubmatch(text, -1) {
			described[table+"."+m[1]] = m[2]
		}
	}
	full := Default()
	full.Queues, full.Agents = []dialplan.Queue{{}}, []dialplan.Agent{dialplan.DefaultAgent()}
	full.Lookups, full.Hooks = []lookup.Config{lookup.DefaultConfig()}, []hooks.Config{hooks.DefaultConfig()}
	full.Pops = []pops.Config{pops.DefaultConfig()}
	full.AMI = []ami.Config{ami.DefaultConfig()}
	full.Pauses = []control.PauseReason{control.DefaultPauseReason()}
	full.Dials = []switching.Rule{{}}
	full.Shared, full.Lists, full.Clicks = []crmaccount.Config{{}}, []directory.Config{directory.DefaultConfig()}, []clickfrom.Config{clickfrom.DefaultConfig()}
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		text, ok := described[key]
		delete(described, key)
		if !ok {
			t.Errorf("%s has no row for %s", manual, key)
			continue
		}
		table, name, _ := strings.Cut(key, ".")
		defaults := fieldsOf(reflect.ValueOf(full).Elem())[table]
		if defaults.Kind() == reflect.Slice {
			defaults = defaults.Index(0)
		}
		want, ok := fieldsOf(defaults)[name]
		if !ok || text == "required" || text == "none" {
			if ok && !want.IsZero() {
				t.Errorf("%s: the default of %s is %s, want %v", manual, key, text, want)
			}
			continue
		}
		checkDefault(t, table, name, strings.Trim(text, "`"), want)
	}
	for key := range described {
		t.Errorf("%s describes %s, which does not exist", manual, key)
	}
}

// checkDefault reads a default as a value in the file.
func checkDefault(t *testing.T, table, name, text string, want reflect.Value) {
	t.Helper()
	d := &decoder{report: &report{}, env: environment}
	var tables map[string]any
	if _, err := toml.Decode(name+" = "+text, &tables); err != nil {
		t.Errorf("%s: the default of %s.%s: %v", manual, table, name, err)
		return
	}
	got := reflect.New(want.Type()).Elem()
	d.value(&position{}, name, tables[name], got)
	same := reflect.DeepEqual(got.Interface(), want.Interface()) || got.Kind() == reflect.Map && got.Len() == 0 && want.Len() == 0
	if len(d.mistakes) > 0 || !same {
		t.Errorf("%s: the default of %s.%s is %s, want %v (%v)", manual, table, name, text, want, d.mistakes)
	}
}

// block matches TOML in a document.
var block = regexp.MustCompile("(?ms)^```toml\n(.*?)^```")

// TestExamples reads every example in CONFIGURATION.md and README.md.
func TestExamples(t *testing.T) {
	for _, file := range []string{manual, "../README.md", "../docs/howto.md", "../docs/desk.md"} {
		blocks := block.FindAllStringSubmatch(readFile(t, file), -1)
		if len(blocks) == 0 {
			t.Errorf("%s has no example", file)
		}
		for _, b := range blocks {
			text := b[1]
			if !strings.Contains(text, "[number]") { // an example is a part of a file
				text += "\n[number]\ncountry = \"DE\"\n"
			}
			c, err := Parse(file, []byte(text), environment)
			if err != nil {
				t.Errorf("%v\nin\n%s", err, b[1])
			} else if len(c.Warnings) > 0 {
				t.Errorf("%v\nin\n%s", c.Warnings, b[1])
			}
		}
	}
}

// whenRow is a condition in the table of docs/howto.md.
var whenRow = regexp.MustCompile("(?m)^\\| [^|`]+ \\| `([^`]+)` \\|$")

// TestConditions checks that every condition that docs/howto.md shows is valid and
// names only parameters that a call has.
func TestConditions(t *testing.T) {
	rows := whenRow.FindAllStringSubmatch(readFile(t, "../docs/howto.md"), -1)
	if len(rows) < 5 {
		t.Errorf("%d conditions, want 5", len(rows))
	}
	for _, row := range rows {
		text := "[[hook]]\nname = \"h\"\nevents = [\"*\"]\nurl = \"https://crm.example/\"\nwhen = \"" + row[1] + "\"\n"
		c, err := Parse("howto.md", []byte(text), environment)
		if err != nil {
			t.Errorf("%s: %v", row[1], err)
		} else if len(c.Warnings) > 0 {
			t.Errorf("%s: %v", row[1], c.Warnings)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
