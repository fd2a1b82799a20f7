//go:build !linux

package pgstore

import (
	"syscall"
	"time"
)

// setOptions does nothing: only keepalive probes notice a server that is gone.
func setOptions(string, string, syscall.RawConn) error { return nil }

// sinceBoot returns a time that passes steadily.
func sinceBoot() time.Duration { return time.Since(started) }

// started is a moment of this process.
var started = time.Now()
