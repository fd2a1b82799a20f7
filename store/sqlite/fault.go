package sqlite

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/mattn/go-sqlite3"

	"ringhook/failpoint"
)

// ErrClosed is returned by a store that was closed.
var ErrClosed = errors.New("store is closed")

// Class says what kind of thing went wrong with a file, and is the label of a
// metric.
type Class string

// The classes.
const (
	Full    Class = "full"    // no room: of the disk, or of max_size
	IO      Class = "io"      // the disk or the file system failed
	Busy    Class = "busy"    // another process holds the file
	Corrupt Class = "corrupt" // what is in the file makes no sense
	Other   Class = "other"   // none of these: the operation itself was at fault
)

// Classes are all classes.
var Classes = []Class{Full, IO, Busy, Corrupt, Other}

// Fault is a failed operation on one of the files.
type Fault struct {
	Op    string // what was being done
	Class Class
	Err   error
}

// Error names what was being done, the class, and what SQLite said.
func (f *Fault) Error() string { return fmt.Sprintf("%s (%s): %v", f.Op, f.Class, f.Err) }

// Unwrap gives the error of SQLite.
func (f *Fault) Unwrap() error { return f.Err }

// Wrap returns err as a Fault of the operation op, and nil for nil.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Fault{Op: op, Class: ClassOf(err), Err: err}
}

// ClassOf returns the class of an error of SQLite; Other for any other error.
func ClassOf(err error) Class {
	var e sqlite3.Error
	switch {
	case errors.Is(err, failpoint.ErrInjected):
		return IO
	case errors.Is(err, ErrTampered):
		return Corrupt
	case !errors.As(err, &e):
		return Other
	case e.Code == sqlite3.ErrIoErr || e.Code == sqlite3.ErrCantOpen:
		switch e.SystemErrno {
		case syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG:
			return Full
		}
	}
	switch e.Code {
	case sqlite3.ErrFull:
		return Full
	case sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrReadonly, sqlite3.ErrNomem, sqlite3.ErrPerm:
		return IO
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrProtocol:
		return Busy
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return Corrupt
	}
	return Other
}
