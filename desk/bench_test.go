package desk

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/control"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/pops"
	accounts "ringhook/store/desk"
)

// BenchmarkDesk opens idle streams of agents over HTTP/1.1 without TLS, and plays calls of 200 of them at 20 a second. It
// reports the memory of an idle agent, of server and socket, and the time from an event to the pop in the client's socket.
func BenchmarkDesk(b *testing.B) {
	for _, n := range []int{200, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkDesk(b, n) })
	}
}

func benchmarkDesk(b *testing.B, n int) {
	agents := make([]dialplan.Agent, n)
	setup := pops.Setup{MaxCall: time.Hour}
	for i := range agents {
		agents[i] = dialplan.Agent{ID: fmt.Sprint(i), Phone: fmt.Sprint(10000 + i), Name: "Agent"}
		setup.Agents = append(setup.Agents, pops.Agent{ID: agents[i].ID, Phone: agents[i].Phone})
	}
	c := pops.DefaultConfig()
	c.Name, c.Events, c.Open, c.URL = "crm", []string{"agent-dial"}, string(pops.Frame), "https://crm.example/?p=%callerid%"
	rules, err := pops.Compile([]pops.Config{c})
	if err != nil {
		b.Fatal(err)
	}
	setup.Rules = rules
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	live := pops.NewLive(setup, noTrace{}, log, reg)
	defer live.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.URL, cfg.ProxyUserHeader, cfg.Proxies = "http://"+l.Addr().String(), "X-Remote-User", []string{"127.0.0.0/8"}
	stored, err := accounts.Make(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer stored.Close()
	for _, a := range agents {
		if err := stored.SetSettings(a.ID, map[string]string{"language": "he", "sound": "40"}); err != nil {
			b.Fatal(err)
		}
	}
	d, err := New(Settings{Config: cfg, Agents: agents}, Parts{Live: live, Control: control.New(log, reg), Accounts: stored}, log, reg)
	if err != nil {
		b.Fatal(err)
	}
	setup.Screen = d
	live.Exchange(setup)
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(l) }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := d.Shutdown(ctx); err != nil {
			b.Error(err)
		}
		<-ended
	}()

	before := memory()
	conns := make([]net.Conn, n)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			b.Fatal(err)
		}
		defer conns[i].Close()
		fmt.Fprintf(conns[i], "GET /v1/me/events HTTP/1.1\r\nHost: %s\r\nX-Remote-User: %d\r\n\r\n", l.Addr(), i)
		readUntil(b, conns[i], "event: lead")
	}
	b.ReportMetric(float64(memory()-before)/float64(n)/1024, "KiB/agent")

	var took []time.Duration
	for i := range b.N + 400 {
		conn, phone := conns[i%min(n, 200)], agents[i%min(n, 200)].Phone
		at := time.Now()
		live.Heard(&hooks.Event{ID: fmt.Sprint("m", i), Name: "agent-dial", LinkedID: fmt.Sprint(i), Time: at, Params: map[string]any{"agent_phone": phone, "callerid": "+4930123456", "call_uuid": fmt.Sprint(i)}}, "found")
		readUntil(b, conn, "event: pop\n")
		took = append(took, time.Since(at))
		live.Heard(&hooks.Event{ID: fmt.Sprint("h", i), Name: "call-hangup", LinkedID: fmt.Sprint(i), Time: at, Final: true, Params: map[string]any{"call_uuid": fmt.Sprint(i)}}, "found")
		time.Sleep(time.Until(at.Add(50 * time.Millisecond)))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "us-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "us-p99")
}

// memory returns what the process has from the system after a collection, in bytes.
func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// readUntil reads a stream until it has a text.
func readUntil(b *testing.B, conn net.Conn, text string) {
	b.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewReaderSize(conn, 512)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			b.Fatalf("before %q: %v", text, err)
		}
		if strings.Contains(line, strings.TrimSuffix(text, "\n")) && (text != "event: pop\n" || line == text) {
			return
		}
	}
}
