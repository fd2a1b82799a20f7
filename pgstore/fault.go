package pgstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Class is the kind of a failure of the engine, for metrics and decisions.
type Class string

// The classes of failures.
const (
	Away  Class = "away"  // no connection, or the connection broke
	Full  Class = "full"  // the engine's disk is full
	Doubt Class = "doubt" // the engine may have stored it, perhaps on one machine only
	Other Class = "other"
)

// ErrClosed is returned by a store that was closed.
var ErrClosed = errors.New("the store is closed")

// ErrDoubt reports a commit of which it is not known whether it is stored safely.
var ErrDoubt = errors.New("the engine did not confirm the commit")

// Fault is a failed operation of the engine.
type Fault struct {
	Op    string
	Class Class
	Err   error
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("%s: %v", f.Op, f.Err) }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// wrap returns err as a Fault of an operation, and nil for nil. Errors that are faults stay what they are.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if f := (*Fault)(nil); errors.As(err, &f) || errors.Is(err, ErrClosed) {
		return err
	}
	return &Fault{Op: op, Class: classOf(err), Err: err}
}

// classOf returns the class of a failure, empty for nil.
func classOf(err error) Class {
	if err == nil {
		return ""
	}
	if f := (*Fault)(nil); errors.As(err, &f) {
		return f.Class
	}
	if errors.Is(err, ErrDoubt) {
		return Doubt
	}
	pg := (*pgconn.PgError)(nil)
	if !errors.As(err, &pg) {
		return Away
	}
	switch {
	case pg.Code == "53100":
		return Full
	case strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "57"), strings.HasPrefix(pg.Code, "53"), pg.Code == "25006":
		// Connections, shutdowns, resources, and a server that has become a standby.
		return Away
	}
	return Other
}
