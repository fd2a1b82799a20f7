package httpclient

import (
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"
)

// The classes of an Error.
const (
	ClassTimeout  = "timeout"   // the deadline passed
	ClassDNS      = "dns"       // the host's name did not resolve
	ClassBlocked  = "blocked"   // the host has an address that is never connected to
	ClassConnect  = "connect"   // no connection came about
	ClassTLS      = "tls"       // the handshake went wrong, most often over a certificate
	ClassReset    = "reset"     // the server closed the connection before the first byte of a response
	ClassProtocol = "protocol"  // what came back is not HTTP, or ended in the middle
	ClassTooLarge = "too_large" // head or body of the response is over its limit
	ClassBusy     = "busy"      // every connection to the host was in use
	ClassToken    = "token"     // there is none to send the request with
	ClassRate     = "rate"      // unsent: the rate of the account allows it only after the deadline
	ClassRequest  = "request"   // the request cannot be sent by anyone: its URL or a header is wrong
)

// Classes lists every class that an Error may have, for metrics.
func Classes() []string {
	return []string{
		ClassTimeout, ClassDNS, ClassBlocked, ClassConnect, ClassTLS, ClassReset,
		ClassProtocol, ClassTooLarge, ClassBusy, ClassToken, ClassRate, ClassRequest,
	}
}

// errRate is why a request of a call is not made.
var errRate = errors.New("not sent: the rate of the account allows the request only after the time is over")

// Error is a request without a response. Its text names class, host and
// cause, and never the rest of the URL or a header, which may be secret.
type Error struct {
	Class string // one of Classes
	Host  string // with its port where the URL has one
	Sent  bool   // whether the server may have seen the request
	// Status is that of the response whose body was larger than its limit, for
	// whom the status is enough, or that of a refused token. Zero in every
	// other case.
	Status int
	Err    error
}

// Error returns what went wrong, and with which host.
func (e *Error) Error() string {
	if e.Host == "" {
		return fmt.Sprintf("%s: %v", e.Class, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Host, e.Class, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// dialError is why there is no connection.
type dialError struct {
	class string
	err   error
}

// Error returns why there is no connection.
func (e *dialError) Error() string { return e.err.Error() }

// Unwrap returns the error of the dialer.
func (e *dialError) Unwrap() error { return e.err }

// failure is an exchange that went wrong after the request was written.
type failure struct {
	class string
	text  string
	err   error
}

// Error returns what went wrong, without a byte of what the server sent.
func (f *failure) Error() string { return f.text }

// Unwrap returns the error of the connection or of fasthttp.
func (f *failure) Unwrap() error { return f.err }

// unsent classes an error before the request was written.
func unsent(host string, err error) *Error {
	e := &Error{Class: ClassConnect, Host: host, Err: err}
	var dial *dialError
	switch {
	case errors.As(err, &dial):
		e.Class = dial.class
	case errors.Is(err, errBusy):
		e.Class = ClassBusy
	}
	return e
}

// sent classes an error after the server may have seen the request.
func sent(host string, in *fasthttp.Response, err error) *Error {
	e := &Error{Class: ClassProtocol, Host: host, Sent: true, Err: err}
	var f *failure
	if errors.As(err, &f) {
		e.Class = f.class
	}
	if errors.Is(err, fasthttp.ErrBodyTooLarge) {
		e.Status = in.StatusCode()
	}
	return e
}

// bodyClass is the class of a body that cannot be decoded.
func bodyClass(err error) string {
	if errors.Is(err, fasthttp.ErrBodyTooLarge) {
		return ClassTooLarge
	}
	return ClassProtocol
}

// isTimeout reports whether a deadline was the cause.
func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}
