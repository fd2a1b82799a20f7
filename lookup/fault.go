package lookup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ringhook/httpclient"
	"ringhook/lookup/answer"
)

// The reasons of a fault beside the classes of package httpclient.
const (
	reasonStatus = "status" // neither 2xx nor one that means NOTFOUND
	reasonOpen   = "open"   // not asked: the circuit breaker is open
	reasonBusy   = httpclient.ClassBusy
	reasonClosed = "closed" // the service is shutting down
	reasonBook   = "book"   // the phonebook cannot be read
	reasonPanic  = "panic"  // a bug of ours
)

// reasons lists every reason, for the metric.
func reasons() []string {
	return append(httpclient.Classes(), reasonStatus, answer.ReasonHTML, answer.ReasonCharset, answer.ReasonSyntax, answer.ReasonType, answer.ReasonLimit, reasonOpen, reasonClosed, reasonBook, reasonPanic)
}

// fault is why a source did not answer. Its reason is one of a closed list,
// and its text never quotes the answer.
type fault struct {
	reason string
	down   bool // counts for the circuit breaker: the source fails, not only this answer
	err    error
}

// Error returns the reason and the cause.
func (f *fault) Error() string { return f.reason + ": " + f.err.Error() }

// Unwrap returns the cause.
func (f *fault) Unwrap() error { return f.err }

// harmless are the classes that do not mean that the source fails: they are ours, or of
// one customer's data.
var harmless = []string{httpclient.ClassBusy, httpclient.ClassRate, httpclient.ClassRequest, httpclient.ClassTooLarge}

// asFault returns any error of a request or of a parser as a fault.
func asFault(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	var a *answer.Error
	if errors.As(err, &a) {
		cause := a.Err
		if advice := answer.Advice(cause); advice != "" {
			cause = fmt.Errorf("%w: %s", cause, advice)
		}
		return &fault{reason: a.Reason, down: answer.IsPage(err), err: cause}
	}
	var w *httpclient.Error
	if errors.As(err, &w) {
		return &fault{reason: w.Class, down: !slices.Contains(harmless, w.Class), err: err}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &fault{reason: httpclient.ClassTimeout, err: err}
	}
	return &fault{reason: answer.ReasonSyntax, err: err}
}
