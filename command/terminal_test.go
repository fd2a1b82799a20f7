package command

import (
	"io"
	"os"
	"testing"
)

// TestTerminal checks that nothing that is written to a terminal takes it over, also if a character comes in two parts, and that
// files get what is written.
func TestTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"a\x1b[31mb\u202ec\u009b2J\n\tz": `a\x1b[31mb\u202ec\u009b2J` + "\n\tz", "Zoë 日本\r\n": "Zoë 日本\r\n", "bad\xff\rover": `bad\xff\rover`, "": "", "\u200f": `\u200f`,
	} {
		if got := string(escaped([]byte(text))); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if safe(w) != io.Writer(w) {
			t.Error("a pipe is treated as a terminal")
		}
		out := &terminal{File: w}
		for i := range len(text) {
			if n, err := out.Write([]byte{text[i]}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if text != "Zoë 日本\r\n" && (err != nil || string(got) != want) { // its \r came without the \n
			t.Errorf("%q by bytes: got %q, %v, want %q", text, got, err, want)
		}
	}
}
