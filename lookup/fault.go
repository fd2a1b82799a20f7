package lookup

import (
	"context"
	"errors"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
)

// The reasons of a fault beside the classes of package httpclient.
const (
	reasonStatus = "status" // neither 2xx nor one that means nobody
	reasonOpen   = "open"   // not asked, because it keeps failing
	reasonBusy   = httpclient.ClassBusy
	reasonClosed = "closed" // the service is shutting down
	reasonBook   = "book"   // the phonebook cannot be read
	reasonPanic  = "panic"  // a bug of ours
)

// reasons lists every reason, for the metric.
func reasons() []string {
	return append(httpclient.Classes(), reasonStatus, answer.ReasonHTML, answer.ReasonCharset, answer.ReasonSyntax, answer.ReasonType, answer.ReasonLimit, reasonOpen, reasonClosed, reasonBook, reasonPanic)
}

// fault is why a source gave no answer. Its reason is one of a closed list,
// and its text never quotes what the source wrote.
type fault struct {
	reason string
	down   bool // the source is unwell, and not only this answer
	err    error
}

// Error gives the reason and what is behind it.
func (f *fault) Error() string { return f.reason + ": " + f.err.Error() }

// Unwrap gives what is behind the reason.
func (f *fault) Unwrap() error { return f.err }

// asFault gives any error of a request or of a parser as a fault.
func asFault(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	var a *answer.Error
	if errors.As(err, &a) {
		return &fault{reason: a.Reason, down: answer.IsPage(err), err: a.Err}
	}
	var w *httpclient.Error
	if errors.As(err, &w) {
		return &fault{reason: w.Class, down: w.Class != httpclient.ClassBusy && w.Class != httpclient.ClassRequest, err: err}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &fault{reason: httpclient.ClassTimeout, err: err}
	}
	return &fault{reason: answer.ReasonSyntax, err: err}
}
