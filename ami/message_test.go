package ami

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// The cases of the wire that were measured on Asterisk 16 and 22.
var wireCases = map[string]struct {
	text string
	want []Message
}{
	"stray empty line after Park":  {"Response: Success\r\n\r\n\r\nEvent: Hangup\r\n\r\n", []Message{{{"Response", "Success"}}, {{"Event", "Hangup"}}}},
	"lone LF is data":              {"Event: UserEvent\r\nx: l1\nEvent: Hangup\n\nResponse: x\r\n\r\n", []Message{{{"Event", "UserEvent"}, {"x", "l1\nEvent: Hangup\n\nResponse: x"}}}},
	"value ends in LF":             {"Event: A\r\nx: y\n\r\nb: c\r\n\r\n", []Message{{{"Event", "A"}, {"x", "y\n"}, {"b", "c"}}}},
	"line of one LF":               {"Event: A\r\n\n\r\n\r\n", []Message{{{"Event", "A"}}}},
	"value ends in CR":             {"Value: aa\r\r\n\r\n", []Message{{{"Value", "aa\r"}}}},
	"CR in the value":              {"Value: a\rb\r\n\r\n", []Message{{{"Value", "a\rb"}}}},
	"key twice":                    {"Response: Success\r\nOutput: a\r\nOutput: b\r\n\r\n", []Message{{{"Response", "Success"}, {"Output", "a"}, {"Output", "b"}}}},
	"colon in the value":           {"Message: Channel does not exist: x\r\n\r\n", []Message{{{"Message", "Channel does not exist: x"}}}},
	"one space is removed":         {"Value:   x \r\n\r\n", []Message{{{"Value", "  x "}}}},
	"empty value":                  {"Value: \r\nOther:\r\n\r\n", []Message{{{"Value", ""}, {"Other", ""}}}},
	"unusual keys":                 {"Cause-txt: x\r\nChanVariable(name): y\r\ncall_id: z\r\n\r\n", []Message{{{"Cause-txt", "x"}, {"ChanVariable(name)", "y"}, {"call_id", "z"}}}},
	"not UTF-8":                    {"Value: \xff\xc0\x8a\r\n\r\n", []Message{{{"Value", "\xff\xc0\x8a"}}}},
	"line without a colon":         {"Event: A\r\njunk\r\nb: c\r\n\r\n", []Message{{{"Event", "A"}, {"b", "c"}}}},
	"control characters and U2028": {"Value: a\vb\u0085c\u2028d\x00e\r\n\r\n", []Message{{{"Value", "a\vb\u0085c\u2028d\x00e"}}}},
}

func readAll(src io.Reader) (all []Message, skipped int, err error) {
	r := newReader(src)
	for {
		m, _, err := r.next()
		switch {
		case errors.Is(err, errTooLarge):
			skipped++
		case errors.Is(err, io.EOF):
			return all, skipped, nil
		case err != nil:
			return all, skipped, err
		default:
			all = append(all, m)
		}
	}
}

func TestReader(t *testing.T) {
	for name, c := range wireCases {
		for way, src := range map[string]io.Reader{"whole": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text))} {
			got, skipped, err := readAll(src)
			if err != nil || skipped > 0 || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s, %s: got %q (%d skipped, %v), want %q", name, way, got, skipped, err, c.want)
			}
		}
	}
}

func TestReaderLimits(t *testing.T) {
	next := "Event: Next\r\n\r\n"
	f := func(name, text string, skipped int) {
		t.Helper()
		got, n, err := readAll(strings.NewReader(text + next))
		if err != nil || n != skipped || len(got) != 2-skipped || got[len(got)-1].Event() != "Next" {
			t.Errorf("%s: %d messages, %d skipped, %v", name, len(got), n, err)
		}
	}
	f("longest line", "Value: "+strings.Repeat("x", maxLine-len("Value: "))+"\r\n\r\n", 0)
	f("too long a line", "Value: "+strings.Repeat("x", maxLine-len("Value: ")+1)+"\r\n\r\n", 1)
	f("long line of lone LF", "Value: "+strings.Repeat("\n", maxLine)+"\r\n\r\n", 1)
	f("most fields", strings.Repeat("a: b\r\n", maxFields)+"\r\n", 0)
	f("too many fields", strings.Repeat("a: b\r\n", maxFields+1)+"\r\n", 1)
	f("too many bytes", strings.Repeat("a: "+strings.Repeat("x", maxLine-3)+"\r\n", 5)+"\r\n", 1)
	if _, _, err := readAll(strings.NewReader("Event: Cut\r\nValue: x")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a message that is cut off: %v", err)
	}
}

// TestRecorded reads what Asterisk 16 and 22 sent in the lab.
func TestRecorded(t *testing.T) {
	files, err := filepath.Glob("amitest/testdata/*/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, skipped, err := readAll(strings.NewReader(string(text)))
		if err != nil || skipped > 0 || len(got) == 0 {
			t.Errorf("%s: %d messages, %d skipped, %v", file, len(got), skipped, err)
		}
		for _, m := range got {
			if m.Event() == "" && m.Response() == "" {
				t.Errorf("%s: neither an event nor a response: %q", file, m)
			}
		}
	}
}

// FuzzReader checks that the same bytes give the same messages however they arrive, that
// no message exceeds the limits, and that data never becomes a message.
func FuzzReader(f *testing.F) {
	for _, c := range wireCases {
		f.Add(c.text)
	}
	f.Add("Event: A\r\nx: " + strings.Repeat("y", 2*maxLine) + "\r\n\r\nEvent: B\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, skipped, err := readAll(strings.NewReader(text))
		slow, slowSkipped, slowErr := readAll(iotest.OneByteReader(strings.NewReader(text)))
		if !reflect.DeepEqual(got, slow) || skipped != slowSkipped || (err == nil) != (slowErr == nil) {
			t.Fatalf("%q: whole %q (%d, %v), byte by byte %q (%d, %v)", text, got, skipped, err, slow, slowSkipped, slowErr)
		}
		if most := strings.Count("\r\n"+text, "\r\n\r\n"); len(got)+skipped > most {
			t.Fatalf("%q: %d messages of at most %d", text, len(got), most)
		}
		for _, m := range got {
			for _, field := range m {
				if strings.Contains(field.Value, "\r\n") || len(field.Key)+len(field.Value) > maxLine {
					t.Fatalf("%q: field %q", text, field)
				}
			}
		}
	})
}

// BenchmarkReader reads the events of a queue call.
func BenchmarkReader(b *testing.B) {
	text, err := os.ReadFile("amitest/testdata/22/queue-call")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	events := 0
	for b.Loop() {
		all, _, err := readAll(strings.NewReader(string(text)))
		if err != nil {
			b.Fatal(err)
		}
		events += len(all)
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
