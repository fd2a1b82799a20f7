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

// Class is the kind of an error of a file. It is the value of a metric label.
type Class string

// The classes.
const (
	Full    Class = "full"    // the disk is full, or max_size is reached
	IO      Class = "io"      // error of the disk or the file system
	Busy    Class = "busy"    // another process has locked the file
	Corrupt Class = "corrupt" // the content of the file is invalid
	Other   Class = "other"   // any other error, such as an invalid statement
)

// Classes are all classes.
var Classes = []Class{Full, IO, Busy, Corrupt, Other}

// Fault is a failed operation on one of the files.
type Fault struct {
	Op    string // the operation, such as "list deliveries"
	Class Class
	Err   error
}

// Error returns the operation, the class and the error of SQLite.
func (f *Fault) Error() string { return fmt.Sprintf("%s (%s): %v", f.Op, f.Class, f.Err) }

// Unwrap returns the error of SQLite.
func (f *Fault) Unwrap() error { return f.Err }

// Wrap returns err as a Fault of the operation op, and nil for nil.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Fault{Op: op, Class: ClassOf(err), Err: err}
}

// ClassOf returns the class of an error of SQLite or of the system; Other for any other error.
func ClassOf(err error) Class {
	var e sqlite3.Error
	switch {
	case errors.Is(err, failpoint.ErrInjected):
		return IO
	case errors.Is(err, ErrTampered):
		return Corrupt
	case !errors.As(err, &e):
		return classOfSystem(err)
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

// classOfSystem returns the class of an error of the system, such as EMFILE: it says nothing of the file's content.
func classOfSystem(err error) Class {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return Other
	}
	switch number {
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG:
		return Full
	}
	return IO
}
