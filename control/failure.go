package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"ringhook/ami"
)

// Code says to programs why a command was not carried out. It is the outcome in records and metrics.
type Code string

// The codes.
const (
	OK         Code = "ok"
	BadRequest Code = "bad-request"
	SignedOut  Code = "signed-out"
	Forbidden  Code = "forbidden"
	Unknown    Code = "unknown"   // there is no such agent, queue, call
	State      Code = "state"     // not logged in, already paused, no such call now
	Static     Code = "static"    // a member from queues.conf, who cannot log out
	Connected  Code = "connected" // the caller no longer waits
	Unclear    Code = "unclear"   // several match: name one
	Repeat     Code = "repeat"
	NoPhone    Code = "phone" // this phone cannot do that
	Busy       Code = "busy"
	PBX        Code = "pbx"  // Asterisk rejected the command
	Away       Code = "away" // not connected to Asterisk
	Slow       Code = "slow" // no answer in time
	Broken     Code = "error"
)

// statuses are those of HTTP.
var statuses = map[Code]int{
	OK: http.StatusOK, BadRequest: http.StatusBadRequest, SignedOut: http.StatusUnauthorized, Forbidden: http.StatusForbidden,
	Unknown: http.StatusNotFound, State: http.StatusConflict, Static: http.StatusConflict, Connected: http.StatusConflict,
	Unclear: http.StatusConflict, Repeat: http.StatusConflict, NoPhone: http.StatusConflict, Busy: http.StatusTooManyRequests,
	PBX: http.StatusBadGateway, Away: http.StatusServiceUnavailable, Slow: http.StatusGatewayTimeout, Broken: http.StatusInternalServerError,
}

// Status returns the status of HTTP.
func (c Code) Status() int { return statuses[c] }

// Codes returns all codes of errors.
func Codes() []Code {
	return []Code{BadRequest, SignedOut, Forbidden, Unknown, State, Static, Connected, Unclear, Repeat, NoPhone, Busy, PBX, Away, Slow, Broken}
}

// Error is why a command was not carried out.
type Error struct {
	Code Code
	Text string // for people
	Err  error  // the cause, for the log; nil if Text says it all
}

// Error returns the text for people.
func (e *Error) Error() string { return e.Text }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// unsent returns the error of a question that Asterisk is asked before a command. ami.MayHaveRun is false for it, because
// the command was not sent.
func unsent(err error) error {
	if !ami.MayHaveRun(err) {
		return err
	}
	cause := errors.New(err.Error())
	if errors.Is(err, ami.ErrLost) {
		return &Error{Away, "the connection to Asterisk was lost before the command was sent", cause}
	}
	return &Error{Slow, "Asterisk did not answer in time; the command was not sent", cause}
}

// errorOf returns any error of a command as an *Error, nil for nil.
func errorOf(err error) *Error {
	var known *Error
	var rejected *ami.RejectedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &rejected):
		return &Error{PBX, "Asterisk refused: " + text(rejected.Message), err}
	case errors.Is(err, ami.ErrInvalid):
		return &Error{BadRequest, "a value has characters that Asterisk cannot take, or is too long", err}
	case errors.Is(err, ami.ErrAway):
		return &Error{Away, "not connected to Asterisk's manager interface", err}
	case errors.Is(err, ami.ErrLost):
		return &Error{Away, "the connection to Asterisk was lost; whether it ran the command is not known", err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{Slow, "Asterisk did not answer in time; whether it ran the command is not known", err}
	}
	return &Error{Broken, "failed; the log has the reason", err}
}
