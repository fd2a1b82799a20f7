// Package wait has the one limit of all tests that wait for something. It is far longer than anything
// takes on a slow and busy machine, so that no test depends on speed.
package wait

import (
	"context"
	"testing"
	"time"
)

// Limit is the time after which a test that waits for something fails.
const Limit = 10 * time.Minute

// every is the time between two looks.
const every = 5 * time.Millisecond

// Until returns after done reports true. If that takes longer than Limit, it fails the test with a
// message, in the form of t.Fatalf.
func Until(t testing.TB, done func() bool, format string, args ...any) {
	t.Helper()
	limit := time.Now().Add(Limit)
	for !done() {
		if time.Now().After(limit) {
			t.Fatalf(format, args...)
		}
		time.Sleep(every)
	}
}

// Context returns a context that ends after Limit, and with the test.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	t.Cleanup(cancel)
	return ctx
}
