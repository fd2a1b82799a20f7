//go:build !linux

package pgstore

import "syscall"

// setOptions does nothing: only keepalive probes notice a server that is gone.
func setOptions(string, string, syscall.RawConn) error { return nil }
