package store

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ringhook/lookup"
	"ringhook/store/phonebook"
)

// TestReadOnlyFileSystem checks that reading works on a read-only file system, after an orderly stop and after a
// kill, and that the error of a write has the reason.
func TestReadOnlyFileSystem(t *testing.T) {
	for name, stop := range map[string]bool{"stopped": true, "killed": false} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			s := mustOpen(t, cfg, time.Now)
			keep(t, s.Journal(), testRecord("1.1", 1, "a"))
			s.Cache().Put(lookup.Entry{Key: "k", Number: "+1", Stored: time.Now(), Expires: time.Now().Add(time.Hour)})
			if err := s.Phonebook().Put([]lookup.Contact{{Number: "+1", Vars: []lookup.Var{{Name: "call_info", Value: "x"}}}}); err != nil {
				t.Fatal(err)
			}
			s.Journal().Trace(time.Now(), pointRecord("1.1", "101", time.Now()))
			points(t, s, "1.1", 1)
			folder := filepath.Join(t.TempDir(), "copy")
			if stop {
				mustClose(t, s)
			}
			if err := os.CopyFS(folder, os.DirFS(cfg.Folder)); err != nil {
				t.Fatal(err)
			}
			if !stop {
				mustClose(t, s)
			}
			if err := syscall.Mount(folder, folder, "", syscall.MS_BIND, ""); err != nil {
				t.Skipf("a read-only file system cannot be made here, which takes root: %v", err)
			}
			t.Cleanup(func() {
				if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
					t.Error(err)
				}
			})
			if err := syscall.Mount("", folder, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Skip(err)
			}
			tool, err := OpenTool(folder, quiet)
			if err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, tool)
			if list, err := tool.Operator().List(Filter{}); err != nil || len(list) != 1 {
				t.Errorf("list: %v, %v", list, err)
			}
			if list, err := tool.Points("1.1"); err != nil || len(list) != 1 {
				t.Errorf("points: %v, %v", list, err)
			}
			if list, err := tool.Calls("1.1"); err != nil || len(list) != 1 {
				t.Errorf("calls: %v, %v", list, err)
			}
			if list, err := tool.Cache().Show("+1"); err != nil || stop && len(list) != 1 {
				t.Errorf("cache: %v, %v", list, err)
			}
			book, err := phonebook.Open(folder)
			if err != nil {
				t.Fatal(err)
			}
			defer book.Close()
			if vars, err := book.Find("+1"); err != nil || len(vars) != 1 {
				t.Errorf("phonebook: %v, %v", vars, err)
			}
			if _, err := tool.Operator().Drop(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "readonly") {
				t.Errorf("drop: got %v", err)
			}
			if err := Scrub(folder); !errors.Is(err, syscall.EROFS) {
				t.Errorf("scrub: got %v", err)
			}
			file := filepath.Join(t.TempDir(), "backup.tar")
			if names, err := Backup(t.Context(), folder, file); err != nil || len(names) != 3 {
				t.Fatalf("backup: %v, %v", names, err)
			}
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for r := tar.NewReader(f); ; {
				h, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil || h.Size == 0 {
					t.Fatalf("%+v, %v", h, err)
				}
			}
		})
	}
}
