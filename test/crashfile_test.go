package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCrashFileCannotBeHad checks that ringhook serves if it cannot write the crash file.
func TestCrashFileCannotBeHad(t *testing.T) {
	t.Parallel()
	file, _, web := config(t, "")
	data := filepath.Join(filepath.Dir(file), "data")
	if err := os.MkdirAll(filepath.Join(data, "crash.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := spawn(t, file, web)
	c.stop()
	if text := c.log.String(); !strings.Contains(text, "standard error only") {
		t.Errorf("the log does not tell:\n%s", text)
	}
}
