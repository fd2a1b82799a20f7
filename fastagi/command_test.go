package fastagi_test

import (
	"bufio"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
)

// commandsOf reads what was sent as Asterisk would, with a buffer of that size.
func commandsOf(t *testing.T, sent string, buffer int) (commands [][]string) {
	t.Helper()
	in := bufio.NewReader(strings.NewReader(sent))
	for {
		command, err := asterisk.ReadCommand(in, buffer)
		if err != nil {
			return commands
		}
		commands = append(commands, asterisk.SplitCommand(command))
	}
}

// clean is what should arrive of a value that is not cut.
func clean(value string) string {
	return strings.Map(func(r rune) rune {
		if fastagi.Unsendable(r) {
			return -1
		}
		return r
	}, value)
}

// checkSet holds one value against Asterisk's splitting rules: one command of
// four words with the value as it was, or with its beginning.
func checkSet(t *testing.T, name, value string) {
	t.Helper()
	sent, cut, err := fastagi.AppendSet(nil, name, value)
	if err != nil {
		t.Fatal(err)
	}
	if len(sent) >= 2048 {
		t.Fatalf("%q makes a command of %d bytes", value, len(sent))
	}
	whole := clean(value)
	for _, buffer := range []int{2048, 8192} {
		got := commandsOf(t, string(sent), buffer)
		if len(got) != 1 || len(got[0]) != 4 || got[0][0] != "SET" || got[0][1] != "VARIABLE" || got[0][2] != name {
			t.Fatalf("%q becomes %q with a buffer of %d", value, got, buffer)
		}
		arrived := got[0][3]
		if !cut && arrived != whole || cut && (!strings.HasPrefix(whole, arrived) || len(sent) < 2048-utf8.UTFMax) || !utf8.ValidString(arrived) {
			t.Fatalf("%q arrives as %q, cut %v, command of %d bytes", value, arrived, cut, len(sent))
		}
	}
}

// T-QUO-01: every rune.
func TestSetEveryRune(t *testing.T) {
	var all strings.Builder
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if all.WriteRune(r); all.Len() > 900 {
			checkSet(t, "call_info", all.String())
			all.Reset()
		}
	}
	checkSet(t, "call_info", all.String())
}

// T-CMD-02.
func TestSetRandomValues(t *testing.T) {
	parts := []string{`"`, `\`, "\n", " ", "\t", "x", "é", "א\u200e", "🙂", "\xff", "\xc3", "\x00", "\u2028", "\u0085", `\"`, "${EXTEN}", "\nSET VARIABLE X \"1\"\n", ","}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var value strings.Builder
		for size := rng.IntN(3000); value.Len() < size; {
			value.WriteString(parts[rng.IntN(len(parts))])
		}
		checkSet(t, "CALLERID(name)", value.String())
	}
}

// T-CMD-02: each kind of rune across each place of the cut.
func TestSetCut(t *testing.T) {
	for _, tail := range []string{`"`, `\`, "x", "é", "א", "🙂", "\xff"} {
		for before := 1990; before < 2050; before++ {
			checkSet(t, "call_info", strings.Repeat("a", before)+strings.Repeat(tail, 20))
		}
	}
	value := strings.Repeat("x", 2047) + `SET VARIABLE X "injected"`
	if _, cut, _ := fastagi.AppendSet(nil, "call_info", value); !cut {
		t.Error("not cut")
	}
	if _, cut, _ := fastagi.AppendSet(nil, "call_info", strings.Repeat("x", 2047-len("SET VARIABLE call_info \"\"\n"))); cut {
		t.Error("cut what fits")
	}
}

func FuzzSet(f *testing.F) {
	f.Add("Muster GmbH")
	f.Add("a\"b\\c\nd\xff")
	f.Fuzz(func(t *testing.T, value string) { checkSet(t, "__call_info", value) })
}

func TestValidName(t *testing.T) {
	for _, name := range []string{"QUEUE_PRIO", "__call_info", "_x", "a1", "CALLERID(name)", "CDR(billsec)", "CHANNEL(linkedid)", "PJSIP_HEADER(add,X-Id)", "CALLERID()", strings.Repeat("a", 128)} {
		if !fastagi.ValidName(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{"", "1a", "(x)", "a b", "a\n", "a(", "a(b", "a)b", "a(b)c", "a((b)", "a(b))", "a(b c)", `a("b")`, `a\`, "${x}", "a(${x})", "é", "ＣＡＬＬＥＲＩＤ", "a{b}", "a:b", strings.Repeat("a", 129)} {
		if fastagi.ValidName(name) {
			t.Errorf("%q passes", name)
		}
		if out, _, err := fastagi.AppendSet([]byte("x"), name, "v"); err == nil || string(out) != "x" {
			t.Errorf("set %q: %q, %v", name, out, err)
		}
		if _, err := fastagi.AppendRead(nil, "f", []string{"A", name}); err == nil {
			t.Errorf("read %q: no error", name)
		}
	}
}

func TestReadCommand(t *testing.T) {
	frame := fastagi.NewFrame()
	if other := fastagi.NewFrame(); len(frame) != 16 || frame == other {
		t.Fatalf("frames %q and %q", frame, other)
	}
	sent, err := fastagi.AppendRead(nil, frame, []string{"CHANNEL(linkedid)", "DIALSTATUS"})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"GET", "FULL", "VARIABLE", "${CHANNEL(linkedid)}" + frame + "${DIALSTATUS}" + frame}}
	if got := commandsOf(t, string(sent), 2048); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %q, want %q", got, want)
	}
	names := slices.Repeat([]string{strings.Repeat("a", 50)}, 28)
	if sent, err = fastagi.AppendRead(nil, frame, names); err != nil || len(sent) > 2047 {
		t.Errorf("28 names: %d bytes, %v", len(sent), err)
	}
	if _, err = fastagi.AppendRead(nil, frame, append(names, names...)); err == nil {
		t.Error("a command beyond 2,047 bytes passes")
	}
}

// T-CMD-01: no string in the server's sources is a command that runs or
// changes anything but a variable.
func TestOnlyHarmlessCommands(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := goparser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(source, func(n ast.Node) bool { return checkLiteral(t, n) })
	}
}

func checkLiteral(t *testing.T, n ast.Node) bool {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return true
	}
	text := strings.ToUpper(strings.Trim(lit.Value, "\"`"))
	for _, word := range []string{"EXEC", "GOSUB", "DATABASE", "SET EXTENSION", "SET CONTEXT", "SET PRIORITY", "SET CALLERID", "CONTROL STREAM", "GET VARIABLE", "ASYNCAGI", "SPEECH"} {
		if strings.HasPrefix(text, word) {
			t.Errorf("string %s", lit.Value)
		}
	}
	return true
}

func BenchmarkAppendSet(b *testing.B) {
	for name, value := range map[string]string{
		"ascii":  "customer 4711, contract gold",
		"hebrew": "\u200eשרה לוי",
		"cut":    strings.Repeat("customer \"4711\" ", 400),
	} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				buf, _, _ = fastagi.AppendSet(buf[:0], "call_info", value)
			}
		})
	}
}
