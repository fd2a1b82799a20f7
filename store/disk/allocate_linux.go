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
