//go:build !linux

package fastagi

import "net"

// perSocketKeepAlive is set on each accepted socket if none is inherited.
const perSocketKeepAlive = keepAlive

func setOptions(net.Listener) error { return nil }
