// Package port finds free ports for tests that start servers.
package port

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// Free returns an address of loopback that nothing listens on. Its port is below those of outgoing
// connections, so that none of these takes it before the test does.
func Free(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprint("127.0.0.1:", 10_000+(first+next.Add(1))%20_000)
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// Test processes begin at different ports, and take one after the other.
var (
	first = rand.Int32N(20_000)
	next  atomic.Int32
)
