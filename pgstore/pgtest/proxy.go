package pgtest

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is what a proxy does to connections.
type Fault int

// The faults of a network.
const (
	Well     Fault = iota
	Cut            // connections end, and new ones are refused
	Silent         // nothing arrives on either side
	OneWay         // what the client sends arrives, and no answer does
	Trickles       // a few bytes arrive each second
)

// String is the fault's name.
func (f Fault) String() string {
	return [...]string{"well", "cut", "silent", "one-way", "trickling"}[f]
}

// Proxy stands between a server and its clients.
type Proxy struct {
	folder, server string
	listener       net.Listener

	mu      sync.Mutex
	fault   Fault
	changed chan struct{} // closed when the fault changes
	conns   map[net.Conn]bool
}

// socket is the name of a server's socket in its folder.
const socket = ".s.PGSQL.5432"

// NewProxy starts a proxy, which lasts as long as the test.
func (s *Server) NewProxy(t testing.TB) *Proxy {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "ringhook-proxy-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{folder: folder, server: filepath.Join(s.folder, socket), changed: make(chan struct{}), conns: map[net.Conn]bool{}}
	if p.listener, err = net.Listen("unix", filepath.Join(folder, socket)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Set(Cut)
		p.listener.Close()
		os.RemoveAll(folder)
	})
	go p.accept()
	return p
}

// DSN returns the address of a database by the proxy instead of the server.
func (p *Proxy) DSN(dsn string) string {
	return strings.Replace(dsn, filepath.Dir(p.server), p.folder, 1)
}

// Set begins a fault, or ends it. Connections that were silent are reset then, as by a router that has forgotten them.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.fault
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
	if f == Cut || before != Well && before != Trickles {
		for c := range p.conns {
			c.Close()
		}
	}
}

func (p *Proxy) now() (f Fault, changed chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if f, _ := p.now(); f == Cut {
			client.Close()
			continue
		}
		server, err := net.Dial("unix", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		var both sync.WaitGroup
		both.Go(func() { p.copy(server, client, OneWay) })
		both.Go(func() { p.copy(client, server, Well) })
		go func() {
			both.Wait()
			p.mu.Lock()
			delete(p.conns, client)
			delete(p.conns, server)
			p.mu.Unlock()
		}()
	}
}

// trickle is the time between two bytes of a connection that trickles.
const trickle = 20 * time.Millisecond

// copy passes bytes on until either side ends. passes is the fault that does not concern this direction.
func (p *Proxy) copy(to, from net.Conn, passes Fault) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		for sent := 0; sent < n; {
			part := buffer[sent:n]
			switch f, changed := p.now(); {
			case f == Silent, f == OneWay && passes != OneWay:
				<-changed
				continue
			case f == Trickles:
				part = part[:1]
				time.Sleep(trickle)
			}
			if _, err := to.Write(part); err != nil {
				return
			}
			sent += len(part)
		}
		if err != nil {
			return
		}
	}
}
