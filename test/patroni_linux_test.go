package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ringhook/test/wait"
)

// patroni is the cluster of contrib/cluster/loopback.
type patroni struct {
	t      *testing.T
	folder string
	cmd    *exec.Cmd
	dsn    string // as the script prints it
}

const loopback = "../contrib/cluster/loopback"

// start starts the script and returns when it has printed the dsn.
func (p *patroni) start() {
	p.t.Helper()
	p.cmd = exec.Command(loopback, p.folder)
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if dsn, ok := strings.CutPrefix(lines.Text(), `dsn = "`); ok {
			p.dsn = strings.TrimSuffix(dsn, `"`)
			go io.Copy(io.Discard, out) // what else it prints
			return
		}
	}
	p.t.Fatalf("%s ended with %v", loopback, p.cmd.Wait())
}

// stop ends all machines.
func (p *patroni) stop() {
	if p.cmd.Process.Signal(syscall.SIGTERM) == nil {
		p.cmd.Wait()
	}
}

// ctl runs patronictl.
func (p *patroni) ctl(args ...string) (out string) {
	p.t.Helper()
	ctx, end := context.WithTimeout(p.t.Context(), time.Minute)
	defer end()
	cmd := exec.CommandContext(ctx, "patronictl", append([]string{"-c", filepath.Join(p.folder, "db1", "patroni.yml")}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+p.folder)
	text, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("patronictl %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	return string(text)
}

// whole waits until a leader, a synchronous standby and a replica run, and returns the first two.
func (p *patroni) whole() (leader, standby string) {
	p.t.Helper()
	var out string
	wait.Until(p.t, func() bool {
		leader, standby = "", ""
		running := 0
		out = p.ctl("list", "-f", "tsv")
		for line := range strings.Lines(out) {
			if f := strings.Split(line, "\t"); len(f) > 4 {
				switch f[3] {
				case "Leader":
					leader = f[1]
				case "Sync Standby":
					standby = f[1]
				}
				if f[4] == "running" || f[4] == "streaming" {
					running++
				}
			}
		}
		return leader != "" && standby != "" && running == 3
	}, "the machines of Patroni do not run:\n%s", out)
	return leader, standby
}

// kill kills what runs on a machine.
func (p *patroni) kill(machine string) {
	p.t.Helper()
	for _, file := range []string{"patroni.pid", "etcd.pid", "data/postmaster.pid"} {
		text, err := os.ReadFile(filepath.Join(p.folder, machine, file))
		if err != nil {
			p.t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		pid, err := strconv.Atoi(first)
		if err != nil {
			p.t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			p.t.Fatalf("%s of %s: %v", file, machine, err)
		}
	}
}

// again starts a machine that was killed.
func (p *patroni) again(machine string) {
	p.t.Helper()
	if out, err := exec.Command(loopback, p.folder, machine).CombinedOutput(); err != nil {
		p.t.Fatalf("%s %s: %v\n%s", loopback, machine, err, out)
	}
}

// phase has what callers saw during one fault.
type phase struct {
	asked, other, without int           // points, those asked at a second node, those without a status
	longest               time.Duration // the longest time of a point
}

// observed is what the test watches while calls are played.
type observed struct {
	mu    sync.Mutex
	phase phase
	ready map[string]bool      // what /readyz said, without the numbers
	away  map[string]time.Time // when a node said first that the engine is away
	back  map[string]time.Time // when it said last that it was used again
}

// watch reads /readyz and the metrics of a node until ctx ends.
func (o *observed) watch(ctx context.Context, name, web string) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		ready, code := look(ctx, web+"/readyz")
		metrics, _ := look(ctx, web+"/metrics")
		o.mu.Lock()
		if code != 0 {
			o.ready[fmt.Sprintf("%d %s", code, strings.TrimSpace(ready))] = true
		}
		_, away := o.away[name]
		_, back := o.back[name]
		switch {
		case strings.Contains(metrics, "ringhook_engine_up 0"):
			if !away {
				o.away[name] = time.Now()
			}
			delete(o.back, name)
		case strings.Contains(metrics, "ringhook_engine_up 1") && away && !back:
			o.back[name] = time.Now()
		}
		o.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// look reads a page; code is 0 if the server does not answer.
func look(ctx context.Context, url string) (body string, code int) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", 0
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", 0
	}
	return string(text), resp.StatusCode
}

// call plays a call at a modest rate. Its points are asked at one node, and at the next one if that is down, as by the dialplan.
func (o *observed) call(ctx context.Context, l *ledger, nodes []*server, id string) {
	channel, first := newChannel(id), rand.IntN(len(nodes))
	tick := time.NewTicker(120 * time.Millisecond)
	defer tick.Stop()
	for _, point := range callPoints {
		<-tick.C
		begun, ok, tried := time.Now(), false, 0
		for ; !ok && tried < len(nodes); tried++ {
			ok = l.ask(ctx, nodes[(first+tried)%len(nodes)].agi, id, point, channel)
		}
		took := time.Since(begun)
		o.mu.Lock()
		o.phase.asked++
		o.phase.longest = max(o.phase.longest, took)
		if tried > 1 {
			o.phase.other++
		}
		if !ok {
			o.phase.without++
		}
		o.mu.Unlock()
	}
}

// next begins a phase.
func (o *observed) next() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.phase = phase{}
	o.ready, o.away, o.back = map[string]bool{}, map[string]time.Time{}, map[string]time.Time{}
}

// report logs what was seen since next.
func (o *observed) report(t *testing.T, what string, begun time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.phase
	var away, back time.Duration
	for name, at := range o.away {
		away = max(away, at.Sub(begun))
		back = max(back, o.back[name].Sub(begun))
	}
	var ready []string
	for text := range o.ready {
		ready = append(ready, text)
	}
	slices.Sort(ready)
	t.Logf("%s: %d points, %d of them at another node, %d without a status, longest %s; %d nodes without PostgreSQL, from %s at the latest, until %s; /readyz: %s",
		what, p.asked, p.other, p.without, p.longest.Round(time.Millisecond), len(o.away), away.Round(100*time.Millisecond),
		back.Round(100*time.Millisecond), strings.Join(ready, " | "))
}

// TestPatroni plays calls at three ringhooks on three machines of contrib/cluster, and kills and stops each of them. Every event
// of a point that was answered OK arrives. It needs root and the packages that loopback names, and runs only if
// RINGHOOK_PATRONI is the folder that loopback may use. RINGHOOK_MANY sets the number of primaries that are killed.
func TestPatroni(t *testing.T) {
	folder := os.Getenv("RINGHOOK_PATRONI")
	if folder == "" {
		t.Skip("RINGHOOK_PATRONI is not set")
	}
	kills := long(t, "RINGHOOK_MANY", 3)
	p := &patroni{t: t, folder: folder}
	p.start()
	defer func() { p.stop() }()
	leader, standby := p.whole()

	got := &cutReceiver{times: map[string]int{}, came: map[string]bool{}, last: map[string]int{}}
	receiver := httptest.NewServer(got)
	defer receiver.Close()
	var nodes []*server
	for i := range 3 {
		s := &server{}
		s.file, s.agi, s.web = onEngine(t, p.dsn, fmt.Sprintf(allEvents, receiver.URL))
		text, err := os.ReadFile(s.file)
		if err == nil {
			named := strings.Replace(string(text), "[store]\n", fmt.Sprintf("[store]\nnode = \"pbx%d\"\n", i+1), 1)
			err = os.WriteFile(s.file, []byte(named), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if code, out := invoke(t, "engine", "init", "-c", s.file); code != exitOK {
			t.Fatalf("engine init: %d\n%s", code, out)
		}
		s.process = spawn(t, s.file, s.web)
		t.Cleanup(func() { s.kill() })
		nodes = append(nodes, s)
	}
	logs := func() (text string) {
		for _, s := range nodes {
			text += s.log.String()
		}
		return text
	}
	logged, example := map[string]int{}, map[string]string{} // warnings and errors of processes that have ended
	ended := func(s *server) {
		for line := range strings.Lines(s.log.String()) {
			if _, message, ok := strings.Cut(line, " level="); ok && !strings.HasPrefix(message, "INFO") {
				parts := strings.SplitN(message, `"`, 3)
				kind := strings.Join(parts[:min(len(parts), 2)], "")
				logged[kind]++
				example[kind] = strings.TrimSpace(message)
			}
		}
	}

	ctx := wait.Context(t)
	calls, stop := context.WithCancel(ctx)
	defer stop()
	l := newLedger(t)
	o := &observed{}
	o.next()
	var callers sync.WaitGroup
	for n := range 4 {
		callers.Go(func() {
			for i := 0; calls.Err() == nil; i++ {
				o.call(ctx, l, nodes, fmt.Sprintf("%d.%d", time.Now().Unix(), 10*i+n))
			}
		})
	}
	var watchers sync.WaitGroup
	for i, s := range nodes {
		watchers.Go(func() { o.watch(calls, fmt.Sprint("pbx", i+1), s.web) })
	}
	asked := func() int {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.phase.asked
	}
	more := func(n int) {
		until := asked() + n
		wait.Until(t, func() bool { return asked() >= until }, "no point is asked any more")
	}
	up := func() bool { // all nodes use PostgreSQL, and have nothing on their own disks
		for _, s := range nodes {
			metrics, _ := look(ctx, s.web+"/metrics")
			if !strings.Contains(metrics, "ringhook_engine_up 1") || !strings.Contains(metrics, "ringhook_spool_records 0") {
				return false
			}
		}
		return true
	}
	// fault plays some points, causes a fault, and reports what was seen until all is as before.
	fault := func(what string, cause func()) {
		wait.Until(t, up, "PostgreSQL is not used:\n%s", logs())
		o.next()
		more(100)
		begun := time.Now()
		cause()
		more(100)
		wait.Until(t, up, "PostgreSQL is not used any more:\n%s", logs())
		more(50)
		o.report(t, what, begun)
	}

	fault("no fault", func() {})
	fault("a ringhook killed", func() {
		nodes[0].kill()
		ended(nodes[0])
		more(200)
		nodes[0].process = spawn(t, nodes[0].file, nodes[0].web)
	})
	for range kills {
		fault("the primary's machine killed", func() {
			begun := time.Now()
			p.kill(leader)
			more(100)
			_, out := invoke(t, "engine", "check", "-c", nodes[0].file)
			t.Logf("engine check: %s", out)
			wait.Until(t, up, "no machine was promoted:\n%s", logs())
			t.Logf("all was forwarded after %s", time.Since(begun).Round(100*time.Millisecond))
			p.again(leader)
			leader, standby = p.whole()
			t.Logf("the machine was back %s after it was killed", time.Since(begun).Round(100*time.Millisecond))
		})
	}
	fault("switchover", func() {
		p.ctl("switchover", "--master", leader, "--candidate", standby, "--force")
		leader, standby = p.whole()
	})
	fault("each ringhook restarted in turn", func() {
		for _, s := range nodes {
			s.stop()
			ended(s)
			more(20)
			s.process = spawn(t, s.file, s.web)
		}
	})
	fault("all ringhooks stopped and started", func() {
		for _, s := range nodes {
			s.stop()
			ended(s)
		}
		for _, s := range nodes {
			s.process = spawn(t, s.file, s.web)
		}
	})
	fault("all machines of Patroni stopped and started", func() {
		p.stop()
		more(100)
		begun := time.Now()
		p.start()
		t.Logf("started within %s", time.Since(begun).Round(100*time.Millisecond))
	})
	stop()
	callers.Wait()
	watchers.Wait()

	missing := func() (missing []string, promised int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		got.mu.Lock()
		defer got.mu.Unlock()
		for key := range l.promised {
			if !got.came[key] {
				missing = append(missing, key)
			}
		}
		return missing, len(l.promised)
	}
	wait.Until(t, func() bool { list, _ := missing(); return len(list) == 0 }, "promised events are missing:\n%s", logs())
	_, promised := missing()
	t.Logf("%d events were promised, and all of them came; %d repeats, %d after a later one of their call", promised, got.repeats(), got.disorder)
	_, out := invoke(t, "engine", "status", "-c", nodes[0].file)
	t.Logf("engine status: %s", out)
	for _, s := range nodes {
		s.stop()
		ended(s)
	}
	for kind, n := range logged {
		t.Logf("%d times in the logs: %s", n, example[kind])
	}
}
