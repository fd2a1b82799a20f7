package test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/test/wait"
)

// server is a ringhook that shares its engine with others.
type server struct {
	file, agi, web, desk string
	*process             // nil while it does not run
}

// servers starts ringhooks on one engine. OK means that the engine has the event: what only a killed machine has, the others cannot
// deliver.
func servers(t *testing.T, n int, more string) []*server {
	t.Helper()
	_, dsn := engine(t)
	var list []*server
	for i := range n {
		s := &server{}
		s.file, s.agi, s.web = onEngine(t, dsn, more)
		text, err := os.ReadFile(s.file)
		if err == nil {
			named := strings.Replace(string(text), "[store]\n", fmt.Sprintf("[store]\nnode = \"node%d\"\npromise = \"cluster-only\"\n", i+1), 1)
			err = os.WriteFile(s.file, []byte(named), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if code, out := invoke(t, "engine", "init", "-c", s.file); code != exitOK {
				t.Fatalf("engine init: %d\n%s", code, out)
			}
		}
		s.process = spawn(t, s.file, s.web)
		t.Cleanup(func() { s.kill() })
		list = append(list, s)
	}
	return list
}

// TestNodesKill9 kills ringhooks that share an engine during calls whose points are asked at any of them, and checks that the
// others deliver: every event of a point that was answered OK arrives, in order within its call and with one id.
// RINGHOOK_MANY sets the number of kills.
func TestNodesKill9(t *testing.T) {
	t.Parallel()
	kills := long(t, "RINGHOOK_MANY", 3)
	l := newLedger(t)
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	nodes := servers(t, 3, fmt.Sprintf(allEvents, receiver.URL))
	ctx := wait.Context(t)
	calls, stop := context.WithCancel(ctx)
	var callers sync.WaitGroup
	for n := range 8 {
		callers.Go(func() {
			for i := 0; calls.Err() == nil; i++ {
				id := fmt.Sprintf("%d.%d", n+1, i+1)
				channel := newChannel(id)
				for _, point := range callPoints {
					first := rand.IntN(len(nodes))
					for k := range nodes { // the dialplan asks another server if one is down
						if l.ask(ctx, nodes[(first+k)%len(nodes)].agi, id, point, channel) {
							break
						}
					}
				}
			}
		})
	}
	promised := func() int {
		_, n := l.missing()
		return n
	}
	more := func() {
		until := promised() + 60
		wait.Until(t, func() bool { return promised() >= until }, "nothing is promised any more")
	}
	var longest time.Duration
	for range kills {
		more()
		victim := nodes[rand.IntN(len(nodes))]
		for _, s := range nodes {
			if strings.Contains(get(t, s.web+"/metrics"), `ringhook_leases{hook="journal"} 1`) && rand.IntN(3) > 0 {
				victim = s // most often the one that delivers
			}
		}
		victim.kill()
		killed := time.Now()
		known, _ := l.missing()
		wait.Until(t, func() bool { // what waited at that moment is delivered without the victim
			missing, _ := l.missing()
			return !slices.ContainsFunc(known, func(key string) bool { return slices.Contains(missing, key) })
		}, "the others do not deliver")
		longest = max(longest, time.Since(killed))
		more()
		victim.process = spawn(t, victim.file, victim.web)
	}
	t.Logf("after %d kills, the others had delivered what waited within %s at most", kills, longest.Round(time.Millisecond))
	stop()
	callers.Wait()
	l.await(ctx, nodes[0].process)

	code, out := invoke(t, "engine", "status", "-c", nodes[0].file)
	for _, want := range []string{"node1", "node2", "node3", "now", "same", "journal  ", "upkeep of the tables:"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("engine status: %d, no %q in\n%s", code, want, out)
		}
	}
	if code, out := invoke(t, "engine", "check", "-c", nodes[0].file); code != exitOK || !strings.Contains(out, "served by: node1, node2, node3") {
		t.Errorf("engine check: %d\n%s", code, out)
	}
	for _, s := range nodes {
		s.stop()
	}
}

// TestRollingRestart stops and starts ringhooks that share an engine one after the other during calls, and checks that nothing is
// delivered twice, because each hands over what it delivers for.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	count := counted(l)
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	nodes := servers(t, 2, fmt.Sprintf(allEvents, receiver.URL))
	ctx := wait.Context(t)
	calls, stop := context.WithCancel(ctx)
	var callers sync.WaitGroup
	for n := range 4 {
		callers.Go(func() {
			for i := 0; calls.Err() == nil; i++ {
				l.play(ctx, nodes[n%2].agi, fmt.Sprintf("%d.%d", n+1, i+1))
			}
		})
	}
	for range 2 {
		for _, s := range nodes {
			_, before := l.missing()
			wait.Until(t, func() bool { _, n := l.missing(); return n >= before+40 }, "nothing is promised any more")
			s.process.stop()
			s.process = spawn(t, s.file, s.web)
		}
	}
	stop()
	callers.Wait()
	l.await(ctx, nodes[0].process)
	if twice := count(); len(twice) > 0 {
		t.Errorf("%d events came more than once, such as %s", len(twice), twice[0])
	}
}

// counted has a ledger count the deliveries of each event. The function returns those that came more than once.
func counted(l *ledger) (twice func() []string) {
	var mu sync.Mutex
	came := map[string]int{}
	l.answer = func(_ http.ResponseWriter, r *http.Request, take func()) {
		mu.Lock()
		came[r.Header.Get("webhook-id")]++
		mu.Unlock()
		take()
	}
	return func() (list []string) {
		mu.Lock()
		defer mu.Unlock()
		for id, n := range came {
			if n > 1 {
				list = append(list, id)
			}
		}
		return list
	}
}

// TestSamePointAtTwo asks each point of calls at two ringhooks at the same moment, and checks that it is one event and one
// delivery, and that the numbers of a call's events have no gap. RINGHOOK_MANY sets the number of calls.
func TestSamePointAtTwo(t *testing.T) {
	t.Parallel()
	calls := long(t, "RINGHOOK_MANY", 60)
	l := newLedger(t)
	twice := counted(l)
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	nodes := servers(t, 2, fmt.Sprintf(allEvents, receiver.URL))
	ctx := wait.Context(t)
	var next, unanswered atomic.Int64
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(calls) {
					return
				}
				id := fmt.Sprint("1.", n)
				channel := newChannel(id)
				for _, point := range callPoints {
					var both sync.WaitGroup
					set := make([]map[string]string, len(nodes))
					for i, s := range nodes {
						set[i] = maps.Clone(channel)
						both.Go(func() {
							if !l.ask(ctx, s.agi, id, point, set[i]) {
								unanswered.Add(1)
							}
						})
					}
					both.Wait()
					for _, vars := range set {
						maps.Copy(channel, vars)
					}
				}
			}
		})
	}
	callers.Wait()
	l.await(ctx, nodes[0].process)
	moved := 0
	for _, s := range nodes {
		for line := range strings.Lines(get(t, s.web+"/metrics")) {
			var n int
			if _, err := fmt.Sscanf(line, "ringhook_moved_total %d", &n); err == nil {
				moved += n
			}
		}
	}
	t.Logf("%d calls at two servers, %d times the other one was first, %d points without OK", calls, moved, unanswered.Load())
	if moved == 0 {
		t.Error("no call was changed by the other server")
	}
	if list := twice(); len(list) > 0 {
		t.Errorf("%d events were delivered more than once, such as %s", len(list), list[0])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	seqs := map[string][]int{}
	for _, ev := range l.came {
		seqs[ev.LinkedID] = append(seqs[ev.LinkedID], ev.Seq)
	}
	for id, list := range seqs {
		slices.Sort(list)
		for n, seq := range list {
			if seq != n+1 {
				text, _ := json.Marshal(list)
				t.Errorf("call %s has events %s", id, text)
				break
			}
		}
	}
	if len(seqs) != calls {
		t.Errorf("events of %d calls, want %d", len(seqs), calls)
	}
}
