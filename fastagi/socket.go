package fastagi

import (
	"context"
	"fmt"
	"net"
	"time"
)

const (
	// keepAlive is the time without data after which a connection is probed.
	keepAlive = 15 * time.Second
	// ackTimeout is the maximum time for the acknowledgement of sent bytes.
	ackTimeout = 5 * time.Second
)

// conn is a connection that can end its own half, as TCP can.
type conn interface {
	net.Conn
	CloseWrite() error
}

// Listen opens the listener for Serve. On Linux accepted sockets inherit its
// options, so that they cost no system call in each session; Serve sets them.
func Listen(addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: perSocketKeepAlive}
	lc.SetMultipathTCP(false) // Asterisk speaks none, and a multipath listener has no TCP_USER_TIMEOUT
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for agi: %w", err)
	}
	return l, nil
}
