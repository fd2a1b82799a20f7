package disk

import (
	"errors"
	"os"
	"syscall"
)

// allocate takes room of the disk for a file.
func allocate(f *os.File, size int64) error {
	err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, syscall.EOPNOTSUPP) {
		return fill(f, size)
	}
	return err
}

// free returns the number of bytes of the folder's file system that this user can still take.
func free(folder string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: folder, Err: err}
	}
	return int64(min(s.Bavail, 1<<40)) * s.Bsize, nil
}
