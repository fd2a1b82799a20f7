package fastagi_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/fastagi"
	"ringhook/fastagi/agitest"
	"ringhook/fastagi/asterisk"
	"ringhook/test/wait"
)

// environment is a whole one, as Asterisk 22 sends it.
func environment(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("testdata/environment/valid/asterisk22.txt")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// journal is a log that tests can read while it is written.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// bench is a server under test with its log and its metrics.
type bench struct {
	addr string
	srv  *fastagi.Server
	log  *journal
	reg  *prometheus.Registry
}

func start(t testing.TB, change func(c *fastagi.Config), handler fastagi.Handler) *bench {
	t.Helper()
	b := &bench{log: &journal{}, reg: prometheus.NewRegistry()}
	cfg := fastagi.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	b.addr, b.srv = agitest.Start(t, cfg, handler, slog.New(slog.NewTextHandler(b.log, nil)), b.reg)
	return b
}

// metric adds up a metric's series whose label value is that one, or all.
func (b *bench) metric(t testing.TB, name, label string) (sum float64) {
	t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func answer(s *fastagi.Session) { s.Reply([]fastagi.Variable{{Name: "RINGHOOK_STATUS", Value: "OK"}}) }

const answered = "SET VARIABLE RINGHOOK_STATUS \"OK\"\n"

// call plays a session and wants the answer of answer.
func call(t testing.TB, addr string) {
	t.Helper()
	got, err := asterisk.Call(wait.Context(t), addr, asterisk.CallRequest{Env: fastagi.Env{Point: "queue-dial"}})
	if err != nil || got.Status != "SUCCESS" || len(got.Set) != 1 || got.Set[0] != (fastagi.Variable{Name: "RINGHOOK_STATUS", Value: "OK"}) {
		t.Errorf("call returns %+v, %v", got, err)
	}
}

// TestStranger checks that an address that is not allowed is sent nothing, and that no handler runs (T-FAGI-01).
func TestStranger(t *testing.T) {
	t.Parallel()
	b := start(t, func(c *fastagi.Config) { c.Allow = []string{"127.9.9.0/24"} }, answer)
	if got := agitest.Dial(t, b.addr).Rest(); got != "" {
		t.Errorf("a stranger was sent %q", got)
	}
	if n := b.metric(t, "ringhook_agi_refused_total", "peer"); n != 1 {
		t.Errorf("%v refusals, want 1", n)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, 9, 9)}}
	c, err := d.Dial("tcp", b.addr)
	if err != nil {
		t.Skip("this system has one loopback address:", err)
	}
	defer c.Close()
	c.Write([]byte(environment(t)))
	got := make([]byte, len(answered))
	if _, err := c.Read(got); err != nil || string(got) != answered {
		t.Errorf("one that is allowed was sent %q, %v", got, err)
	}
	cfg := fastagi.DefaultConfig()
	if err := b.srv.Reconfigure(cfg); err != nil {
		t.Fatal(err)
	}
	call(t, b.addr)
	cfg.Allow = []string{"0.0.0.0/0"}
	if err := b.srv.Reconfigure(cfg); err == nil {
		t.Error("a bad configuration passes")
	}
	call(t, b.addr)
}

// TestBadEnvironment checks that each invalid environment is answered FAILURE and the next session is served
// (T-ENV-02).
func TestBadEnvironment(t *testing.T) {
	t.Parallel()
	b := start(t, nil, answer)
	for _, text := range []string{"a:bcdef\n\n", "\n", "agi_network: yes\n\n", "GET / HTTP/1.1\r\n\r\n", strings.Repeat("x", 100000)} {
		p := agitest.Dial(t, b.addr)
		p.Send(text)
		if got := p.Rest(); got != "FAILURE\n" {
			t.Errorf("%.20q: got %q", text, got)
		}
		p.Close()
		call(t, b.addr)
	}
	if n := b.metric(t, "ringhook_agi_refused_total", "environment"); n != 5 {
		t.Errorf("%v refusals, want 5", n)
	}
	p := agitest.Dial(t, b.addr)
	p.CloseWrite()
	if got := p.Rest(); got != "FAILURE\n" {
		t.Errorf("silent peer: got %q", got)
	}
	if n := b.metric(t, "ringhook_agi_refused_total", ""); n != 5 || strings.Count(b.log.String(), "refused") == 0 {
		t.Errorf("a silent peer is a refusal: %v, log %s", n, b.log)
	}
}

// many returns the number of connections that a test opens: n, or RINGHOOK_MANY.
func many(t *testing.T, n int) int {
	text := os.Getenv("RINGHOOK_MANY")
	if text == "" {
		return n
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("RINGHOOK_MANY is %q, want a number", text)
	}
	return n
}

// TestSlowLoris checks that connections that send a byte now and then are closed, and that a real session beside
// them is served (T-FAGI-02, F21). RINGHOOK_MANY=5000 opens that many.
func TestSlowLoris(t *testing.T) {
	t.Parallel()
	drips := many(t, 1000)
	b := start(t, nil, answer)
	peers := make([]*agitest.Peer, drips)
	for i := range peers {
		peers[i] = agitest.Dial(t, b.addr)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				for _, p := range peers[drips/3:] {
					p.Write([]byte("a"))
				}
			}
		}
	}()
	for range 20 {
		call(t, b.addr)
	}
	for _, p := range peers {
		if got := p.Rest(); got != "FAILURE\n" && got != "" {
			t.Errorf("a drip was sent %q", got)
		}
		p.Close()
	}
	close(stop)
	<-stopped
	if n := b.metric(t, "ringhook_agi_refused_total", "environment"); n != float64(drips) {
		t.Errorf("%v refusals, want %d", n, drips)
	}
	if n := strings.Count(b.log.String(), "agi session refused"); n == 0 || n > drips/10 {
		t.Errorf("%d lines in the log", n)
	}
}

// TestPanic checks that a panic ends only its own session (F38).
func TestPanic(t *testing.T) {
	t.Parallel()
	began, goOn := make(chan struct{}), make(chan struct{})
	b := start(t, nil, func(s *fastagi.Session) {
		switch s.Env().Point {
		case "panic":
			panic("out of cheese")
		case "wait":
			close(began)
			<-goOn
		}
		answer(s)
	})
	waiting := make(chan asterisk.CallResult, 1)
	go func() {
		got, _ := asterisk.Call(context.Background(), b.addr, asterisk.CallRequest{Env: fastagi.Env{Point: "wait"}})
		waiting <- got
	}()
	<-began
	got, err := asterisk.Call(context.Background(), b.addr, asterisk.CallRequest{Env: fastagi.Env{Point: "panic"}})
	if err != nil || got.Status != "FAILURE" || len(got.Set) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := asterisk.Call(context.Background(), b.addr, asterisk.CallRequest{Env: fastagi.Env{Point: "panic"}}); err != nil {
		t.Error(err)
	}
	call(t, b.addr)
	close(goOn)
	if got := <-waiting; len(got.Set) != 1 {
		t.Errorf("the session beside got %+v", got)
	}
	if n := b.metric(t, "ringhook_agi_panics_total", ""); n != 2 {
		t.Errorf("%v panics, want 2", n)
	}
	if log := b.log.String(); strings.Count(log, "out of cheese") != 1 || !strings.Contains(log, "server_test.go") {
		t.Errorf("want one panic with its stack in the log: %s", log)
	}
}

// A handler that forgets its session does not leave the call waiting.
func TestHandlerWithoutReply(t *testing.T) {
	t.Parallel()
	b := start(t, nil, func(*fastagi.Session) {})
	p := agitest.Dial(t, b.addr)
	p.Send(environment(t))
	if got := p.Rest(); got != "FAILURE\n" {
		t.Errorf("got %q", got)
	}
}

// TestMaxSessions checks that sessions above max_sessions get FAILURE, and that later ones are served (F22).
func TestMaxSessions(t *testing.T) {
	t.Parallel()
	began, goOn := make(chan struct{}), make(chan struct{})
	b := start(t, func(c *fastagi.Config) { c.MaxSessions = 2 }, func(s *fastagi.Session) {
		began <- struct{}{}
		<-goOn
		answer(s)
	})
	release := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(release) // before the server's, which waits for the sessions
	text := environment(t)
	var served []*agitest.Peer
	for range 2 {
		p := agitest.Dial(t, b.addr)
		p.Send(text)
		served = append(served, p)
		<-began
	}
	if n := b.metric(t, "ringhook_agi_sessions_active", ""); n != 2 {
		t.Errorf("%v sessions active, want 2", n)
	}
	for range 2 { // as many as may be served: a third could come before the first one's place is free
		p := agitest.Dial(t, b.addr)
		p.Send(text)
		if got := p.Rest(); got != "FAILURE\n" {
			t.Errorf("turned away with %q", got)
		}
	}
	if n := b.metric(t, "ringhook_agi_refused_total", "busy"); n != 2 {
		t.Errorf("%v refusals, want 2", n)
	}
	release()
	for _, p := range served {
		p.Expect(answered)
		p.Send("200 result=1\nHANGUP\n")
		p.CloseWrite()
		p.Rest()
	}
	for b.metric(t, "ringhook_agi_sessions_active", "") == 2 {
		runtime.Gosched()
	}
	p := agitest.Dial(t, b.addr)
	p.Send(text)
	<-began
	if got := p.Rest(); got != answered {
		t.Errorf("after the load: got %q", got)
	}
}

// TestFarAboveMaxSessions checks the limit of connections that are answered FAILURE at the same time (F22).
func TestFarAboveMaxSessions(t *testing.T) {
	t.Parallel()
	began, goOn := make(chan struct{}), make(chan struct{})
	b := start(t, func(c *fastagi.Config) { c.MaxSessions = 1 }, func(*fastagi.Session) {
		close(began)
		<-goOn
	})
	text := environment(t)
	agitest.Dial(t, b.addr).Send(text)
	<-began
	slow := agitest.Dial(t, b.addr)
	for range 3 {
		if got := agitest.Dial(t, b.addr).Rest(); got != "" {
			t.Errorf("far above the limit: got %q", got)
		}
	}
	slow.Send(text)
	if got := slow.Rest(); got != "FAILURE\n" {
		t.Errorf("turned away with %q", got)
	}
	if n := b.metric(t, "ringhook_agi_refused_total", "busy"); n != 4 {
		t.Errorf("%v refusals, want 4", n)
	}
	close(goOn)
}

func TestShutdownDrains(t *testing.T) {
	t.Parallel()
	wake := make(chan func(), 1)
	b := start(t, nil, func(s *fastagi.Session) {
		if err := s.Await(time.Now().Add(wait.Limit), func(w func()) { wake <- w }); err == nil {
			answer(s)
		}
	})
	p := agitest.Dial(t, b.addr)
	p.Send(environment(t))
	w := <-wake
	down := make(chan error, 1)
	go func() { down <- b.srv.Shutdown(context.Background()) }()
	for {
		c, err := net.Dial("tcp", b.addr)
		if err != nil {
			break
		}
		c.Close()
	}
	w()
	p.Expect(answered)
	p.Send("200 result=1\n")
	p.Close()
	if err := <-down; err != nil {
		t.Error(err)
	}
	l, err := fastagi.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.srv.Serve(l); err != nil {
		t.Errorf("serve after shutdown: %v", err)
	}
}

func TestShutdownCutsOff(t *testing.T) {
	t.Parallel()
	waiting, ended := make(chan struct{}), make(chan error, 1)
	b := start(t, nil, func(s *fastagi.Session) {
		ended <- s.Await(time.Now().Add(wait.Limit), func(func()) { close(waiting) })
	})
	p := agitest.Dial(t, b.addr)
	p.Send(environment(t))
	<-waiting
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.srv.Shutdown(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 sessions") {
		t.Errorf("got %v", err)
	}
	if err := <-ended; err == nil || errors.Is(err, fastagi.ErrDeadline) || errors.Is(err, fastagi.ErrHangup) {
		t.Errorf("await returns %v", err)
	}
	if got := p.Rest(); got != "" {
		t.Errorf("got %q", got)
	}
}

// TestHandlerHangs checks that a handler that hangs holds its call for at most its budget and two seconds.
func TestHandlerHangs(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	b := start(t, func(c *fastagi.Config) { c.Budget = time.Millisecond }, func(*fastagi.Session) { <-goOn })
	p := agitest.Dial(t, b.addr)
	p.Send(environment(t))
	if got := p.Rest(); got != "" {
		t.Errorf("got %q", got)
	}
	close(goOn)
}

// F19: a peer that falls silent after the batch.
func TestSilentAfterBatch(t *testing.T) {
	t.Parallel()
	result := make(chan error, 1)
	b := start(t, nil, func(s *fastagi.Session) {
		_, err := s.Reply([]fastagi.Variable{{Name: "A", Value: "1"}})
		result <- err
	})
	p := agitest.Dial(t, b.addr)
	p.Send(environment(t))
	if got := p.Rest(); got != "SET VARIABLE A \"1\"\n" {
		t.Errorf("got %q", got)
	}
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reply returns %v", err)
	}
}

// F20: a peer that does not read.
func TestZeroWindow(t *testing.T) {
	t.Parallel()
	vars := make([]fastagi.Variable, 4000) // 8 MB are more than any socket's buffers
	for i := range vars {
		vars[i] = fastagi.Variable{Name: "A", Value: strings.Repeat("x", 2000)}
	}
	result := make(chan error, 1)
	// The budget is long: its end closes the connection, and here the writing shall end it.
	b := start(t, func(c *fastagi.Config) { c.Budget = 20 * time.Second }, func(s *fastagi.Session) {
		_, err := s.Reply(vars)
		result <- err
	})
	p := agitest.Dial(t, b.addr)
	p.SetReadBuffer(4096)
	p.Send(environment(t))
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reply returns %v", err)
	}
}
