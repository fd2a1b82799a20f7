package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// Shrink returns up to 200 free pages to the file system if more than a
// quarter of the file is free. used and free come from Pages. more reports
// whether it did so, and another call may free more.
func Shrink(c *Conn, used, free int64) (more bool, err error) {
	if free < 1024 || free < used/3 {
		return false, nil
	}
	err = c.All("pragma incremental_vacuum(200)", nil, func(func(...any) error) error { return nil })
	return true, err
}

// Pages returns the number of pages of the file that are in use, and of those that are free.
func Pages(c *Conn) (used, free int64, err error) {
	if _, err = c.One("pragma page_count", nil, &used); err == nil {
		_, err = c.One("pragma freelist_count", nil, &free)
	}
	return used - free, free, err
}

// FromMS returns the time of Unix milliseconds; the zero time for 0.
func FromMS(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// ToMS returns a time as Unix milliseconds; 0 for the zero time.
func ToMS(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Parts are the suffixes of the files that belong to one database.
var Parts = []string{"", "-wal", "-shm"}

// Remove deletes a file that no connection of this process has open, with its
// write-ahead log, and returns the number of bytes freed.
func Remove(path string) (freed int64, err error) {
	for _, part := range Parts {
		if info, err := os.Lstat(path + part); err == nil {
			freed += info.Size()
		}
		if gone := os.Remove(path + part); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return freed, err
}
