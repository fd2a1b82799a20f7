package dialplan_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"ringhook/dialplan"
	"ringhook/fastagi/agitest"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/store"
	"ringhook/test/wait"
)

// works are the kinds of sessions of docs/performance.md that can be counted without a receiver. allocs is the maximum
// number of allocations of one session, beside those of both ends of its connection, and a few more: with a hook, sessions
// share commits as it happens. A change that needs more raises it, and says in its commit what it buys with them.
var works = []struct {
	name   string
	point  string
	args   string
	hook   bool // for agent-dial
	allocs float64
}{
	{"neither lookup nor hook", "call-dial", "linkedid={id} server=pbx", false, 82},
	{"cached lookup", "queue-dial", "queue_id=500 linkedid={id} server=pbx visit= ring= recording_file= queue_status=", false, 130},
	{"cached lookup, hook for another event", "queue-dial", "queue_id=500 linkedid={id} server=pbx visit= ring= recording_file= queue_status=", true, 190},
	{"cached lookup and one hook", "agent-dial", "agent_phone=101 linkedid={id} server=pbx visit= ring=", true, 246},
}

// TestAllocations keeps the allocations of a session from rising unnoticed: they and the garbage collection that follows
// them are a sixth of a session's processor time. With the race detector some conversions allocate more.
func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates by itself")
	}
	bare := allocations(t, bareServer(t), "call-dial", "linkedid={id}")
	for _, w := range works {
		t.Run(w.name, func(t *testing.T) {
			got := allocations(t, sessionServer(t, w.hook), w.point, w.args) - bare
			if t.Logf("%v allocations", got); got > w.allocs {
				t.Errorf("%v allocations of a session, want at most %v", got, w.allocs)
			}
		})
	}
}

func allocations(t *testing.T, addr, point, args string) float64 {
	t.Helper()
	a := newAsterisk(point, args)
	for range 50 { // what is made once
		a.call(t, addr)
	}
	return testing.AllocsPerRun(400, func() { a.call(t, addr) })
}

// BenchmarkWhole measures whole sessions, with the store, up to the commit. Allocations are those of both sides.
func BenchmarkWhole(b *testing.B) {
	for _, w := range works {
		b.Run(w.name, func(b *testing.B) {
			addr := sessionServer(b, w.hook)
			a := newAsterisk(w.point, w.args)
			b.ReportAllocs()
			for b.Loop() {
				a.call(b, addr)
			}
		})
	}
}

// sessionServer serves the dialplan with a lookup, and with a hook for agent-dial or none. The hook delivers nothing: its
// receiver would allocate too.
func sessionServer(t testing.TB, hooked bool) string {
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	cfg := store.DefaultConfig()
	cfg.Folder, cfg.Synchronous, cfg.MaxSize = filepath.Join(t.TempDir(), "data"), "normal", 64<<20
	files, err := store.Open(cfg, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := files.Close(); err != nil {
			t.Error(err)
		}
	})
	crm := lookup.DefaultConfig()
	crm.Name, crm.Points, crm.URL, crm.Cache = "crm", []string{"queue-dial", "agent-dial"}, serveCRM(t)+"/who?phone=%callerid%", time.Hour
	lookups, err := lookup.New([]lookup.Config{crm}, files.Cache(), lookup.Own{}, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lookups.Close(wait.Context(t)); err != nil {
			t.Error(err)
		}
	})
	var configured []hooks.Config
	if hooked {
		hook := hooks.DefaultConfig()
		hook.Name, hook.Events, hook.URL = "journal", []string{"agent-dial"}, hooks.Addresses{"http://127.0.0.1:1/"}
		configured = append(configured, hook)
	}
	dispatcher, err := hooks.New(configured, files.Outbox(), log, reg)
	if err != nil {
		t.Fatal(err)
	}
	parts := dialplan.Parts{Hooks: dispatcher, Lookups: lookups, Numbers: number.NewReader(number.Config{Country: "DE", Language: "en"})}
	settings := dialplan.Settings{Budget: wait.Limit, Dialplan: dialplan.DefaultConfig()}
	d := dialplan.New(settings, parts, files.Journal(), log, reg)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if err := dispatcher.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return agitest.Serve(t, d.Serve)
}

func serveCRM(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/x-www-form-urlencoded")
		ctx.SetBodyString("CALLERID(name)=Muster+GmbH&QUEUE_PRIO=10&call_info=customer+4711%2C+contract+gold")
	}}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(), <-ended); err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// bareServer reads an environment, ends, and does nothing else.
func bareServer(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 4096)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(buf)
			_ = c.(*net.TCPConn).CloseWrite()
			for err == nil {
				_, err = c.Read(buf)
			}
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return l.Addr().String()
}

// cheapAsterisk plays sessions, each of a call of its own and all of one caller, with as few allocations as it can.
type cheapAsterisk struct {
	env string // with {id} for that of the call
	buf []byte
}

func newAsterisk(point, args string) *cheapAsterisk {
	env := "agi_network: yes\nagi_network_script: " + point + "\nagi_request: agi://127.0.0.1/" + point + "\nagi_channel: PJSIP/trunk-00000001\n" +
		"agi_language: en\nagi_type: PJSIP\nagi_uniqueid: {id}\nagi_version: 22.1.0\nagi_callerid: 03012345678\nagi_calleridname: Anna\n" +
		"agi_callingpres: 0\nagi_callingani2: 0\nagi_callington: 0\nagi_callingtns: 0\nagi_dnid: 500\nagi_rdnis: unknown\nagi_context: in\n" +
		"agi_extension: 500\nagi_priority: 1\nagi_enhanced: 0.0\nagi_accountcode: \nagi_threadid: 140000000000000\n"
	for i, arg := range strings.Fields(args) {
		env += fmt.Sprintf("agi_arg_%d: %s\n", i+1, arg)
	}
	return &cheapAsterisk{env: env + "\n", buf: make([]byte, 4096)}
}

// ids makes different calls of one test run.
var ids int

func (a *cheapAsterisk) call(t testing.TB, addr string) {
	ids++
	text := strings.ReplaceAll(a.env, "{id}", fmt.Sprint("1795738300.", ids))
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	n := 0
	for err == nil {
		var got int
		got, err = c.Read(a.buf[n:])
		n += got
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for range strings.Count(string(a.buf[:n]), "\n") {
		_, _ = io.WriteString(c, "200 result=1\n")
	}
	_, _ = io.WriteString(c, "HANGUP\n")
}
