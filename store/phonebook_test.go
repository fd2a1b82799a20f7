package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ringhook/store/phonebook"
	"ringhook/store/sqlite"
)

// A damaged phonebook is reported and left as it is.
func TestPhonebookRefused(t *testing.T) {
	cfg := testConfig(t)
	if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.Folder, phonebook.File)
	rubbish := strings.Repeat("no phonebook\n", 1000)
	if err := os.WriteFile(path, []byte(rubbish), 0o600); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, cfg, time.Now)
	defer mustClose(t, s)
	var f *sqlite.Fault
	if _, err := s.Phonebook().Find("+1"); !errors.As(err, &f) || f.Class != sqlite.Corrupt {
		t.Errorf("got %v, want a fault of class %s", err, sqlite.Corrupt)
	}
	if left, err := os.ReadFile(path); err != nil || string(left) != rubbish {
		t.Errorf("the damaged file was changed (%v)", err)
	}
}
