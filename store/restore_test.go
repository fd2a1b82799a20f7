package store

import (
	"archive/tar"
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/store/desk"
	"ringhook/store/phonebook"
)

// backupOf makes a backup of a folder with one event, and returns its path.
func backupOf(t *testing.T, linkedid string) string {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Folder = t.TempDir()
	s, err := Open(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	keep(t, s.Journal(), testRecord(linkedid, 1, "a"))
	file := filepath.Join(t.TempDir(), "not", "there", "backup.tar")
	if _, err := Backup(t.Context(), cfg.Folder, file); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

// callsIn returns the calls of which a folder has deliveries.
func callsIn(t *testing.T, folder string) (calls []string) {
	t.Helper()
	s, err := OpenTool(folder, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := s.Operator().List(Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range list {
		calls = append(calls, item.Event.LinkedID)
	}
	return calls
}

// TestRestore restores into a folder that does not exist, and over another store, whose
// files are kept.
func TestRestore(t *testing.T) {
	first, second := backupOf(t, "1.1"), backupOf(t, "2.2")
	folder := filepath.Join(t.TempDir(), "data")
	r, err := Restore(folder, first)
	if err != nil || r.Kept != "" || strings.Join(r.Names, " ") != outboxFile+" "+phonebook.File+" "+desk.File {
		t.Fatalf("restore into a new folder: %+v, %v", r, err)
	}
	if got := callsIn(t, folder); len(got) != 1 || got[0] != "1.1" {
		t.Errorf("calls %v, want 1.1", got)
	}
	if err := os.Mkdir(filepath.Join(folder, restoring+"killed"), 0o700); err != nil {
		t.Fatal(err)
	}
	if r, err = Restore(folder, second); err != nil || r.Kept == "" {
		t.Fatalf("restore over a store: %+v, %v", r, err)
	}
	if got := callsIn(t, folder); len(got) != 1 || got[0] != "2.2" {
		t.Errorf("calls %v, want 2.2", got)
	}
	if got := callsIn(t, r.Kept); len(got) != 1 || got[0] != "1.1" {
		t.Errorf("calls kept %v, want 1.1", got)
	}
	if _, err := os.Stat(filepath.Join(r.Kept, phonebook.File)); err != nil {
		t.Errorf("the phonebook that was replaced: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, restoring+"*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestRestoreRefused wants a folder as it was when there is nothing to restore from, or a
// server runs.
func TestRestoreRefused(t *testing.T) {
	good := backupOf(t, "1.1")
	folder := filepath.Join(t.TempDir(), "data")
	if _, err := Restore(folder, good); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, text []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	archive := func(headers ...tar.Header) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range headers {
			h.Mode, h.Size = 0o600, 3
			if h.Typeflag != tar.TypeReg {
				h.Size = 0
			}
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if h.Size > 0 {
				if _, err := w.Write([]byte("abc")); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	damaged := bytes.Clone(text)
	for i := 512 + 100; i < 512+4096; i++ {
		damaged[i] ^= 0x55
	}
	for name, c := range map[string]struct{ file, want string }{
		"missing":      {filepath.Join(t.TempDir(), "none.tar"), "no such file"},
		"text":         {write("a.tar", []byte(strings.Repeat("not a tar file ", 100))), "not a backup"},
		"empty":        {write("b.tar", nil), "has no outbox.db"},
		"cut short":    {write("c.tar", text[:len(text)/2]), "not a backup"},
		"foreign name": {write("d.tar", archive(tar.Header{Name: "../outbox.db", Typeflag: tar.TypeReg})), `it has "../outbox.db"`},
		"link":         {write("e.tar", archive(tar.Header{Name: outboxFile, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})), `it has "outbox.db"`},
		"twice":        {write("f.tar", archive(tar.Header{Name: outboxFile, Typeflag: tar.TypeReg}, tar.Header{Name: outboxFile, Typeflag: tar.TypeReg})), "not a backup"},
		"no database":  {write("g.tar", archive(tar.Header{Name: outboxFile, Typeflag: tar.TypeReg})), "outbox.db of the backup"},
		"damaged":      {write("h.tar", damaged), "outbox.db of the backup"},
	} {
		if _, err := Restore(folder, c.file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	cfg := DefaultConfig()
	cfg.Folder = folder
	s, err := Open(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(folder, good); err == nil || !strings.Contains(err.Error(), "in use by another ringhook") {
		t.Errorf("beside a server: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := callsIn(t, folder); len(got) != 1 || got[0] != "1.1" {
		t.Errorf("calls %v, want 1.1", got)
	}
	for _, pattern := range []string{restoring + "*", "replaced-*"} {
		if left, _ := filepath.Glob(filepath.Join(folder, pattern)); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// TestBackupLeftovers wants a backup to remove what a killed one left, not what one
// under way has, and to leave no file of its own when it fails.
func TestBackupLeftovers(t *testing.T) {
	dir := t.TempDir()
	killed, underWay := filepath.Join(dir, working+"killed"), filepath.Join(dir, working+"running")
	for _, path := range []string{killed, underWay} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, outboxFile), []byte("names and numbers"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	locked, err := lockFolder(underWay)
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Close()
	file := filepath.Join(dir, "backup.tar")
	if _, err := Backup(t.Context(), filepath.Join(dir, "no-store"), file); err == nil {
		t.Error("a folder without a store was backed up")
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a backup that failed left a file")
	}
	if _, err := os.Stat(killed); err == nil {
		t.Error("the leftover of a killed backup is still there")
	}
	if _, err := os.Stat(underWay); err != nil {
		t.Errorf("the folder of a backup under way: %v", err)
	}
}

// TestRestoreOwner wants every file that root makes in a folder to be the folder's
// owner's: the service does not run as root and must be able to open them.
func TestRestoreOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const uid = 4573
	file := backupOf(t, "1.1")
	fresh := t.TempDir()
	if err := os.Chown(fresh, uid, uid); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(fresh, file); err != nil {
		t.Fatal(err)
	}
	again, err := Restore(fresh, file) // and what it replaced
	if err != nil || again.Root || again.Kept == "" {
		t.Fatalf("%+v, %v", again, err)
	}
	within := filepath.Join(fresh, "new", "data")
	if got, err := Restore(within, file); err != nil || got.Root {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := Restore(filepath.Join(t.TempDir(), "data"), file); err != nil || !got.Root {
		t.Errorf("nothing says that the new folder belongs to root: %+v, %v", got, err)
	}
	imported := t.TempDir()
	if err := os.Chown(imported, uid, uid); err != nil {
		t.Fatal(err)
	}
	book, err := phonebook.Make(imported)
	if err != nil {
		t.Fatal(err)
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{fresh, again.Kept, within, imported} {
		entries, err := os.ReadDir(folder)
		if err != nil || len(entries) == 0 {
			t.Fatalf("%d files, %v", len(entries), err)
		}
		for _, e := range entries {
			if owner, _ := ownerOf(filepath.Join(folder, e.Name())); owner != uid {
				t.Errorf("%s is of user %d, want %d", e.Name(), owner, uid)
			}
		}
	}
}

// TestBracketsInFolder restores, starts and backs up where a folder's name has what patterns of
// file names are made of.
func TestBracketsInFolder(t *testing.T) {
	t.Parallel()
	from := backupOf(t, "1.1")
	for _, name := range []string{"pbx[1", "pbx[1]", "pbx*"} {
		folder := filepath.Join(t.TempDir(), name)
		killed := filepath.Join(folder, restoring+"killed")
		if err := os.MkdirAll(killed, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(folder, from); err != nil {
			t.Fatalf("restore: %v", err)
		}
		if _, err := os.Stat(killed); err == nil {
			t.Errorf("%s: the leftover of a killed restore is still there", name)
		}
		cfg := DefaultConfig()
		cfg.Folder = filepath.Join(t.TempDir(), name)
		for _, cfg.Folder = range []string{cfg.Folder, folder} {
			s, err := Open(cfg, slog.New(slog.DiscardHandler), nil)
			if err != nil {
				t.Fatalf("start: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := Backup(t.Context(), folder, filepath.Join(folder, "backup.tar")); err != nil {
			t.Errorf("backup: %v", err)
		}
	}
}
