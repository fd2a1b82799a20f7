// Package asterisk plays Asterisk's side of FastAGI, for the commands that try a
// configuration and for tests. It is no part of the server.
package asterisk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"ringhook/fastagi"
)

const hangupLine = "HANGUP\n"

// aLongTimeAgo is a deadline that has always passed.
var aLongTimeAgo = time.Unix(1, 0)

// CallRequest is one AGI() line to be played by Call.
type CallRequest struct {
	// Env is what the channel reports. Point and Query make the URL; what is
	// empty of caller and numbers is sent as "unknown".
	Env fastagi.Env
	// Variables are the channel's variables by name, and what its functions
	// give, such as CHANNEL(linkedid). Those that Env implies need not be given.
	Variables map[string]string
	// Hangup, where not nil, is closed when the caller hangs up.
	Hangup <-chan struct{}
}

// CallResult is what a session did to the channel.
type CallResult struct {
	// Set holds the variables in the order in which they were set.
	Set []fastagi.Variable
	// Status is what AGISTATUS would be: SUCCESS, FAILURE or HANGUP.
	Status string
	// Took is the time the dialplan would have waited in its AGI() line.
	Took time.Duration
}

// Call plays Asterisk's side of one session against the server at addr: it
// sends the environment line by line, runs the commands as Asterisk 16 cuts
// and splits them, and says HANGUP at the end. An error means that the session
// could not be played to its end; what was set until then is in the result.
func Call(ctx context.Context, addr string, req CallRequest) (CallResult, error) {
	begun := time.Now()
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return CallResult{Status: "FAILURE"}, fmt.Errorf("call agi: %w", err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(aLongTimeAgo) })
	defer stop()

	w := &wire{conn: c}
	ended := w.hangupOn(req.Hangup)
	defer ended()
	if err := w.sendEnvironment(addr, &req.Env); err != nil {
		return CallResult{Status: "FAILURE"}, fmt.Errorf("call agi: send environment: %w", err)
	}
	ch := NewChannel(&req)
	failed, err := w.run(ch)
	result := CallResult{Set: ch.Set, Status: "SUCCESS", Took: time.Since(begun)}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return result, fmt.Errorf("call agi: %w", err)
	}
	_ = w.send(hangupLine)
	switch {
	case failed:
		result.Status = "FAILURE"
	case w.hungup():
		result.Status = "HANGUP"
	}
	return result, nil
}

// wire is Asterisk's end of the connection, on which replies and a HANGUP may
// want to be written at once.
type wire struct {
	conn net.Conn
	mu   sync.Mutex
	gone bool // guarded by mu
}

func (w *wire) send(text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := io.WriteString(w.conn, text)
	return err
}

func (w *wire) hungup() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone
}

// hangupOn sends HANGUP as soon as the caller hangs up. The function it
// returns ends that and waits for it.
func (w *wire) hangupOn(hangup <-chan struct{}) (ended func()) {
	if hangup == nil {
		return func() {}
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-stop:
		case <-hangup:
			w.mu.Lock()
			w.gone = true
			w.mu.Unlock()
			_ = w.send(hangupLine)
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}

// sendEnvironment writes what setup_env in res_agi.c writes, a line a write.
// Asterisk leaves Nagle's algorithm on.
func (w *wire) sendEnvironment(addr string, e *fastagi.Env) error {
	if tcp, ok := w.conn.(*net.TCPConn); ok {
		tcp.SetNoDelay(false)
	}
	for _, f := range environmentLines(addr, e) {
		if err := w.send("agi_" + f.Name + ": " + f.Value + "\n"); err != nil {
			return err
		}
	}
	return w.send("\n")
}

func environmentLines(addr string, e *fastagi.Env) []fastagi.Variable {
	unknown := func(text string) string {
		if text == "" {
			return "unknown"
		}
		return text
	}
	script := e.Point
	if e.Query != "" {
		script += "?" + e.Query
	}
	kind, _, _ := strings.Cut(e.Channel, "/")
	lines := []fastagi.Variable{{Name: "network", Value: "yes"}}
	if script != "" {
		lines = append(lines, fastagi.Variable{Name: "network_script", Value: script})
	}
	lines = append(lines, []fastagi.Variable{
		{Name: "request", Value: "agi://" + addr + "/" + script},
		{Name: "channel", Value: e.Channel}, {Name: "language", Value: "en"}, {Name: "type", Value: kind},
		{Name: "uniqueid", Value: e.UniqueID}, {Name: "version", Value: e.Version},
		{Name: "callerid", Value: unknown(e.CallerNum)}, {Name: "calleridname", Value: unknown(e.CallerName)},
		{Name: "callingpres", Value: strconv.Itoa(e.CallingPres)}, {Name: "callingani2", Value: "0"}, {Name: "callington", Value: "0"}, {Name: "callingtns", Value: "0"},
		{Name: "dnid", Value: unknown(e.DNID)}, {Name: "rdnis", Value: unknown(e.RDNIS)},
		{Name: "context", Value: e.Context}, {Name: "extension", Value: e.Extension}, {Name: "priority", Value: e.Priority},
		{Name: "enhanced", Value: "0.0"}, {Name: "accountcode", Value: e.AccountCode}, {Name: "threadid", Value: "140000000000000"},
	}...)
	for i, arg := range e.Args {
		lines = append(lines, fastagi.Variable{Name: "arg_" + strconv.Itoa(i+1), Value: arg})
	}
	return lines
}

// run answers commands until the server closes its half, or says FAILURE.
func (w *wire) run(ch *Channel) (failed bool, err error) {
	in := bufio.NewReader(w.conn)
	for {
		command, err := ReadCommand(in, commandBuffer)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read command: %w", err)
		}
		if len(command) >= 7 && strings.EqualFold(command[:7], "failure") {
			return true, nil
		}
		// Asterisk goes on with the commands it has where a reply fails.
		_ = w.send(ch.Execute(command))
	}
}
