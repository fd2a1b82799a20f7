package app

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"ringhook/fastagi"
)

// listenAGI opens the port of [fastagi]. If another program has it, the error says which that may be and
// what to do.
func listenAGI(addr string) (net.Listener, error) {
	l, err := fastagi.Listen(addr)
	switch {
	case err == nil:
		return l, nil
	case !errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("[fastagi] listen: %w", err)
	}
	return nil, fmt.Errorf("[fastagi] listen: %w; `ss -ltnp` shows the program: FreePBX has a FastAGI server of its own on 127.0.0.1:4573, "+
		`or another ringhook runs. Set listen = "127.0.0.1:4575", and the same port in the agi:// addresses of the dialplan`, err)
}
