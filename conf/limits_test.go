package conf

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// large returns texts of about this size, each of which is expensive in its own way.
func large(size int) map[string]string {
	fill := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			if strings.Contains(format, "%") {
				fmt.Fprintf(&b, format, i)
			} else {
				b.WriteString(format)
			}
		}
		return b.String()
	}
	name := strings.Repeat("n", size/2)
	return map[string]string{
		"dotted key":              fill("a.") + "a = 1",
		"dotted table":            "[" + fill("a.") + "a]",
		"dotted list of tables":   "[[" + fill("a.") + "a]]",
		"dotted key, inline":      "x = { " + fill("a.") + "a = 1 }",
		"quoted dotted key":       fill(`"a".`) + "a = 1",
		"nested lists":            "a = " + fill("["),
		"nested lists, closed":    "a = " + strings.Repeat("[", size/2) + strings.Repeat("]", size/2),
		"nested tables":           fill("a = {"),
		"nested both":             "a = " + fill("[{a = "),
		"long table, short keys":  "[" + name + "]\n" + fill("a%d=1\n")[:size/2],
		"table, dotted keys":      "[" + strings.Repeat("n.", 25) + "n]\n" + fill("a%d.b.c.d.e=1\n"),
		"long keys":               fill(strings.Repeat("n", 1000) + "%d=1\n"),
		"long quoted key":         `"` + name + `" = 1`,
		"long text":               `a = "` + name + `"`,
		"long text without end":   `a = """` + name,
		"many keys":               fill("k%d=1\n"),
		"many tables":             fill("[t%d]\n"),
		"many hooks":              fill("[[hook]]\n")[:min(size, 9*maxRoomTables)],
		"more hooks":              fill("[[hook]]\n"),
		"many hooks with presets": fill("[[hook]]\npreset='sipsim'\n")[:min(size, 25*maxRoomTables/4)/25*25],
		"many lookups":            fill("[[lookup]]\n"),
		"many agents":             fill("[[agent]]\nid='%d'\n"),
		"many elements":           "a = [" + fill("1,") + "]",
		"many lists":              "a = [" + fill("[],") + "]",
		"many inline tables":      "a = [" + fill("{},") + "]",
		"many references":         "a = ['" + fill("${A}','") + "']",
		"references in one text":  "[http]\nlisten = '" + fill("${A}")[:min(size, maxText-8)/4*4] + "'",
		"unknown events":          "[[hook]]\nname='h'\nurl='http://h/'\nevents=[" + fill("'e%d',") + "]",
		"words":                   "[[hook]]\nname='h'\n[hook.words]\n" + fill("w%d={a='b'}\n"),
		"comments":                fill("# a\n"),
		"quotes":                  fill("'"),
		"double quotes":           fill(`"`),
		"escapes":                 `a = "` + fill(`\`),
		"brackets":                fill("]"),
		"dots":                    fill("."),
		"equals":                  fill("="),
		"returns":                 fill("\r"),
	}
}

// TestMemory reads files that are expensive to parse: none takes more memory than a
// large configuration needs. A dotted key of 20 kB used to take 1.4 GB.
func TestMemory(t *testing.T) {
	const most = raceFactor * 400 << 20 // allocated in all, of which most is free again at once
	for _, size := range []int{20_000, 300_000} {
		for name, text := range large(size) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Parse("f.toml", []byte(text), func(string) (string, bool) { return "s3cret", true })
			runtime.ReadMemStats(&after)
			used := after.TotalAlloc - before.TotalAlloc
			t.Logf("%-24s %7d bytes: %4d MB %.100v", name, len(text), used>>20, err)
			if used > most {
				t.Errorf("%s, %d bytes: %d MB allocated", name, len(text), used>>20)
			}
			if err != nil && len(err.Error()) > 3*maxSize {
				t.Errorf("%s: the message has %d bytes", name, len(err.Error()))
			}
		}
	}
}
