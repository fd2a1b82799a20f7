package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadInput checks that a file is read whole or not at all, and without its byte order mark.
func TestReadInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list.csv")
	f := func(text string, limit int, want, problem string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readInput(file, limit)
		if string(got) != want || (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), file+problem) {
			t.Errorf("%q, at most %d bytes: %q, %v", text, limit, got, err)
		}
	}
	f("", 4, "", "")
	f("1234", 4, "1234", "")
	f("\xef\xbb\xbf1\r\n2", 9, "1\r\n2", "")
	f("12345", 4, "", " has more than 4 bytes")
	if _, err := readInput(file+"x", 4); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}
