// Package disk reserves room on the file system for data that cannot be rebuilt.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
)

// The reserve is a 64th of max_size, within these bounds, in bytes. The least is
// what the write-ahead log takes between two checkpoints.
const (
	reserveLeast = 4 << 20
	reserveMost  = 64 << 20
)

// Reserve is a file that reserves room on the disk. It is released when the disk is full,
// so that results of deliveries can be written and old rows removed. It is taken again
// when there is room.
type Reserve struct {
	path string
	size int64
	held atomic.Bool
}

// NewReserve returns the reserve of a folder whose files may take maxSize bytes
// each. It is not taken yet.
func NewReserve(folder string, maxSize int64) *Reserve {
	return &Reserve{path: filepath.Join(folder, "outbox.reserve"), size: min(max(maxSize/64, reserveLeast), reserveMost)}
}

// Release deletes the file, and reports whether the reserve was held.
func (r *Reserve) Release() (bool, error) {
	if !r.held.Swap(false) {
		return false, nil
	}
	return true, os.Remove(r.path)
}

// Take creates the file if it is missing. It needs as much free room again, so that a
// reserve that was just released is not taken and released over and over.
func (r *Reserve) Take() error {
	if info, err := os.Lstat(r.path); err == nil && info.Mode().IsRegular() && info.Size() == r.size {
		r.held.Store(true)
		return nil
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	if err = allocate(f, 2*r.size); err == nil {
		err = f.Truncate(r.size)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		if gone := os.Remove(r.path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return fmt.Errorf("reserve %d bytes of the disk: %w", r.size, err)
	}
	r.held.Store(true)
	return nil
}

// Held reports whether the reserve is taken.
func (r *Reserve) Held() bool { return r.held.Load() }

// Size is the size of the reserve in bytes.
func (r *Reserve) Size() int64 { return r.size }

// Path is the file.
func (r *Reserve) Path() string { return r.path }

// fill takes room where the file system cannot allocate it.
func fill(f *os.File, size int64) error {
	_, err := io.CopyN(f, zeros{}, size)
	return err
}

type zeros struct{}

// Read implements io.Reader: it never ends.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
