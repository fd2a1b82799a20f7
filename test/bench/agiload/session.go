package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// readBuffer is the size of the buffer that Asterisk's stdio stream has for a
// socket: how much of a batch is taken off the socket by one read.
const readBuffer = 4096

// worker runs one session at a time, over and over.
type worker struct {
	uniqueid string
	cfg      *config
	counts   *counts
	env      []byte
	ends     []int // where each line of env ends
	rd       *bufio.Reader
	set      map[string]string
	argv     []string
	reply    []byte
	caller   string
}

func newWorker(cfg *config) *worker {
	return &worker{cfg: cfg, counts: newCounts(), rd: bufio.NewReaderSize(nil, readBuffer), set: map[string]string{}}
}

// Every session is a channel of its own, also across rounds and runs; otherwise a
// server that remembers calls takes the second for a repeat of the first.
var (
	epoch    = time.Now().Unix()
	channels atomic.Int64
)

// buildEnv lays out what Asterisk sends before the first command, in its
// order: two lines when it has connected, then the channel's, then a blank.
func (w *worker) buildEnv(n int) {
	w.caller = "+4930" + strconv.Itoa(1000000+n%w.cfg.callers)
	w.env, w.ends = w.env[:0], w.ends[:0]
	line := func(name, value string) {
		w.env = append(w.env, name...)
		w.env = append(w.env, ": "...)
		w.env = append(w.env, value...)
		w.env = append(w.env, '\n')
		w.ends = append(w.ends, len(w.env))
	}
	line("agi_network", "yes")
	if w.cfg.script != "" {
		line("agi_network_script", w.cfg.script)
	}
	line("agi_request", "agi://"+w.cfg.addr.String()+"/"+w.cfg.script)
	line("agi_channel", fmt.Sprintf("PJSIP/trunk-%08x", n))
	line("agi_language", "en")
	line("agi_type", "PJSIP")
	w.uniqueid = fmt.Sprintf("%d.%d", epoch, channels.Add(1))
	line("agi_uniqueid", w.uniqueid)
	line("agi_version", "22.10.0")
	line("agi_callerid", w.caller)
	line("agi_calleridname", "unknown")
	line("agi_callingpres", "0")
	line("agi_callingani2", "0")
	line("agi_callington", "0")
	line("agi_callingtns", "0")
	line("agi_dnid", "4930555500")
	line("agi_rdnis", "unknown")
	line("agi_context", "from-trunk")
	line("agi_extension", "500")
	line("agi_priority", "3")
	line("agi_enhanced", "0.0")
	line("agi_accountcode", "")
	line("agi_threadid", strconv.Itoa(139900000000000+n))
	for i, a := range w.cfg.args {
		line("agi_arg_"+strconv.Itoa(i+1), strings.ReplaceAll(a, "{uniqueid}", w.uniqueid))
	}
	w.env = append(w.env, '\n')
	w.ends = append(w.ends, len(w.env))
}

func dial(cfg *config, n int) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: cfg.timeout, KeepAlive: -1}
	if cfg.sources > 0 && cfg.addr.IP.To4() != nil {
		k := n % cfg.sources
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 1, byte(k/250), byte(k%250+1))}
		d.Control = func(_, _ string, rc syscall.RawConn) error {
			const ipBindAddressNoPort = 24 // pick the port at connect, so that ports are shared between targets
			var serr error
			err := rc.Control(func(fd uintptr) {
				serr = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
			})
			return errors.Join(err, serr)
		}
	}
	c, err := d.DialContext(context.Background(), "tcp", cfg.addr.String())
	if err != nil {
		return nil, err
	}
	tc := c.(*net.TCPConn)
	return tc, tc.SetNoDelay(false) // Asterisk leaves Nagle's algorithm on
}

func (w *worker) sendEnv(c *net.TCPConn) error {
	switch w.cfg.envWrites {
	case "once":
		_, err := c.Write(w.env)
		return err
	case "split":
		cut := w.ends[len(w.ends)/2] + 3
		if _, err := c.Write(w.env[:cut]); err != nil {
			return err
		}
		_, err := c.Write(w.env[cut:])
		return err
	}
	from := 0
	for _, to := range w.ends {
		if _, err := c.Write(w.env[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// session runs one AGI session and counts how it went. Latency runs from
// start to the moment the connection is closed.
func (w *worker) session(n int, start time.Time) {
	w.buildEnv(n)
	reset, err := w.exchange(n)
	took := time.Since(start)
	if reset {
		w.counts.resets++
	}
	if err == nil {
		err = w.check()
	}
	for name, value := range w.set {
		v := w.counts.variables[name]
		if v == nil {
			v = &variable{Sample: value}
			w.counts.variables[name] = v
		}
		v.Sessions++
	}
	if err != nil {
		w.counts.errors[kind(err)]++
		return
	}
	w.counts.ok++
	w.counts.lat = append(w.counts.lat, int64(took))
}

// exchange is the session itself. reset says that the server ended it with a
// reset rather than a close; Asterisk takes both as the end of the script.
func (w *worker) exchange(n int) (reset bool, err error) {
	clear(w.set)
	c, err := dial(w.cfg, n)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(w.cfg.timeout))
	if err := w.sendEnv(c); err != nil {
		return false, fmt.Errorf("send environment: %w", err)
	}
	rc, err := c.SyscallConn()
	if err != nil {
		return false, err
	}
	w.rd.Reset(c)
	for {
		// Asterisk polls the socket before each command and does not look
		// into what its stream has buffered. With nothing buffered, the read
		// below waits for the same thing, so only this case needs a poll.
		if w.rd.Buffered() > 0 {
			if err := waitReadable(rc); err != nil {
				return false, fmt.Errorf("wait with a command already read: %w", err)
			}
		}
		line, rerr := w.rd.ReadSlice('\n')
		if rerr != nil && rerr != io.EOF {
			if errors.Is(rerr, syscall.ECONNRESET) {
				reset, rerr = true, io.EOF
			} else {
				return false, fmt.Errorf("read command: %w", rerr)
			}
		}
		if len(line) == 0 && rerr == io.EOF {
			break
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		w.reply = w.command(string(line), w.reply[:0])
		// A failed write does not end the script in Asterisk: it goes on with
		// the commands it has. So a server that closed early still sets its
		// variables, and only a timeout is a failure here.
		if _, werr := c.Write(w.reply); werr != nil && errors.Is(werr, os.ErrDeadlineExceeded) {
			return reset, fmt.Errorf("send reply: %w", werr)
		}
	}
	c.Write(hangup) // as Asterisk does at the end of every FastAGI script
	return reset, nil
}

var hangup = []byte("HANGUP\n")

// waitReadable returns when the socket polls readable: bytes are waiting, or
// the other side has closed or half-closed. It takes nothing off the socket.
func waitReadable(rc syscall.RawConn) error {
	var one [1]byte
	return rc.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
}

// command answers one command line the way Asterisk does and appends the
// reply to out.
func (w *worker) command(line string, out []byte) []byte {
	w.argv = split(line, w.argv[:0])
	a := w.argv
	is := func(words ...string) bool {
		if len(a) < len(words) {
			return false
		}
		for i, word := range words {
			if !strings.EqualFold(a[i], word) {
				return false
			}
		}
		return true
	}
	code, rest := "200", "result=0"
	switch {
	case is("set", "variable"):
		if len(a) != 4 {
			code = "520"
			break
		}
		// One or two underscores in front make a variable inherited, and are
		// no part of its name.
		w.set[strings.TrimPrefix(strings.TrimPrefix(a[2], "_"), "_")] = a[3]
		rest = "result=1"
	case is("get", "variable"):
		if len(a) != 3 {
			code = "520"
			break
		}
		if v, ok := w.lookup(a[2]); ok {
			rest = "result=1 (" + v + ")"
		}
	case is("get", "full", "variable"):
		if len(a) != 4 && len(a) != 5 {
			code = "520"
			break
		}
		rest = "result=1 (" + w.expand(a[3]) + ")"
	case is("verbose"), is("hangup"), is("set", "callerid"), is("database", "put"), is("database", "del"):
		rest = "result=1"
	case is("channel", "status"):
		rest = "result=6"
	case is("noop"), is("answer"), is("exec"), is("set", "context"), is("set", "extension"), is("set", "priority"),
		is("set", "music"), is("set", "autohangup"), is("database", "get"), is("database", "deltree"):
	default:
		code, rest = "510", "Invalid or unknown command"
	}
	w.counts.replies[code]++
	if code == "520" {
		return append(out, "520-Invalid command syntax.  Proper usage follows:\nUsage: see the command's documentation\n520 End of proper usage.\n"...)
	}
	out = append(out, code...)
	out = append(out, ' ')
	out = append(out, rest...)
	return append(out, '\n')
}

// expand puts the values of channel variables in place of every ${NAME},
// as GET FULL VARIABLE does; an unknown one becomes nothing.
func (w *worker) expand(text string) string {
	var out strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			break
		}
		j := strings.IndexByte(text[i:], '}')
		if j < 0 {
			break
		}
		out.WriteString(text[:i])
		v, _ := w.lookup(text[i+2 : i+j])
		out.WriteString(v)
		text = text[i+j+1:]
	}
	out.WriteString(text)
	return out.String()
}

func (w *worker) lookup(name string) (string, bool) {
	switch name {
	case "CHANNEL(linkedid)", "CHANNEL(uniqueid)", "UNIQUEID":
		return w.uniqueid, true
	case "CALLERID(num)":
		return w.caller, true
	}
	if v, ok := w.set[name]; ok {
		return v, true
	}
	v, ok := w.cfg.chanVars[name]
	return v, ok
}

// split cuts a command line into words by the rules that AGI has: blanks
// separate words, double quotes keep blanks, and a backslash makes the next
// byte ordinary. An empty pair of quotes is a word of its own.
func split(line string, argv []string) []string {
	var word []byte
	inWord, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch ch := line[i]; {
		case ch == '\\' && i+1 < len(line):
			i++
			word, inWord = append(word, line[i]), true
		case ch == '\\':
		case ch == '"':
			quoted = !quoted
			inWord = inWord || quoted
		case (ch == ' ' || ch == '\t') && !quoted:
			if inWord {
				argv, word, inWord = append(argv, string(word)), word[:0], false
			}
		default:
			word, inWord = append(word, ch), true
		}
	}
	if inWord {
		argv = append(argv, string(word))
	}
	return argv
}

// check says which expected variable is missing or wrong, if any.
func (w *worker) check() error {
	for _, e := range w.cfg.expect {
		got, ok := w.set[e.name]
		if !ok {
			return missing{e.name}
		}
		if e.hasValue && got != strings.ReplaceAll(e.value, "{callerid}", w.caller) {
			return wrong{e.name}
		}
	}
	return nil
}

type missing struct{ name string }

// Error names the variable.
func (m missing) Error() string { return "variable not set: " + m.name }

type wrong struct{ name string }

// Error names the variable.
func (m wrong) Error() string { return "variable has another value: " + m.name }

// kind groups errors under a few names.
func kind(err error) string {
	var what string
	switch {
	case errors.As(err, new(missing)), errors.As(err, new(wrong)):
		return err.Error()
	case errors.Is(err, os.ErrDeadlineExceeded):
		what = "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		what = "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		what = "reset"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		what = "out of local ports"
	case errors.Is(err, bufio.ErrBufferFull):
		what = "command longer than 4096 bytes"
	default:
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			what = "timeout"
		} else {
			return err.Error()
		}
	}
	if stage, _, found := strings.Cut(err.Error(), ":"); found {
		return stage + ": " + what
	}
	return what
}
