package main

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// serve runs handle for each connection on a loopback port.
func serve(t *testing.T, handle func(*net.TCPConn)) *net.TCPAddr {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			go handle(c)
		}
	}()
	return l.Addr().(*net.TCPAddr)
}

func readEnv(t *testing.T, r *bufio.Reader) map[string]string {
	env := map[string]string{}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Error("environment:", err)
			return env
		}
		if line == "\n" {
			return env
		}
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok {
			t.Errorf("environment line %q", line)
		}
		env[name] = value
	}
}

func testConfig(addr *net.TCPAddr) *config {
	return &config{
		addr: addr, script: "queue-dial?queue=500", args: []string{"500", "linkedid={uniqueid}"}, sessions: 1, concurrency: 1,
		callers: 10, timeout: 500 * time.Millisecond, envWrites: "line",
		chanVars: map[string]string{"LANG": "de"},
		expect:   []expectation{{name: "A"}, {name: "B", value: "for {callerid}", hasValue: true}},
	}
}

func TestHalfClosedBatchRunsWhole(t *testing.T) {
	for _, writes := range []string{"line", "once", "split"} {
		envs := make(chan map[string]string, 1)
		replies := make(chan string, 1)
		addr := serve(t, func(c *net.TCPConn) {
			defer c.Close()
			r := bufio.NewReader(c)
			env := readEnv(t, r)
			io.WriteString(c, "SET VARIABLE __A \"one two\"\nGET VARIABLE LANG\nSET VARIABLE B \"for "+env["agi_callerid"]+"\"\nGET VARIABLE NONE\nFROB\n")
			c.CloseWrite()
			rest, _ := io.ReadAll(r)
			envs <- env
			replies <- string(rest)
		})
		cfg := testConfig(addr)
		cfg.envWrites = writes
		w := newWorker(cfg)
		w.session(3, time.Now())
		if w.counts.ok != 1 {
			t.Fatalf("%s: %v", writes, w.counts.errors)
		}
		env := <-envs
		want := map[string]string{
			"agi_network": "yes", "agi_network_script": "queue-dial?queue=500", "agi_callerid": "+49301000003",
			"agi_request": "agi://" + addr.String() + "/queue-dial?queue=500", "agi_accountcode": "", "agi_arg_1": "500", "agi_arg_2": "linkedid=" + env["agi_uniqueid"],
		}
		for k, v := range want {
			if got, ok := env[k]; !ok || got != v {
				t.Errorf("%s: %s = %q, want %q", writes, k, got, v)
			}
		}
		if len(env) != 24 {
			t.Errorf("%s: %d environment lines", writes, len(env))
		}
		if got, want := <-replies, "200 result=1\n200 result=1 (de)\n200 result=1\n200 result=0\n510 Invalid or unknown command\nHANGUP\n"; got != want {
			t.Errorf("%s: replies %q, want %q", writes, got, want)
		}
	}
}

func TestOpenBatchStallsAfterFirst(t *testing.T) {
	first := make(chan string, 2)
	addr := serve(t, func(c *net.TCPConn) {
		defer c.Close()
		r := bufio.NewReader(c)
		readEnv(t, r)
		io.WriteString(c, "SET VARIABLE A \"1\"\nSET VARIABLE B \"2\"\n")
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				close(first)
				return
			}
			first <- line
		}
	})
	w := newWorker(testConfig(addr))
	w.session(0, time.Now())
	if w.counts.ok != 0 || w.counts.errors["wait with a command already read: timeout"] != 1 {
		t.Fatalf("want one stalled session, got ok %d, errors %v", w.counts.ok, w.counts.errors)
	}
	var got []string
	for line := range first {
		got = append(got, line)
	}
	if len(got) != 1 || got[0] != "200 result=1\n" {
		t.Errorf("replies before the stall: %q", got)
	}
}

func TestMoreDataIsAnotherWakeUp(t *testing.T) {
	addr := serve(t, func(c *net.TCPConn) {
		defer c.Close()
		r := bufio.NewReader(c)
		env := readEnv(t, r)
		io.WriteString(c, "SET VARIABLE A 1\nSET VARIABLE B \"for "+env["agi_callerid"]+"\"\n")
		r.ReadString('\n')
		io.WriteString(c, "NOOP\n") // wakes the stalled second command
		r.ReadString('\n')
		c.CloseWrite()
		io.Copy(io.Discard, r)
	})
	w := newWorker(testConfig(addr))
	w.session(0, time.Now())
	if w.counts.ok != 1 || w.counts.replies["200"] != 3 {
		t.Fatalf("ok %d, errors %v, replies %v", w.counts.ok, w.counts.errors, w.counts.replies)
	}
}

func TestWrongAnswersAreErrors(t *testing.T) {
	for name, c := range map[string]struct{ commands, want string }{
		"missing":      {"SET VARIABLE A 1\n", "variable not set: B"},
		"other caller": {"SET VARIABLE A 1\nSET VARIABLE B \"for +491\"\n", "variable has another value: B"},
		"unquoted":     {"SET VARIABLE A one two\nSET VARIABLE B 1\n", "variable not set: A"},
	} {
		addr := serve(t, func(conn *net.TCPConn) {
			defer conn.Close()
			r := bufio.NewReader(conn)
			readEnv(t, r)
			io.WriteString(conn, c.commands)
			conn.CloseWrite()
			io.Copy(io.Discard, r)
		})
		w := newWorker(testConfig(addr))
		w.session(0, time.Now())
		if w.counts.ok != 0 || w.counts.errors[c.want] != 1 {
			t.Errorf("%s: ok %d, errors %v", name, w.counts.ok, w.counts.errors)
		}
	}
}

func TestSplit(t *testing.T) {
	for in, want := range map[string][]string{
		`SET VARIABLE A "b c"`:       {"SET", "VARIABLE", "A", "b c"},
		`SET VARIABLE A "b \"c\" d"`: {"SET", "VARIABLE", "A", `b "c" d`},
		`SET VARIABLE A b\ c`:        {"SET", "VARIABLE", "A", "b c"},
		`SET VARIABLE A ""`:          {"SET", "VARIABLE", "A", ""},
		`  SET  VARIABLE	A 1 `:       {"SET", "VARIABLE", "A", "1"},
		`A "b\\c"`:                   {"A", `b\c`},
		`x"y z"w`:                    {"xy zw"},
		``:                           nil,
	} {
		got := split(in, nil)
		if strings.Join(got, "|") != strings.Join(want, "|") || len(got) != len(want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestSummarize(t *testing.T) {
	var lat []int64
	for i := 1000; i > 0; i-- {
		lat = append(lat, int64(i)*1000)
	}
	l := summarize(lat)
	if l.Min != 1 || l.P50 != 501 || l.P90 != 901 || l.P99 != 991 || l.P999 != 1000 || l.Max != 1000 {
		t.Errorf("%+v", l)
	}
}
