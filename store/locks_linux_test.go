package store

import (
	"io"
	"os"
	"syscall"
	"testing"
)

// TestLocksStay checks that closing a second connection of this process to an open file does not release the
// locks of the first. Another process would then be the last one and remove the write-ahead log.
func TestLocksStay(t *testing.T) {
	s := testStore(t, newClock().now)
	o := s.outboxOptions()
	second, err := o.Writer()
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	f, err := os.OpenFile(o.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// Where SQLite keeps its shared lock; asked for by the open file, so that
	// the locks of this process count too.
	const sharedFirst, sharedSize, getOFDLock = 0x40000002, 510, 36
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: sharedFirst, Len: sharedSize}
	if err := syscall.FcntlFlock(f.Fd(), getOFDLock, &lock); err != nil {
		t.Fatal(err)
	}
	if lock.Type == syscall.F_UNLCK {
		t.Error("the file is not locked any more")
	}
}
