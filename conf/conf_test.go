package conf

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/store/size"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

// environment holds the variables that the files of the tests use as ${NAME}.
func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"CRM_TOKEN":    "s3cret \"token\"",
		"CRM_SECRET":   "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
		"CRM_PASSWORD": "s3cret",
		"AMI_SECRET":   "s3cret",

		"RINGHOOK_DB_PASSWORD": "s3cret",
		"GETEVENT_TOKEN":       "0123456789abcdef",
		"HOST":                 "archive",
		"NESTED":               "${CRM_TOKEN}",
		"EMPTY":                "",
	}[name]
	return value, ok
}

// TestMistakes reads one file per mistake; the golden file beside it has the messages.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) < 40 {
		t.Fatalf("got %d files of testdata: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Parse("ringhook.toml", data, environment)
			var wrong *Error
			if !errors.As(err, &wrong) || c != nil {
				t.Fatalf("got %v and error %v, want an *Error alone", c, err)
			}
			golden := strings.TrimSuffix(file, ".toml") + ".golden"
			got := wrong.Error() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

// TestNothing reads empty files: the defaults apply.
func TestNothing(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", byteOrderMark, "\xff\xfe\r\n", "\xfe\xff# nothing\r\n", "[fastagi]\n[store]\r\n"} {
		c, err := Parse("ringhook.toml", []byte(text), environment)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !reflect.DeepEqual(c, Default()) {
			t.Errorf("%q: got %+v, want the defaults %+v", text, c, Default())
		}
	}
}

func TestParse(t *testing.T) {
	c, err := Parse("ringhook.toml", []byte(`
fastagi = { budget = "900ms", allow = ["192.0.2.10"] }

[store]
folder = "/var/lib/ringhook"
max_size = "512MiB"

[dialplan]
variables = { customer_id = "int", level = { type = "int", min = 1, max = 5 } }

[[queue]]
id = "500"
name = "Sales"

[[agent]]
id = "7"
phone = "101"
name = "Anna \"the first\""

[[lookup]]
name = "crm"
points = ["queue-dial", "agent-dial"]
url = "https://crm.example/who?phone=%callerid%"
cache = "10m"

[[lookup]]
name = "second"
points = ["lookup"]
url = "https://crm.example/second?phone=%callerid%"
timeout = "1s"

[[hook]]
name = "journal"
events = ["agent-hangup"]
url = "https://crm.example/cti"
headers = { Authorization = "Bearer ${CRM_TOKEN}", X-Nested = "${NESTED}", X-Plain = "$${NESTED} costs 5$", X-Empty = "a${EMPTY}b" }

[[hook]]
name = "copies"
events = ["*"]
url = ["https://crm.example/cti", "https://${HOST}.example/?q=%callerid%"]
`), environment)
	if err != nil {
		t.Fatal(err)
	}
	defaults, crm := Default(), lookup.DefaultConfig()
	for _, v := range []struct{ name, got, want any }{
		{"fastagi.budget", c.FastAGI.Budget, 900 * time.Millisecond},
		{"fastagi.allow", c.FastAGI.Allow, []string{"192.0.2.10"}},
		{"fastagi.listen", c.FastAGI.Listen, defaults.FastAGI.Listen},
		{"store.folder", c.Store.Folder, "/var/lib/ringhook"},
		{"store.max_size", c.Store.MaxSize, size.Size(512 << 20)},
		{"store.synchronous", c.Store.Synchronous, defaults.Store.Synchronous},
		{"dialplan.variables", c.Dialplan.Variables, map[string]any{
			"customer_id": "int", "level": map[string]any{"type": "int", "min": int64(1), "max": int64(5)}}},
		{"queue.name", c.Queues[0].Name, "Sales"},
		{"agent.name", c.Agents[0].Name, `Anna "the first"`},
		{"lookup.points", c.Lookups[0].Points, []string{"queue-dial", "agent-dial"}},
		{"lookup.cache", c.Lookups[0].Cache, 10 * time.Minute},
		{"lookup.timeout of the first", c.Lookups[0].Timeout, crm.Timeout},
		{"lookup.timeout of the second", c.Lookups[1].Timeout, time.Second},
		{"lookup.cache of the second", c.Lookups[1].Cache, crm.Cache},
		{"hook.url", c.Hooks[0].URL, hooks.Addresses{"https://crm.example/cti"}},
		{"hook.url list", c.Hooks[1].URL, hooks.Addresses{"https://crm.example/cti", "https://archive.example/?q=%callerid%"}},
		{"hook.headers", c.Hooks[0].Headers, map[string]string{
			"Authorization": `Bearer s3cret "token"`, "X-Nested": "${CRM_TOKEN}", "X-Plain": "${NESTED} costs 5$", "X-Empty": "ab"}},
	} {
		if !reflect.DeepEqual(v.got, v.want) {
			t.Errorf("%s: got %#v, want %#v", v.name, v.got, v.want)
		}
	}
}

// TestRoomsCheck lets each room refuse one of its values: the mistake has the line and
// the key of the file.
func TestRoomsCheck(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		key  string
	}{
		{"[fastagi]\nbudget = \"0s\"", 2, "fastagi.budget"},
		{"[http]\nlisten = \"\"", 2, "http.listen"},
		{"[store]\n\nsynchronous = \"half\"", 3, "store.synchronous"},
		{"[number]\ncountry = \"X\"", 2, "number.country"},
		{"[[queue]]\nid = \"5\"\n[[queue]]\nname = \"x\"", 3, "queue.id"},
		{"[[agent]]\nid = \"5\"", 1, "agent.phone"},
		{"[[queue]]\nid = \" 500\"", 2, "queue.id"},
		{"[[queue]]\nid = \"50\\u00070\"", 2, "queue.id"},
		{"[[agent]]\nid = \"5\"\nphone = \"10\\u00071\"", 3, "agent.phone"},
		{"[[agent]]\nphone = \"101\"\n[[agent]]\nphone = \"PJSIP/101\"", 4, "agent.phone"},
		{"[[agent]]\nphone = \"PJSIP/\"", 2, "agent.phone"},
		{"\n[[lookup]]\nname = \"crm\"\npoints = [\"lookup\"]", 2, "lookup.url"},
		{"[[hook]]\nname = \"a\"\nevents = [\"sur/vey\"]\nurl = \"https://crm.example/\"\n", 3, "hook.events"},
		{"[[hook]]\nname = \"a\"\nevents = [\"survey *\"]\nurl = \"https://crm.example/\"\n", 3, "hook.events"},
		{"[[hook]]\nevents = [\"x\"]\nurl = \"https://crm.example/\"\n", 1, "hook.name"},
	} {
		_, err := Parse("ringhook.toml", []byte(c.text), environment)
		var wrong *Error
		if !errors.As(err, &wrong) {
			t.Errorf("%q: got error %v, want an *Error", c.text, err)
			continue
		}
		if m := wrong.Mistakes[0]; len(wrong.Mistakes) != 1 || m.Line != c.line || m.Key != c.key {
			t.Errorf("%q: got %v, want one mistake at line %d, key %s", c.text, err, c.line, c.key)
		}
	}
}

// TestAgentPhones checks that the phone of an agent is the same however it is written, and what it is as a member of queues.
func TestAgentPhones(t *testing.T) {
	for written, want := range map[string][2]string{
		"101": {"101", ""}, "PJSIP/101": {"101", "PJSIP/101"}, "SIP/101": {"101", "SIP/101"}, "Local/101@agents/n": {"101", "Local/101@agents/n"},
		"PJSIP/101/sip:101@host": {"101", ""}, "sip:101@host": {"101", ""}, "SIP/101/xyz": {"101", "SIP/101/xyz"},
	} {
		c, err := Parse("ringhook.toml", []byte("[[agent]]\nphone = \""+written+"\""), environment)
		if err != nil {
			t.Errorf("%s: %v", written, err)
			continue
		}
		if a := c.Agents[0]; a.Phone != want[0] || a.Interface != want[1] {
			t.Errorf("%s: phone %s, interface %s, want %s", written, a.Phone, a.Interface, want)
		}
	}
}

func TestSecretsStayOut(t *testing.T) {
	r := &report{files: []string{"ringhook.toml"}}
	r.hide("abc\"def", "${A}")
	r.hide("abc\"defghi", "${B}")
	r.hide("is", "${SHORT}")
	r.wrong(&position{file: "ringhook.toml", line: 3}, "k", "%q, %s and %s: this is wrong", `abc"def`, `x abc"def y`, `abc"defghi`)
	want := "ringhook.toml:3: k: \"${A}\", x ${A} y and ${B}: this is wrong\n1 mistake; the file was not applied"
	if err := r.done(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// T-CFG-01: a file with secrets that every user may read causes warnings.
func TestLoadWarns(t *testing.T) {
	const text = `
[[lookup]]
name = "crm"
points = ["lookup"]
url = "https://ringhook:0123456789@crm.example/who"
headers = { Accept = "text/plain", X-Api-Key = "0123456789" }

[[lookup]]
name = "second"
points = ["lookup"]
url = "https://crm.example/who"
headers = { Authorization = "Bearer ${RINGHOOK_TEST_TOKEN}" }

[http]
token = ""
`
	t.Setenv("RINGHOOK_TEST_TOKEN", "0123456789")
	path := filepath.Join(t.TempDir(), "ringhook.toml")
	for mode, want := range map[os.FileMode][]string{
		0o644: {"5: lookup.url: is a secret", "6: lookup.headers.X-Api-Key: is a secret"},
		0o640: nil,
		0o600: nil,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Warnings) != len(want) {
			t.Fatalf("mode %o: got %v, want %d warnings", mode, c.Warnings, len(want))
		}
		for i, w := range c.Warnings {
			if !strings.HasPrefix(w.String(), path+":"+want[i]) || strings.Contains(w.String(), "0123456789") {
				t.Errorf("mode %o: got %s, want %s", mode, w, want[i])
			}
		}
	}
}

func TestLoadFails(t *testing.T) {
	folder := t.TempDir()
	if _, err := Load(filepath.Join(folder, "absent.toml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that the file does not exist", err)
	}
	if _, err := Load(folder); err == nil {
		t.Error("a folder was read")
	}
	large := filepath.Join(folder, "large.toml")
	for size, want := range map[int]string{
		maxSize:     "",
		maxSize + 1: large + ": the file is larger than 1048576 bytes: this is not a configuration\n1 mistake; the file was not applied",
	} {
		if err := os.WriteFile(large, []byte(strings.Repeat("#", size)), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := Load(large); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%d bytes: got %q, want %q", size, got, want)
		}
	}
}

// FuzzParse is T-CFG-02: for every content, Parse returns a configuration, or mistakes
// with lines of the file, and never shows values of the environment.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, sample) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("\x1a")) // the parser reports this error before the start of the file
	const secret = "pa55-\"w0rd\n"
	env := func(string) (string, bool) { return secret, true }
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f.toml", data, env)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and error %v, want one of them", c, err)
		}
		if err == nil {
			return
		}
		var wrong *Error
		if !errors.As(err, &wrong) || len(wrong.Mistakes) == 0 {
			t.Fatalf("got %v, want an *Error with mistakes", err)
		}
		last := 0
		for _, m := range wrong.Mistakes {
			if m.Line < last || m.Line > bytes.Count(data, []byte("\n"))+1 {
				t.Errorf("line %d follows line %d: %v", m.Line, last, m)
			}
			last = m.Line
		}
		if text := err.Error(); strings.Contains(text, secret) || strings.Contains(text, `pa55-\"w0rd`) {
			t.Errorf("shows a value of the environment: %s", text)
		}
	})
}

// TestWarnings has likely typos, and names that are none.
func TestWarnings(t *testing.T) {
	const tables = `number = { country = "DE" }
[dialplan]
variables = { customer_id = "int", "CDR(tag)" = "text" }
[[lookup]]
name = "crm"
points = ["queue-dial"]
format = "json"
`
	f := func(text string, want ...string) {
		t.Helper()
		c, err := Parse("f", []byte(tables+text), func(string) (string, bool) { return "s3cret", true })
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range c.Warnings {
			got = append(got, w.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %q\nwant %q", text, got, want)
		}
	}
	const crm = "url = \"https://crm.example/%callerid_all%\"\nmap = { level = \".level\", QUEUE_PRIO = \".prio\" }\n"
	hook := func(lines string) string {
		return crm + "[[hook]]\nname = \"h\"\nurl = \"https://h.example/\"\n" + lines
	}
	f(hook(`events = ["*", "agent-*", "queue-failover", "ringhook.hook_disabled"]`))
	f(hook(`events = ["agent-hangpu", "call-hangup"]`), "f:13: hook.events: no point emits \"agent-hangpu\"; did you mean agent-hangup?")
	f(hook("events = [\n\"call-*\",\n\"calls-*\"\n]"), "f:15: hook.events: no point emits \"calls-*\"; such events come only if the dialplan asks /event with such names")
	f(hook("events = [\"sale\"]\nparams = { sum = \"%amount%\" }"), "f:13: hook.events: no point emits \"sale\"; it comes only if the dialplan asks /event?name=sale")

	all := "events = [\"*\"]\n"
	f(hook(all+`when = "dirction == 'incoming' and level == 'gold' and CDR_tag == 'x' and QUEUE_PRIO > ''"`),
		"f:14: hook.when: \"QUEUE_PRIO\" is not a parameter of a call; did you mean queue_prio?",
		"f:14: hook.when: \"dirction\" is not a parameter of a call; did you mean direction?")
	f(hook(all+"settings = { company = \"x\" }\n[hook.params]\na = \"%company% %customer_id% %time:15:04% %presumed%\"\nb = \"%colour%\""),
		"f:17: hook.params.b: \"colour\" is not a parameter of a call; if a lookup returns it, add it to [dialplan] variables")
	f(hook(all+"headers = { X-Caller = \"%caller_id%\", Authorization = \"Bearer ab%cd_ef%gh\" }"),
		"f:14: hook.headers.Authorization: the text between two percent signs is not a parameter of a call",
		"f:14: hook.headers.X-Caller: \"caller_id\" is not a parameter of a call; did you mean callerid?")
	f(hook(all+"words = { statsu = { answer = \"ANSWERED\" } }\non.agent-hangup = { words = { cuase = { \"16\" = \"ok\" } }, params = { x = \"%y%\" } }"),
		"f:14: hook.words.statsu: \"statsu\" is not a parameter of a call; did you mean status?",
		"f:15: hook.on.agent-hangup.params.x: \"y\" is not a parameter of a call; if a lookup returns it, add it to [dialplan] variables",
		"f:15: hook.on.agent-hangup.words.cuase: \"cuase\" is not a parameter of a call; did you mean cause?")
	f(hook(all+"format = \"template\"\ncontent_type = \"text/plain\"\nparams = { src = \"%callerid%\" }\nbody = \"%src% %dst%\""),
		"f:17: hook.body: \"dst\" is not a parameter of a call; if a lookup returns it, add it to [dialplan] variables")
	f(hook("events = [\"ringhook.hook_disabled\"]\nparams = { hook = \"%hook%\", why = \"%reason%\" }"))

	f("map = { level = \".level\" }\nurl = \"https://crm.example/?q=%queueid%&c=%connected%\"\nbody = \"%level%\"\nheaders = { X = \"%x%\" }",
		"f:9: lookup.url: \"queueid\" is not a parameter of a call; did you mean queue_id?",
		"f:11: lookup.headers.X: \"x\" is not a parameter of a call; if a lookup returns it, add it to [dialplan] variables")
}

// TestWarnsOfMissingCountry has lookups by the caller's number, and one by another parameter.
func TestWarnsOfMissingCountry(t *testing.T) {
	for url, want := range map[string]int{"%callerid%": 1, "%callerid_all%": 1, "%directid%": 0} {
		text := "[[lookup]]\nname = \"crm\"\npoints = [\"queue-dial\"]\nurl = \"https://crm.example/" + url + "\"\n"
		c, err := Parse("f", []byte(text), environment)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Warnings) != want || want > 0 && !strings.HasPrefix(c.Warnings[0].String(), "f:1: number.country: is missing") {
			t.Errorf("%s: warnings %v, want %d of the country", url, c.Warnings, want)
		}
	}
}

// TestSettingsOfParameters checks that a setting with the name of a parameter of calls is warned about: its value would be that
// of every call.
func TestSettingsOfParameters(t *testing.T) {
	c, err := Parse("ringhook.toml", []byte(`
[number]
country = "DE"
[[lookup]]
name = "crm"
points = ["queue-dial"]
url = "https://crm.example/%callerid%/%portal%"
settings = { callerid = "+49301234567", portal = "acme" }
[[hook]]
name = "journal"
events = ["*"]
url = "https://crm.example/"
params = { x = "%status%", y = "%portal%" }
settings = { status = "ended", portal = "acme" }
`), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, warning := range c.Warnings {
		got = append(got, fmt.Sprint(warning.Line, " ", warning.Key))
	}
	if want := []string{"8 lookup.settings.callerid", "14 hook.settings.status"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPresetsHaveNoWarnings checks the presets of hooks that ringhook ships, with that of the lookup whose customers they
// name, and an agent with an id in the product.
func TestPresetsHaveNoWarnings(t *testing.T) {
	for _, name := range hooks.Presets() {
		product, _, _ := strings.Cut(name, "-")
		text := "[number]\ncountry = \"DE\"\n"
		if preset, ok := lookup.Preset(product); ok {
			text += "[[lookup]]\nname = \"l\"\npoints = [\"queue-dial\"]\nurl = \"https://h.example/\"\npreset = \"" + product + "\"\n" + required(preset, ok)
		}
		text += "[[hook]]\nname = \"h\"\nurl = \"https://h.example/\"\npreset = \"" + name + "\"\n" + required(hooks.Preset(name)) + beside(name)
		c, err := Parse(name, []byte(text), os.LookupEnv)
		if err != nil {
			t.Fatal(err)
		}
		for _, warning := range c.Warnings {
			if !strings.Contains(warning.Problem, "agent_id_"+product) && warning.Key != "hook.params.assignedUserId" {
				t.Errorf("%s: %v", name, warning)
			}
		}
	}
}

// A [[click_from]] table that finds agents by their ids in a product warns if there are none.
func TestClickFromProduct(t *testing.T) {
	const table = `
[[ami]]
name = "pbx"
username = "ringhook"
secret = "secret-of-the-pbx"
[[click_from]]
name = "crm"
preset = "bitrix24"
secret = "secret-of-the-crm"
`
	for more, want := range map[string]int{
		"": 1,
		"[[agent]]\nphone = \"101\"\nid = \"7\"\nids = { zoho = \"1269\" }\n":                                                              1,
		"[[agent]]\nphone = \"101\"\nid = \"7\"\nids = { bitrix24 = \"1269\" }\n":                                                          0,
		"[[agents]]\nname = \"bitrix24\"\nurl = \"https://crm.example/\"\nrecords = \".[]\"\nmap = { id = \".id\", phone = \".phone\" }\n": 0,
	} {
		c, err := Parse("ringhook.toml", []byte(table+more), os.LookupEnv)
		if err != nil {
			t.Fatal(err)
		}
		warnings := slices.DeleteFunc(c.Warnings, func(m Mistake) bool { return m.Key != "click_from.agent_by" })
		if len(warnings) != want {
			t.Errorf("%q: warnings %v, want %d", more, c.Warnings, want)
		}
	}
}
