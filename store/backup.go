package store

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ringhook/store/sqlite"
)

// working is the beginning of the name of the folder in which a backup is made.
const working = ".ringhook-backup-"

// Backup writes the files of a folder that must not be lost into a tar file that only
// its owner can read, and returns their names: the outbox, and the phonebook and the
// desk's file if they are there. A server may be running on the folder; each file is copied as it was at one
// moment, without delaying writers. The folder of the tar file is created if it does not
// exist. An existing file is not touched, and the file has its name only when it is
// complete.
func Backup(ctx context.Context, folder, file string) (names []string, err error) {
	if _, err := os.Lstat(file); err == nil {
		return nil, fmt.Errorf("write the backup: %s exists: remove it, or give another name", file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("create the backup's folder: %w", err)
	}
	work, done, err := workFolder(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("write the backup: %w", err)
	}
	defer func() { err = errors.Join(err, done()) }()
	for _, part := range backedUp {
		from := filepath.Join(folder, part.name)
		switch _, err := os.Stat(from); {
		case errors.Is(err, fs.ErrNotExist) && part.name != outboxFile:
			continue
		case err != nil:
			return nil, fmt.Errorf("no store in %s to back up: %w", folder, err)
		}
		if err := copyDatabase(ctx, from, filepath.Join(work, part.name), part.schema); err != nil {
			return nil, fmt.Errorf("back %s up: %w", from, err)
		}
		names = append(names, part.name)
	}
	whole := filepath.Join(work, "backup.tar")
	if err := pack(whole, work, names); err != nil {
		return nil, fmt.Errorf("write the backup: %w", err)
	}
	if err := rename(whole, file); err != nil {
		return nil, fmt.Errorf("write the backup: %w", err)
	}
	return names, syncFolder(filepath.Dir(file))
}

// workFolder creates a folder for a backup in dir, and removes those of backups that were
// killed. done removes it.
func workFolder(dir string) (work string, done func() error, err error) {
	left, err := namedLike(dir, working)
	if err != nil {
		return "", nil, err
	}
	for _, path := range left {
		if locked, err := lockFolder(path); err == nil {
			err = errors.Join(os.RemoveAll(path), locked.Close())
			if err != nil {
				return "", nil, err
			}
		}
	}
	work, err = os.MkdirTemp(dir, working)
	if err != nil {
		return "", nil, err
	}
	locked, err := lockFolder(work)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(work))
	}
	return work, func() error { return errors.Join(os.RemoveAll(work), locked.Close()) }, nil
}

// namedLike returns the paths in a folder whose names begin so. A pattern of
// filepath.Glob would take brackets in the folder's name for its own.
func namedLike(folder, beginning string) (paths []string, err error) {
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), beginning) {
			paths = append(paths, filepath.Join(folder, e.Name()))
		}
	}
	return paths, err
}

// lockFolder locks a folder until it is closed, or the process ends.
func lockFolder(path string) (*os.File, error) {
	d, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// rename renames a file unless the new name exists.
func rename(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	// Some file systems have no links.
	if _, err := os.Lstat(to); err == nil {
		return &fs.PathError{Op: "create", Path: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}

// copyDatabase copies one file as it is now. SQLite reads it in one transaction,
// which delays no writer, and writes a new file without deleted data.
func copyDatabase(ctx context.Context, from, to string, s sqlite.Schema) error {
	o := sqlite.Options{Path: from, Synchronous: "FULL", Busy: 5 * time.Second, CacheKiB: 8 << 10}.Beside()
	c, err := o.Writer()
	if err != nil {
		return err
	}
	_, err = s.Version(c)
	if err == nil && o.ReadOnly { // it would forbid to write to the copy too
		_, err = c.Exec("pragma query_only = 0")
	}
	if err == nil {
		_, err = c.ExecContext(ctx, "vacuum into ?", to)
	}
	return errors.Join(err, c.Close())
}

// pack writes files of a folder into a tar file, and makes sure that they are
// on the disk.
func pack(to, folder string, names []string) (err error) {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	for _, name := range names {
		if err := packOne(w, filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), f.Sync())
}

func packOne(w *tar.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	err = w.WriteHeader(&tar.Header{Name: filepath.Base(path), Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()})
	if err == nil {
		_, err = io.Copy(w, f)
	}
	return err
}

// syncFolder makes sure that a new name is on the disk.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
