package pgstore

import (
	"errors"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tcpUserTimeout is TCP_USER_TIMEOUT (linux/tcp.h), which syscall lacks.
const tcpUserTimeout = 18

// setOptions bounds the time for which sent data may stay without acknowledgement. It is a net.Dialer's Control.
func setOptions(network, _ string, raw syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(silence/time.Millisecond))
	})
	return errors.Join(err, failed)
}

// sinceBoot returns the time since the machine was started, with the time for which it was suspended, which the
// monotonic clock of a time.Time lacks.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Since(started)
	}
	return time.Duration(t.Nano())
}

// started is a moment of this process.
var started = time.Now()
