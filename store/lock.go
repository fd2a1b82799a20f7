package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"ringhook/store/sqlite"
)

// How the last daemon left the folder, as the lock file has it.
const (
	clean   = "clean"
	running = "running" // so it was killed, or the power was cut
	damaged = "damaged" // it found the outbox damaged
)

// lock keeps a second daemon out of the folder, and remembers how the last one
// ended. The system frees it with the process, however that ends.
type lock struct {
	f       *os.File
	before  string // how the last daemon ended, empty where there was none
	damaged atomic.Bool
}

func takeLock(folder string) (*lock, error) {
	path := filepath.Join(folder, "ringhook.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		sqlite.GiveToOwner(f)
	} else if errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("open the lock of the store: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("store %s is in use by another ringhook: stop it, or give this one a folder of its own", folder)
		}
		return nil, errors.Join(err, f.Close())
	}
	text := make([]byte, 16)
	n, _ := f.ReadAt(text, 0) // a short read is the usual case
	return &lock{f: f, before: strings.TrimSpace(string(text[:n]))}, nil
}

// mark writes how things stand, and makes sure that a power cut leaves it so.
func (l *lock) mark(state string) error {
	_, err := l.f.WriteAt([]byte(state+"\n"), 0)
	if err == nil {
		err = l.f.Truncate(int64(len(state) + 1))
	}
	if err == nil {
		err = l.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("write the lock of the store: %w", err)
	}
	return nil
}

func (l *lock) release(state string) error {
	return errors.Join(l.mark(state), l.f.Close())
}
