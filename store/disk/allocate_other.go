//go:build !linux

package store

import "os"

// allocate takes room of the disk for a file.
func allocate(f *os.File, size int64) error { return fill(f, size) }
