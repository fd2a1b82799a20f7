package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestLocate(t *testing.T) {
	text := strings.Join([]string{
		1:  `# a comment with [table] and key = "value"`,
		2:  `top = 1 # key = 2`,
		3:  `[ fastagi ] # [[x]]`,
		4:  `list = [ "a", # "b",`,
		5:  `  'c]', """d`,
		6:  `= 1 """",`,
		7:  `  { in = 1,`,
		8:  `    deep.er = [`,
		9:  `      2 ] } ]`,
		10: `"quoted \"key\"\u0021" = '''`,
		11: `[not] = "a table"`,
		12: `'''''`,
		13: `after = "\\"`,
		14: `[[hook]]`,
		15: `when.'lit.eral' . x = 2026-01-02 03:04:05`,
		16: `headers = { A = "}", "B" = '#' } # }`,
		17: `[hook.sub]`,
		18: `n = -1.5e3`,
		19: `[[hook]]`,
		20: `  [[hook.inner]]`,
		21: `  k = true`,
		22: `  [hook.inner.table]`,
		23: `  k=false`,
		24: `[a.b]`,
		25: `[a]`,
		26: ``,
	}, "\n")[1:]
	for _, ending := range []string{"\n", "\r\n"} {
		text := "\xef\xbb\xbf" + strings.ReplaceAll(text, "\n", ending)
		root := (&report{}).locate("f", text)
		var parsed map[string]any
		if _, err := toml.Decode(text, &parsed); err != nil {
			t.Fatal(err)
		}
		compare(t, "", parsed, root, 26)
		for _, c := range []struct {
			at   *position
			want int
		}{
			{root.key("top"), 2},
			{root.key("fastagi"), 3},
			{root.key("fastagi").key("list"), 4},
			{root.key("fastagi").key("list").item(0), 4},
			{root.key("fastagi").key("list").item(1), 5},
			{root.key("fastagi").key("list").item(2), 5},
			{root.key("fastagi").key("list").item(3), 7},
			{root.key("fastagi").key("list").item(3).key("in"), 7},
			{root.key("fastagi").key("list").item(3).dotted("deep.er"), 8},
			{root.key("fastagi").key("list").item(3).dotted("deep.er").item(0), 9},
			{root.key("fastagi").key(`quoted "key"!`), 10},
			{root.key("fastagi").key("after"), 13},
			{root.key("fastagi").key("absent"), 3},
			{root.key("hook").item(0), 14},
			{root.key("hook").item(0).key("when").key("lit.eral").key("x"), 15},
			{root.key("hook").item(0).dotted("headers.B"), 16},
			{root.key("hook").item(0).dotted("headers.C"), 16},
			{root.key("hook").item(0).dotted("sub.n"), 18},
			{root.key("hook").item(1), 19},
			{root.key("hook").item(1).key("inner").item(0).key("k"), 21},
			{root.key("hook").item(1).key("inner").item(0).dotted("table.k"), 23},
			{root.dotted("a.b"), 24},
			{root.key("a"), 25},
		} {
			if c.at.line != c.want {
				t.Errorf("with %q: got line %d, want %d", ending, c.at.line, c.want)
			}
		}
	}
}

// compare checks that the positions have exactly the keys and elements that the
// parser found.
func compare(t *testing.T, key string, parsed any, at *position, lines int) {
	t.Helper()
	if at.line < 1 || at.line > lines {
		t.Errorf("%s: at line %d of %d", key, at.line, lines)
	}
	switch parsed := parsed.(type) {
	case map[string]any:
		if len(parsed) != len(at.keys) {
			t.Errorf("%s: %d keys have a position, want %d", key, len(at.keys), len(parsed))
		}
		for name, v := range parsed {
			if at.keys[name] == nil {
				t.Errorf("%s: the key %q has no position", key, name)
				continue
			}
			compare(t, join(key, name), v, at.keys[name], lines)
		}
	case []map[string]any:
		if len(parsed) != len(at.items) {
			t.Fatalf("%s: %d tables have a position, want %d", key, len(at.items), len(parsed))
		}
		for i, v := range parsed {
			compare(t, key, v, at.items[i], lines)
		}
	case []any:
		if len(parsed) != len(at.items) {
			t.Fatalf("%s: %d elements have a position, want %d", key, len(at.items), len(parsed))
		}
		for i, v := range parsed {
			compare(t, key, v, at.items[i], lines)
		}
	}
}

// FuzzLocate compares the scanner with the parser: in every text within the
// limits that the parser accepts, the scanner finds the same keys.
func FuzzLocate(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.toml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add("a = [[1, {b.c = '''x\n'''''}],\n [2]] # c\n[[q.r]]\n\"s\\t\" = \"\"\"\\\n  \\\"\"\"\"\"\n[q.z]\r\n")
	f.Add("\xff\xfe\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		at := (&report{}).locate("f", text)
		if at == nil {
			return // beyond a limit
		}
		var parsed map[string]any
		if _, err := toml.Decode(text, &parsed); err != nil {
			return
		}
		compare(t, "", parsed, at, strings.Count(text, "\n")+1)
	})
}
