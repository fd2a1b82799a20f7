package credentials_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ringhook/account"
	"ringhook/store/credentials"
)

// TestReadOnlyFileSystem checks that reading works on a read-only file system, and that the error of a change has the
// reason.
func TestReadOnlyFileSystem(t *testing.T) {
	folder, empty := t.TempDir(), t.TempDir()
	c, err := credentials.Make(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Save("crm", account.State{Access: "a"}), c.Close()); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{folder, empty} {
		if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
			t.Skipf("a read-only file system cannot be made here, which takes root: %v", err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Skip(err)
		}
	}
	for name, open := range map[string]func(string) (*credentials.Credentials, error){"Open": credentials.Open, "Make": credentials.Make} {
		c, err := open(folder)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if states, err := c.States(); err != nil || states["crm"].Access != "a" {
			t.Errorf("%s: %v, %v", name, states, err)
		}
		if err := c.Save("crm", account.State{}); err == nil || !strings.Contains(err.Error(), "readonly") {
			t.Errorf("%s: save: %v", name, err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := credentials.Open(empty); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open without a file: %v", err)
	}
	if _, err := credentials.Make(empty); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), credentials.File) {
		t.Errorf("Make without a file: %v", err)
	}
	if _, err := os.Stat(filepath.Join(empty, credentials.File)); err == nil {
		t.Error("a file on a read-only file system")
	}
}
