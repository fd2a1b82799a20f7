package fastagi

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// perSocketKeepAlive is none: the listener's options are inherited.
const perSocketKeepAlive = -1

// tcpUserTimeout is TCP_USER_TIMEOUT (linux/tcp.h), which syscall lacks.
const tcpUserTimeout = 18

// setOptions lets the kernel notice a peer that is gone: keepalive probes
// while a session waits, and a limit for unacknowledged data.
func setOptions(l net.Listener) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	options := []struct{ level, name, value int }{
		{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, int(keepAlive / time.Second)},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, int(keepAlive / time.Second)},
		{syscall.IPPROTO_TCP, tcpUserTimeout, int(ackTimeout / time.Millisecond)},
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for _, o := range options {
			failed = errors.Join(failed, syscall.SetsockoptInt(int(fd), o.level, o.name, o.value))
		}
	})
	return errors.Join(err, failed)
}
