package ami

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
)

// TestReason checks that an Asterisk that resets each connection is logged once: the port of this side differs each time.
func TestReason(t *testing.T) {
	reset := func(port int) error {
		return fmt.Errorf("read greeting: %w", &net.OpError{
			Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: port}, Addr: &net.TCPAddr{Port: 5038}, Err: syscall.ECONNRESET,
		})
	}
	if a, b := reason(reset(40001)), reason(reset(40002)); a != b {
		t.Errorf("%q and %q are two reasons", a, b)
	}
	if a, b := reason(reset(40001)), reason(errors.New("user name or secret not accepted")); a == b {
		t.Errorf("two reasons are one: %q", a)
	}
}
