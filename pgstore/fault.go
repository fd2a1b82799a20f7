package pgstore

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Class is the kind of a failure of the engine, for metrics and decisions.
type Class string

// The classes of failures.
const (
	Away     Class = "away"     // no connection, or the connection broke
	Full     Class = "full"     // the engine's disk is full
	Doubt    Class = "doubt"    // the engine may have stored it, perhaps on one machine only
	Conflict Class = "conflict" // the engine ended the transaction because of others, or an administrator did: it may be repeated
	Crowded  Class = "crowded"  // the engine lacks memory for the transaction, such as for its locks: a smaller one may do
	Refused  Class = "refused"  // the engine refuses what is to be stored, whenever it is offered
	Other    Class = "other"
)

// ErrClosed is returned by a store that was closed.
var ErrClosed = errors.New("the store is closed")

// ErrDoubt reports a commit of which it is not known whether it is stored safely.
var ErrDoubt = errors.New("the engine did not confirm the commit")

// doubt returns err as that of a commit which the engine may have stored.
func doubt(err error) error {
	if err == nil {
		return ErrDoubt
	}
	return fmt.Errorf("%w: %w", ErrDoubt, err)
}

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

// ClassOf returns the class of a failure of a store, empty for nil.
func ClassOf(err error) Class { return classOf(err) }

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
	return classOfCode(pg.Code)
}

// codeOf returns the code of an error of the engine, empty for any other error.
func codeOf(err error) string {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// divisible reports whether parts of the transaction may succeed.
func divisible(err error) bool {
	class := classOf(err)
	return class == Refused || class == Crowded
}

// classOfCode returns the class of an error of the engine.
func classOfCode(code string) Class {
	switch code {
	case "53100":
		return Full
	case "53200":
		return Crowded
	case "08007", "40003": // the outcome of the transaction is not known
		return Doubt
	case "55P03", "57014": // a lock was not available, or the statement was cancelled
		return Conflict
	case "25006": // the server has become a standby
		return Away
	}
	switch code[:min(2, len(code))] {
	case "08", "53", "57": // connections, resources, shutdowns
		return Away
	case "21", "22", "23", "54": // values, constraints, sizes
		return Refused
	case "40": // deadlocks
		return Conflict
	}
	return Other
}
