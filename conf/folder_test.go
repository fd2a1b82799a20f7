package conf

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"ringhook/ami"
	"ringhook/hooks"
	"ringhook/lookup"
)

// files writes a configuration and the files beside it, and returns its name.
func files(t *testing.T, contents map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range contents {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "ringhook.toml")
}

// A relative folder belongs to the file, not to the folder in which a command runs.
func TestStoreFolder(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "ringhook-data",
		"[store]\nfolder = \"data\"":        "data",
		"[store]\nfolder = \"../x/./data\"": "../x/data",
	} {
		file := files(t, map[string]string{"ringhook.toml": text})
		for _, cwd := range []string{t.TempDir(), filepath.Dir(file), "/"} {
			t.Chdir(cwd)
			name, err := filepath.Rel(cwd, file)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{file, name} {
				c, err := Load(name)
				if err != nil {
					t.Fatal(err)
				}
				if want := filepath.Join(filepath.Dir(file), want); c.Store.Folder != want || c.File != name {
					t.Errorf("%q read in %s as %s: store in %s of file %s, want %s", text, cwd, name, c.Store.Folder, c.File, want)
				}
			}
		}
	}
	file := files(t, map[string]string{"ringhook.toml": "store.folder = \"/var/lib/ringhook\""})
	if c, err := Load(file); err != nil || c.Store.Folder != "/var/lib/ringhook" {
		t.Errorf("an absolute folder became %v, %v", c, err)
	}
	folder := t.TempDir()
	t.Chdir(folder)
	if c, err := Load(""); err != nil || c.Store.Folder != filepath.Join(folder, "ringhook-data") || c.File != "" {
		t.Errorf("without a file: %v, %v", c, err)
	}
}

// A certificate's file is relative to the configuration, too.
func TestCertificateFiles(t *testing.T) {
	for _, table := range []string{"lookup", "hook"} {
		file := files(t, map[string]string{"ringhook.toml": "[[" + table + "]]\nca_file = \"ca.pem\"\ncert_file = \"/nowhere/c.pem\"\nkey_file = \"k.pem\""})
		_, err := Load(file)
		if want := "open " + filepath.Join(filepath.Dir(file), "ca.pem"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want that it says %q", table, err, want)
		}
	}
}

// TestPaths fills every key that names a file or folder: each is resolved.
func TestPaths(t *testing.T) {
	c := Default()
	c.Lookups, c.Hooks, c.AMI = make([]lookup.Config, 1), make([]hooks.Config, 1), make([]ami.Config, 1)
	paths := make(map[string]reflect.Value)
	var collect func(key string, v reflect.Value)
	collect = func(key string, v reflect.Value) {
		switch {
		case v.Kind() == reflect.Struct:
			for name, field := range fieldsOf(v) {
				collect(join(key, name), field)
			}
		case v.Kind() == reflect.Slice && v.Len() > 0 && v.Type().Elem().Kind() == reflect.Struct:
			collect(key, v.Index(0))
		case v.Kind() == reflect.String && (strings.HasSuffix(key, "_file") || strings.HasSuffix(key, "folder")):
			v.SetString("x")
			paths[key] = v
		}
	}
	collect("", reflect.ValueOf(c).Elem())
	(&report{}).resolve(c, "/base", &position{})
	for key, v := range paths {
		if v.String() != "/base/x" {
			t.Errorf("%s is %s, want /base/x", key, v)
		}
	}
	if len(paths) < 8 {
		t.Errorf("only %v found", paths)
	}
}

// A store at the place of the former rule, and none at the new one, is an error that
// names both.
func TestStoreMoved(t *testing.T) {
	file := files(t, map[string]string{"ringhook.toml": "[store]\nfolder = \"data\"", "data/phonebook.db": "", "working/data/outbox.db": ""})
	folder := filepath.Dir(file)
	t.Chdir(filepath.Join(folder, "working"))
	_, err := Load(file)
	if err == nil || !strings.Contains(err.Error(), ":2: store.folder: there is no store in "+filepath.Join(folder, "data")+", but there is one in "+filepath.Join(folder, "working/data")) {
		t.Errorf("got %v, want an error with both folders", err)
	}
	t.Chdir(folder)
	if _, err := Load(file); err != nil {
		t.Errorf("in the folder of the file: %v", err)
	}
	t.Chdir(filepath.Join(folder, "working"))
	if err := os.WriteFile(filepath.Join(folder, "data/outbox.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err != nil {
		t.Errorf("with a store at both places: %v", err)
	}
}

func TestFind(t *testing.T) {
	t.Setenv(FileVariable, "")
	installed := ""
	if _, err := os.Stat(DefaultFile); err == nil {
		installed = DefaultFile
	}
	if got := Find(""); got != installed {
		t.Errorf("without a name: %q, want %q", got, installed)
	}
	t.Setenv(FileVariable, "/absent/from/environment.toml")
	if got := Find(""); got != "/absent/from/environment.toml" {
		t.Errorf("with %s: %q", FileVariable, got)
	}
	if got := Find("named.toml"); got != "named.toml" {
		t.Errorf("with a name: %q", got)
	}
}

// TestFilesWithoutEnd checks that a pipe or a device in place of a file is an error with its path.
func TestFilesWithoutEnd(t *testing.T) {
	const text = "[[lookup]]\nname = \"crm\"\npoints = [\"queue-dial\"]\nurl = \"https://crm.example/\"\nca_file = \"/dev/zero\"\n"
	file := files(t, map[string]string{"ringhook.toml": text})
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), file+":5: lookup.ca_file: cannot be used") || !strings.Contains(err.Error(), "/dev/zero is not a regular file") {
		t.Errorf("ca_file is a device: %v", err)
	}
	more := filepath.Join(filepath.Dir(file), "conf.d")
	pipe := filepath.Join(more, "a.toml")
	if err := errors.Join(os.Mkdir(more, 0o700), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), pipe+" is not a regular file") {
		t.Errorf("a file of conf.d is a pipe: %v", err)
	}
	if _, err := StoreFolder(file); err == nil {
		t.Error("the store's folder is found")
	}
}

// TestConfD reads a configuration of several files.
func TestConfD(t *testing.T) {
	file := files(t, map[string]string{
		"ringhook.toml": `number = { country = "DE" }
[store]
folder = "data"
keep_calls = "36h"
[dialplan]
variables = { level = "text", customer_id = "int" }
[[hook]]
name = "first"
url = "https://crm.example/"
events = ["*"]
`,
		"conf.d/20-late.toml": `
store.folder = "late"
[[hook]]
name = "third"
url = "https://crm.example/"
events = ["no-such-event"]
`,
		"conf.d/10-crm.toml": `
hook = [ { name = "second", url = "https://crm.example/", events = ["*"] } ]
[dialplan.variables]
level = "word"
[[lookup]]
name = "crm"
points = ["lookup"]
url = "https://crm.example/?p=%callerid%"
`,
		"conf.d/.hidden.toml": "wrong",
		"conf.d/README":       "wrong",
	})
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	var hooks []string
	for _, h := range c.Hooks {
		hooks = append(hooks, h.Name)
	}
	if got := strings.Join(hooks, " "); got != "first second third" {
		t.Errorf("hooks: %s", got)
	}
	if len(c.Lookups) != 1 || c.Store.KeepCalls.Hours() != 36 || c.Store.Folder != filepath.Join(filepath.Dir(file), "late") {
		t.Errorf("got %+v", c)
	}
	if v := c.Dialplan.Variables; len(v) != 2 || v["level"] != "word" {
		t.Errorf("variables: %v", v)
	}
	late := filepath.Join(filepath.Dir(file), "conf.d/20-late.toml")
	if len(c.Warnings) != 1 || !strings.HasPrefix(c.Warnings[0].String(), late+":6: hook.events: no point emits") {
		t.Errorf("warnings: %v", c.Warnings)
	}
}

// The mistakes of all files are reported at once, in the order in which they are read.
func TestConfDMistakes(t *testing.T) {
	file := files(t, map[string]string{
		"ringhook.toml":     "[http]\nlisten = 5\n[[queue]]\nid = \"500\"\nname = \"a\"\n",
		"conf.d/a.toml":     "\n\n[[queue]]\nid = \"500\"\nname = \"b\"\n[http]\ncolour = \"red\"",
		"conf.d/b.toml":     "fastagi.budget = \"soon\"",
		"conf.d/c.toml.bak": "wrong",
	})
	folder := filepath.Dir(file)
	_, err := Load(file)
	want := strings.ReplaceAll(`F/ringhook.toml:2: http.listen: 5 is a number; put it in quotes: "5"
F/conf.d/a.toml:4: queue.id: "500" is already used in F/ringhook.toml:4; each needs its own
F/conf.d/a.toml:7: http.colour: unknown key; the keys here are listen, token
F/conf.d/b.toml:1: fastagi.budget: "soon" is not a duration; write a number and a unit, such as "800ms", "5s", "10m" or "24h"
4 mistakes; the file was not applied`, "F/", folder+"/")
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if err := os.WriteFile(filepath.Join(folder, "conf.d/a.toml"), []byte("[http\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "conf.d/b.toml"), []byte(strings.Repeat("#", maxSize)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(file)
	want = folder + "/conf.d/b.toml: the files of the configuration together are larger than 1048576 bytes: this is not a configuration"
	if err == nil || !strings.Contains(err.Error(), folder+"/conf.d/a.toml:1: column 6: expected") || !strings.Contains(err.Error(), want) {
		t.Errorf("got\n%v\nwant both mistakes", err)
	}
	if err := os.Chmod(filepath.Join(folder, "conf.d"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); os.Getuid() != 0 && err == nil {
		t.Error("a conf.d that cannot be read is ignored")
	}
}

// TestStoreFolderDespiteMistakes checks that the store is found also if the configuration has mistakes, as Load finds it if
// it has none.
func TestStoreFolderDespiteMistakes(t *testing.T) {
	t.Setenv("STORE", "data")
	for text, want := range map[string]string{
		"":                                        "ringhook-data",
		"[store]\nfolder = \"/srv/x\"":            "/srv/x",
		"[ store ] # here\n  folder='x' # y":      "x",
		"store.folder = \"x\"":                    "x",
		"store = { folder = \"x\" }":              "x",
		"[store]\nfolder = \"${STORE}/x\"":        "data/x",
		"[store]\nkeep_dead = 800h\nfolder=\"x\"": "x",
		"[fastagi]\nlisten = \n[store]\nfolder = \"x\"\n[[hook]]\nfolder = \"y\"": "x",
		"[store]\nfolder = x\n":                                     "ringhook-data",
		"[store]\nfolder = 5\n":                                     "ringhook-data",
		"[store]\nfolder = \"x\"\n[store.more]\nfolder = \"y\"":     "x",
		"[store]\n" + strings.Repeat("folder.", 20_000) + "x = 1\n": "ringhook-data",
	} {
		home := t.TempDir()
		file := filepath.Join(home, "ringhook.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if !filepath.IsAbs(want) {
			want = filepath.Join(home, want)
		}
		if got, err := StoreFolder(file); err != nil || got != want {
			t.Errorf("%.80q: got %s, %v, want %s", text, got, err, want)
		}
		if cfg, err := Load(file); err == nil && cfg.Store.Folder != want {
			t.Errorf("%.80q: Load has %s, want %s", text, cfg.Store.Folder, want)
		}
	}
	if got, err := StoreFolder("nowhere.toml"); err == nil {
		t.Errorf("got %s of a missing file", got)
	}
}
