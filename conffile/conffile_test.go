package conffile_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ringhook/conffile"
)

// TestRead checks that only regular files of a limited size are read, also through a link, and that a pipe without a writer
// blocks nothing.
func TestRead(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	for _, err := range []error{
		os.WriteFile(at("full"), []byte("12345"), 0o600), os.WriteFile(at("empty"), nil, 0o600), os.WriteFile(at("large"), []byte("123456"), 0o600),
		os.Symlink("full", at("link")), os.Symlink("/dev/zero", at("linked device")), syscall.Mkfifo(at("pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"full": "12345", "link": "12345", "empty": ""} {
		if got, err := conffile.Read(at(name), 5); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
		if err := conffile.Check(at(name), 5); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"large": "is larger than 5 bytes", "pipe": "not a regular file", "linked device": "not a regular file", ".": "not a regular file", "missing": "no such file",
	} {
		if got, err := conffile.Read(at(name), 5); got != nil || err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), at(name)) {
			t.Errorf("%s: %q, %v, want an error with its path and %q", name, got, err, want)
		}
		if err := conffile.Check(at(name), 5); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if _, err := conffile.KeyPair(at("full"), "/dev/zero"); err == nil || !strings.Contains(err.Error(), "/dev/zero is not a regular file") {
		t.Errorf("the key is /dev/zero: %v", err)
	}
}
