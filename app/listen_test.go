package app

import (
	"net"
	"strings"
	"testing"
)

// TestListenAGI checks that the error about a port in use says who may have it and what to do.
func TestListenAGI(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = listenAGI(l.Addr().String())
	for _, want := range []string{"[fastagi] listen", l.Addr().String(), "address already in use", "FreePBX", `listen = "127.0.0.1:4575"`, "agi://"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, err := listenAGI("192.0.2.1:1"); err == nil || strings.Contains(err.Error(), "FreePBX") {
		t.Errorf("an address of another machine: %v", err)
	}
	free, err := listenAGI("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
}
