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
	"time"

	"ringhook/store/phonebook"
	"ringhook/store/sqlite"
)

// Backup writes what must not be lost of a folder into a tar file that only its
// owner can read, and gives the names of what is in it: the outbox, and the phonebook
// where there is one. A daemon may be running on the folder; each file is copied
// as it was at one moment, and writers are not kept waiting for it. A file that
// is there already is not touched.
func Backup(ctx context.Context, folder, file string) (names []string, err error) {
	// The name is taken first; what stands there until the end is empty.
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the backup: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file))
		}
	}()
	if err := f.Close(); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Dir(file), ".ringhook-backup-")
	if err != nil {
		return nil, fmt.Errorf("make the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	for _, part := range []struct {
		name   string
		schema sqlite.Schema
	}{{outboxFile, outboxSchema}, {phonebook.File, phonebook.Schema}} {
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
	if err := os.Rename(whole, file); err != nil {
		return nil, fmt.Errorf("write the backup: %w", err)
	}
	return names, syncFolder(filepath.Dir(file))
}

// copyDatabase copies one file as it is now. SQLite reads it in one transaction,
// which holds no writer up, and writes a new file without what was deleted.
func copyDatabase(ctx context.Context, from, to string, s sqlite.Schema) error {
	o := sqlite.Options{Path: from, Synchronous: "FULL", Busy: 5 * time.Second, CacheKiB: 8 << 10}
	c, err := o.Writer()
	if err != nil {
		return err
	}
	_, err = s.Version(c)
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
