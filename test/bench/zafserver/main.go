// Command zafserver is a bare FastAGI server on zaf/agi, as its own example
// has it: three constants, each set when the reply to the one before has come.
// Benchmarks hold ringhook against it.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"

	"github.com/zaf/agi"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:4573", "address to listen on")
	flag.Parse()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "zafserver:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "zafserver: on", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "zafserver:", err)
			os.Exit(1)
		}
		go serve(c)
	}
}

func serve(c net.Conn) {
	defer c.Close()
	session := agi.New()
	if err := session.Init(bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c))); err != nil {
		return
	}
	for _, v := range [][2]string{
		{"CALLERID(name)", "Muster GmbH"},
		{"QUEUE_PRIO", "10"},
		{"call_info", "customer 4711, contract gold"},
	} {
		if _, err := session.SetVariable(v[0], v[1]); err != nil {
			return
		}
	}
}
