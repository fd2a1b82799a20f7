package fastagi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// readEnv runs both steps over a reader and returns what is left in the stream.
func readEnv(src io.Reader) (env Env, left string, err error) {
	in := stream{src: src}
	defer in.release()
	text, err := readEnvironment(&in)
	if err == nil {
		err = parseEnvironment(text, &env)
	}
	return env, string(in.bytes()), err
}

func transcript(t testing.TB, kind, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "environment", kind, name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sample is what every valid transcript says where it says nothing special.
func sample() Env {
	return Env{
		Point: "queue-dial", Query: "queue_id=500", Channel: "PJSIP/trunk-00000001", UniqueID: "1768469400.1",
		Version: "22.10.0", CallerNum: "+15550100", CallerName: "Anna", DNID: "15550199",
		Context: "from-trunk", Extension: "500", Priority: "3",
	}
}

func TestEnvironmentValid(t *testing.T) {
	many := make([]string, 120)
	for i := range many {
		many[i] = fmt.Sprintf("v%d=%d", i, i)
	}
	for name, change := range map[string]func(e *Env){
		"asterisk22":      func(e *Env) { e.Args = []string{"linkedid=1768469400.1", "queue_id=500"} },
		"asterisk16":      func(e *Env) { e.Version, e.CallerNum, e.CallerName, e.DNID = "16.28.0~dfsg-0+deb11u4", "", "", "" },
		"no-script":       func(e *Env) { e.Point, e.Query = "", "" },
		"empty-arguments": func(e *Env) { e.Args = []string{"", "a", "", "b=c d", ""} },
		"hebrew-name":     func(e *Env) { e.CallerName = "\u200eשרה לוי\u00a0\"x\\ ${EXTEN}, 🙂" },
		"latin1-name":     func(e *Env) { e.CallerName, e.RawCallerName = "Andr\uFFFD \uFFFD Z", "Andr\xe9 \xff\xfe Z" },
		"caller-nul":      func(e *Env) { e.CallerName = "a b" },
		"caller-escape":   func(e *Env) { e.CallerName = " [2J" },
		"caller-delete":   func(e *Env) { e.CallerName = "a " },
		"caller-tab":      func(e *Env) { e.CallerName = "a b" },
		"dialled-control": func(e *Env) {
			e.DNID, e.RDNIS, e.Extension, e.Args = "50 0", "60 0", "50 0", []string{"linkedid=1768469400.1", "queue_id=500"}
		},
		"unknown-key":   func(e *Env) {},
		"colons":        func(e *Env) { e.CallerName, e.Args = ": agi_arg_1: x", []string{"time=12:30:00"} },
		"arguments-120": func(e *Env) { e.Args = many },
	} {
		text := transcript(t, "valid", name)
		want := sample()
		change(&want)
		for how, src := range map[string]io.Reader{
			"at once":      bytes.NewReader(text),
			"byte by byte": iotest.OneByteReader(bytes.NewReader(text)),
		} {
			got, left, err := readEnv(src)
			if err != nil || left != "" || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s:\ngot  %+v\nwant %+v\nleft %q, error %v", name, how, got, want, left, err)
			}
		}
	}
}

// T-ENV-02, T-ENV-03.
func TestEnvironmentInvalid(t *testing.T) {
	for name, want := range map[string]string{
		"zaf-panic":                 "line 1 is not of the form",
		"colon-only":                "line 1 is not of the form",
		"empty-value-without-blank": "line 1 is not of the form",
		"no-blank-after-colon":      "line 1 is not of the form",
		"no-colon":                  "line 1 is not of the form",
		"no-prefix":                 "line 7 is not of the form",
		"http":                      "line 1 is not of the form",
		"empty":                     "agi_threadid is missing",
		"cut-off":                   "EOF",
		"carriage-return":           "line 1 holds a control character",
		"tab":                       "line 17 holds a control character",
		"no-thread":                 "agi_threadid is missing",
		"argument-early":            "line 11 is an argument in front of agi_threadid",
		"argument-gap":              "line 24 is not argument 2",
		"argument-twice":            "line 24 is not argument 2",
		"argument-from-zero":        "line 23 is not argument 1",
		"argument-leading-zero":     "line 23 is not argument 1",
		"argument-without-number":   "line 23 is not argument 1",
		"forged-thread":             "line 24 has agi_threadid a second time",
		"forged-end":                "lines behind the blank one",
		"name-blank-line":           "agi_threadid is missing",
		"unknown-key-twice":         "line 24 has agi_future a second time",
	} {
		_, _, err := readEnv(bytes.NewReader(transcript(t, "invalid", name)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", name, err, want)
		}
	}
}

// T-ENV-03: every key, forged in front of the true line and after it, in a
// caller's name and in an argument.
func TestEnvironmentForgedKeys(t *testing.T) {
	text := string(transcript(t, "valid", "asterisk22"))
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	for _, forged := range lines {
		if forged == "" {
			continue
		}
		for at := range lines {
			broken := strings.Join(lines[:at], "") + forged + strings.Join(lines[at:], "") + "\n"
			if _, _, err := readEnv(strings.NewReader(broken)); err == nil {
				t.Errorf("forged %q as line %d: no error", forged, at+1)
			}
		}
	}
}

// T-ENV-04: what came with the environment is still there for the replies.
func TestEnvironmentKeepsWhatFollows(t *testing.T) {
	text := string(transcript(t, "valid", "asterisk22"))
	_, left, err := readEnv(strings.NewReader(text + "HANGUP\n200 result=1\n"))
	if want := "HANGUP\n200 result=1\n"; err != nil || left != want {
		t.Errorf("got %q, error %v, want %q", left, err, want)
	}
}

// T-ENV-01: the limits, and one more than each.
func TestEnvironmentLimits(t *testing.T) {
	end := "agi_threadid: 1\n"
	line := func(key string, size int) string {
		return key + ": " + strings.Repeat("x", size-len(key)-2) + "\n"
	}
	keys := func(n int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "agi_k%03d: x\n", i)
		}
		return text.String()
	}
	eight := ""
	for i := range 8 {
		eight += line(fmt.Sprintf("agi_k%d", i), 8000)
	}
	full := eight + line("agi_rest", maxEnvironment-len(eight)-len(end)-2)
	for _, c := range []struct{ name, text, want string }{
		{"line of 8192", line("agi_x", maxLine) + end, ""},
		{"line of 8193", line("agi_x", maxLine+1) + end, "line 1 is longer than 8192 bytes"},
		{"160 lines", keys(159) + end, ""},
		{"161 lines", keys(160) + end, "more than 160 lines"},
		{"64 KiB", full + end, ""},
		{"64 KiB and a byte", strings.Replace(full, "agi_rest:", "agi_rest1:", 1) + end, "longer than 65536 bytes"},
	} {
		_, left, err := readEnv(strings.NewReader(c.text + "\n"))
		if c.want == "" && (err != nil || left != "") {
			t.Errorf("%s: left %q, error %v", c.name, left, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// endless returns the same bytes endlessly and counts them.
type endless struct {
	text string
	n    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text[(e.n+n)%len(e.text):])
	}
	e.n += n
	return n, nil
}

// T-ENV-01: a stream without end is read no further than the limits.
func TestEnvironmentEndless(t *testing.T) {
	for _, text := range []string{"x", "agi_x: y", "\x00", "agi_arg_1: x\n"} {
		src := &endless{text: text}
		if _, _, err := readEnv(src); err == nil {
			t.Errorf("%q for ever: no error", text)
		}
		if src.n > 4*maxLine {
			t.Errorf("%q for ever: %d bytes were read", text, src.n)
		}
	}
}

func FuzzEnvironment(f *testing.F) {
	for _, kind := range []string{"valid", "invalid"} {
		files, err := filepath.Glob(filepath.Join("testdata", "environment", kind, "*.txt"))
		if err != nil || len(files) == 0 {
			f.Fatal("no transcripts", err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add([]byte("agi_x: \xff\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		env, left, err := readEnv(bytes.NewReader(text))
		slow, slowLeft, slowErr := readEnv(iotest.OneByteReader(bytes.NewReader(text)))
		if err != nil {
			return
		}
		if slowErr != nil || !reflect.DeepEqual(env, slow) || !strings.HasPrefix(left, slowLeft) {
			t.Fatalf("byte by byte: %+v, %v; at once: %+v", slow, slowErr, env)
		}
		if !bytes.Contains(text, []byte("agi_threadid: ")) {
			t.Fatal("accepted without agi_threadid")
		}
		for _, v := range append([]string{env.Point, env.Query, env.Channel, env.CallerName, env.CallerNum}, env.Args...) {
			if !utf8.ValidString(v) || strings.ContainsAny(v, "\x00\n\r\x1b\x7f") {
				t.Fatalf("value %q", v)
			}
		}
	})
}

func TestChannelOf(t *testing.T) {
	if got := channelOf(transcript(t, "invalid", "tab")); got != "PJSIP/trunk-00000001" {
		t.Errorf("got %q", got)
	}
	if got := channelOf([]byte("agi_channel")); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestStreamGivesErrorOfItsSource(t *testing.T) {
	want := errors.New("broken")
	in := stream{src: iotest.ErrReader(want)}
	defer in.release()
	if _, err := in.line(); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func BenchmarkEnvironment(b *testing.B) {
	text := transcript(b, "valid", "asterisk22")
	src := bytes.NewReader(text)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(text)
		in := stream{src: src}
		var env Env
		read, err := readEnvironment(&in)
		if err == nil {
			err = parseEnvironment(read, &env)
		}
		if err != nil {
			b.Fatal(err)
		}
		in.release()
	}
}
