package store

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"ringhook/store/desk"
	"ringhook/store/phonebook"
	"ringhook/store/sqlite"
)

// backedUp are the files of a backup.
var backedUp = []struct {
	name   string
	schema sqlite.Schema
}{{outboxFile, outboxSchema}, {phonebook.File, phonebook.Schema}, {desk.File, desk.Schema}}

// restoring is the beginning of the name of the folder in which a restore prepares files.
const restoring = ".ringhook-restore-"

// replacedMark is the beginning of the name of the folder with what a restore replaced.
const replacedMark = "replaced-"

// Restored is what Restore did.
type Restored struct {
	Names []string // of the files restored
	Kept  string   // the folder with the files that were replaced, empty if there were none
	Root  bool     // root has created the folder, and owns it and the files
}

// Restore puts the files of a backup into folder, which it creates if it does not
// exist. It refuses while a server has the folder open, and a file that is not a
// backup of this or an older ringhook. Nothing is replaced before all of the
// backup was read, checked and synced; the files that it replaces are moved to a
// folder of their own. Files of the folder that the backup does not have stay.
func Restore(folder, file string) (r Restored, err error) {
	f, err := os.Open(file)
	if err != nil {
		return r, fmt.Errorf("read the backup: %w", err)
	}
	defer f.Close()
	made, err := makeFolder(folder)
	if err != nil {
		return r, fmt.Errorf("create the store's folder: %w", err)
	}
	if owner, ok := ownerOf(folder); made && ok && owner == 0 {
		r.Root = true
	}
	lock, err := takeLock(folder)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, lock.f.Close()) }()
	// A restore that was killed leaves its folder.
	left, err := namedLike(folder, restoring)
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	if err != nil {
		return r, err
	}
	work, err := os.MkdirTemp(folder, restoring)
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if r.Names, err = unpack(f, work); err != nil {
		return Restored{}, fmt.Errorf("%s is not a backup of ringhook: %w", file, err)
	}
	for _, part := range backedUp {
		if err := checkBackup(filepath.Join(work, part.name), part.schema); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Restored{}, fmt.Errorf("%s of the backup: %w", part.name, err)
		}
	}
	if err := takeOwner(work, folder, r.Names); err != nil {
		return Restored{}, fmt.Errorf("give the files to the owner of %s: %w", folder, err)
	}
	r.Kept, err = replace(folder, work, r.Names)
	return r, err
}

// makeFolder creates a folder if it does not exist, with its parents. What root creates gets the owner of the folder
// around it.
func makeFolder(path string) (made bool, err error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if _, err := makeFolder(filepath.Dir(path)); err != nil {
		return false, err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return false, err
	}
	d, err := os.Open(path)
	if err != nil {
		return true, err
	}
	sqlite.GiveToOwner(d)
	return true, d.Close()
}

// unpack extracts the files of a backup into a folder, and returns their names.
func unpack(from io.Reader, folder string) (names []string, err error) {
	known := func(name string) bool {
		for _, part := range backedUp {
			if part.name == name {
				return true
			}
		}
		return false
	}
	r := tar.NewReader(from)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg || !known(h.Name) {
			return nil, fmt.Errorf("it has %q", h.Name)
		}
		if err := unpackOne(r, filepath.Join(folder, h.Name)); err != nil {
			return nil, err
		}
		names = append(names, h.Name)
	}
	if _, err := os.Stat(filepath.Join(folder, outboxFile)); err != nil {
		return nil, fmt.Errorf("it has no %s", outboxFile)
	}
	return names, nil
}

func unpackOne(from io.Reader, path string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // a name that comes twice is refused
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(f, from); err != nil {
		return err
	}
	return f.Sync()
}

// checkBackup reports why ringhook could not use a file, and whether SQLite finds it damaged.
func checkBackup(path string, s sqlite.Schema) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	o := sqlite.Options{Path: path, Synchronous: "FULL", Busy: Wait, CacheKiB: 8 << 10}
	c, err := o.Writer()
	if err != nil {
		return err
	}
	version, err := s.Version(c)
	if err == nil && version == 0 {
		err = errors.New("it is empty")
	}
	if err == nil {
		var found string
		if _, err = c.One("pragma quick_check(1)", nil, &found); err == nil && found != "ok" {
			err = fmt.Errorf("it is damaged: %s", found)
		}
	}
	return errors.Join(err, c.Close())
}

// takeOwner changes the owner of the files to that of the folder if root restores them
// for a service that runs as another user.
func takeOwner(work, folder string, names []string) error {
	info, err := os.Stat(folder)
	owner, ok := info.Sys().(*syscall.Stat_t)
	if err != nil || !ok || os.Geteuid() != 0 {
		return err
	}
	for _, name := range names {
		if err := os.Lchown(filepath.Join(work, name), int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// replace moves the named files of a folder aside, with their write-ahead logs, and those
// of work into their places. If that fails, what was moved is moved back.
func replace(folder, work string, names []string) (kept string, err error) {
	kept = filepath.Join(folder, replacedMark+time.Now().UTC().Format("20060102T150405.000Z"))
	made, err := makeFolder(kept)
	if err == nil && !made {
		err = &fs.PathError{Op: "create", Path: kept, Err: fs.ErrExist}
	}
	if err != nil {
		return "", err
	}
	var undo []func() error
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				err = errors.Join(err, undo[i]())
			}
			kept = ""
		}
	}()
	undo = append(undo, func() error { return os.Remove(kept) })
	move := func(from, to string) error {
		err := os.Rename(from, to)
		if err == nil {
			undo = append(undo, func() error { return os.Rename(to, from) })
		}
		return err
	}
	moved := false
	for _, name := range names {
		foldLog(filepath.Join(folder, name))
		// The log goes first: SQLite would apply it to another file of this name.
		for _, part := range []string{"-shm", "-wal"} {
			if err := move(filepath.Join(folder, name+part), filepath.Join(kept, name+part)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
		// A second name, so that a file is in its place at every moment, also if this process is killed.
		old, second := filepath.Join(folder, name), filepath.Join(kept, name)
		err := os.Link(old, second)
		if err == nil {
			undo = append(undo, func() error { return errors.Join(os.Rename(second, old), os.RemoveAll(second)) })
		} else if !errors.Is(err, fs.ErrNotExist) {
			err = move(old, second) // some file systems have no links
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		moved = moved || err == nil
		if err := move(filepath.Join(work, name), filepath.Join(folder, name)); err != nil {
			return "", err
		}
	}
	if !moved {
		if err := os.Remove(kept); err != nil {
			return "", err
		}
		kept = ""
	}
	return kept, syncFolder(folder)
}

// foldLog writes what a file's write-ahead log holds into the file, so that the file is
// whole without it. One that cannot be read is left as it is.
func foldLog(path string) {
	if _, err := os.Stat(path); err != nil {
		return
	}
	o := sqlite.Options{Path: path, Synchronous: "FULL", Busy: Wait, CacheKiB: 8 << 10}
	if c, err := o.Writer(); err == nil {
		_, _ = c.Exec("pragma wal_checkpoint(truncate)") // the file may be why there is a restore
		_ = c.Close()
	}
}
