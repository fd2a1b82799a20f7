package fastagi_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"ringhook/fastagi"
	"ringhook/fastagi/agitest"
)

// play is one session from Asterisk's side, as cheap as it can be made.
func play(b *testing.B, addr, environment string, replies, buf []byte) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, environment)
	for {
		if _, err := c.Read(buf); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			b.Fatal(err)
		}
	}
	c.Write(replies)
}

// BenchmarkSession is a whole session over loopback with three variables set;
// allocations are those of both sides.
func BenchmarkSession(b *testing.B) {
	vars := []fastagi.Variable{{Name: "CALLERID(name)", Value: "Muster GmbH"}, {Name: "QUEUE_PRIO", Value: "10"}, {Name: "call_info", Value: "customer 4711, contract gold"}}
	replies := []byte("200 result=1\n200 result=1\n200 result=1\nHANGUP\n")
	text := environment(b)
	b.Run("fastagi", func(b *testing.B) {
		addr := agitest.Serve(b, func(s *fastagi.Session) {
			if _, err := s.Reply(vars); err != nil {
				b.Error(err)
			}
		})
		buf := make([]byte, 4096)
		b.ReportAllocs()
		for b.Loop() {
			play(b, addr, text, replies, buf)
		}
	})
	// What remains when nothing is parsed, escaped or checked.
	b.Run("bare", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					buf := make([]byte, 2048)
					c.Read(buf)
					io.WriteString(c, "SET VARIABLE CALLERID(name) \"Muster GmbH\"\nSET VARIABLE QUEUE_PRIO \"10\"\nSET VARIABLE call_info \"customer 4711, contract gold\"\n")
					c.(*net.TCPConn).CloseWrite()
					for {
						if _, err := c.Read(buf); err != nil {
							break
						}
					}
					c.Close()
				}()
			}
		}()
		buf := make([]byte, 4096)
		b.ReportAllocs()
		for b.Loop() {
			play(b, l.Addr().String(), text, replies, buf)
		}
	})
}

// BenchmarkWaiting measures the memory of a session that waits for a lookup,
// without the kernel's share and with the peer's few bytes.
func BenchmarkWaiting(b *testing.B) {
	const sessions = 1000
	text := environment(b)
	for b.Loop() {
		wakes := make(chan func(), sessions)
		addr := agitest.Serve(b, func(s *fastagi.Session) {
			if s.Await(time.Now().Add(time.Minute), func(w func()) { wakes <- w }) == nil {
				answer(s)
			}
		})
		peers := make([]*agitest.Peer, sessions)
		before := inUse()
		for i := range peers {
			peers[i] = agitest.Dial(b, addr)
			peers[i].Send(text)
		}
		kept := make([]func(), sessions)
		for i := range kept {
			kept[i] = <-wakes
		}
		b.ReportMetric(float64(inUse()-before)/sessions, "B/session")
		for _, wake := range kept {
			wake()
		}
		for _, p := range peers {
			p.Rest()
			p.Close()
		}
	}
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
