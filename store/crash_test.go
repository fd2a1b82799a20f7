package store

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ringhook/hooks"
	"ringhook/store/sqlite"
)

// TestCrashChild is the child of TestCrash: it accepts events on eight
// goroutines, settles the deliveries that are due, and prints what was acknowledged, until it is killed.
func TestCrashChild(t *testing.T) {
	if os.Getenv("STORE_TEST_FOLDER") == "" {
		t.Skip("only as a child of TestCrash")
	}
	s := childStore(t, os.Getenv("STORE_TEST_SYNC"))
	round := os.Getenv("STORE_TEST_ROUND")
	var mu sync.Mutex
	say := func(what, id string) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintln(os.Stdout, what, id) // fails if the parent has ended
	}
	for g := range 8 {
		go func() {
			for seq := 1; ; seq++ {
				linkedid := fmt.Sprintf("%s.%d.%d", round, g, seq/4)
				if _, err := s.Journal().Keep(context.Background(), testRecord(linkedid, seq, "a", "b")); err != nil {
					panic(err)
				}
				say("kept", testEvent(linkedid, seq).ID)
			}
		}()
	}
	for {
		list, err := s.Outbox().Due("a", time.Now(), 16)
		if err != nil {
			panic(err)
		}
		var results []hooks.Result
		for _, d := range list {
			results = append(results, hooks.Result{Delivery: d.ID, State: hooks.Delivered, Attempt: hooks.Attempt{Started: time.Now(), Class: "delivered", Status: 200}})
		}
		if _, err := s.Outbox().Settle(context.Background(), results); err != nil {
			panic(err)
		}
		for _, d := range list {
			say("sent", d.Event.ID)
		}
	}
}

// TestCrash kills the store repeatedly at random moments (T-CRASH, F15). Acknowledged records are stored,
// settled deliveries stay settled, and the file is intact.
func TestCrash(t *testing.T) {
	rounds := 15
	if testing.Short() {
		rounds = 5
	}
	for _, synchronous := range []string{"full", "normal"} {
		t.Run(synchronous, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t)
			cfg.Synchronous = synchronous
			said := map[string]map[string]bool{"kept": {}, "sent": {}}
			for round := range rounds {
				crashOnce(t, cfg, round, said)
			}
			s := mustOpen(t, cfg, time.Now)
			defer mustClose(t, s)
			checkCrashed(t, s, said)
			t.Logf("%d rounds: %d events acknowledged, %d results", rounds, len(said["kept"]), len(said["sent"]))
		})
	}
}

// crashOnce kills the child some time after its first line.
func crashOnce(t *testing.T, cfg Config, round int, said map[string]map[string]bool) {
	t.Helper()
	c := child(t, "TestCrashChild", cfg.Folder)
	c.Env = append(c.Env, "STORE_TEST_SYNC="+cfg.Synchronous, fmt.Sprint("STORE_TEST_ROUND=", round))
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	kill := 1 + rand.IntN(400) // counted in lines, so that a slow machine tests the same
	for n := 0; ; n++ {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break
		}
		if n == kill {
			_ = c.Process.Kill()
		}
		if what, id, ok := strings.Cut(strings.TrimSpace(line), " "); ok && said[what] != nil {
			said[what][id] = true
		} else if n == 0 {
			t.Fatalf("child says %q", line)
		}
	}
	_ = c.Wait() // killed, as it should be
}

func checkCrashed(t *testing.T, s *Store, said map[string]map[string]bool) {
	t.Helper()
	var verdict string
	if _, err := sqlite.One(s.read, "pragma integrity_check", nil, &verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity: %q, %v", verdict, err)
	}
	if broken, _ := filepath.Glob(filepath.Join(s.folder, "*.damaged-*")); len(broken) > 0 {
		t.Fatalf("moved aside: %v", broken)
	}
	list, err := s.Operator().List(Filter{Limit: 10_000_000})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]map[string]bool{"kept": {}, "sent": {}}
	heads := map[string]int{}
	open := map[string]bool{}
	for _, d := range list {
		there["kept"][d.Event.ID] = true
		key := d.Hook + " " + d.Event.LinkedID
		switch {
		case d.State == hooks.Delivered:
			there["sent"][d.Event.ID] = true
		case d.Held:
			open[key] = true
		default:
			heads[key]++
			open[key] = true
		}
	}
	for what, ids := range said {
		for id := range ids {
			if !there[what][id] {
				t.Errorf("%s %s was acknowledged and is not there", what, id)
			}
		}
	}
	for key := range open {
		if heads[key] != 1 {
			t.Errorf("%s has %d deliveries with a time of their own, want 1", key, heads[key])
		}
	}
}

// TestCutLog cuts the write-ahead log at random places, like a power loss (T-PWR-1). The file is intact and
// holds every record up to one of them, and none after it.
func TestCutLog(t *testing.T) {
	t.Parallel()
	damageLog(t, func(log string, size int64) (at int64) {
		at = rand.Int64N(size + 1)
		if err := os.Truncate(log, at); err != nil {
			t.Fatal(err)
		}
		return at
	})
}

// TestGarbledLog overwrites the write-ahead log at random places (T-PWR-1, F16). The file is intact and holds
// every record before that place, and none after a missing one.
func TestGarbledLog(t *testing.T) {
	t.Parallel()
	damageLog(t, func(log string, size int64) (at int64) {
		at = rand.Int64N(size - 1)
		scribble(t, log, at, 1)
		return at
	})
}

// damageLog damages copies of one write-ahead log from some place on, and checks the records that
// each file still has.
func damageLog(t *testing.T, damage func(log string, size int64) (at int64)) {
	cfg := testConfig(t)
	cfg.Synchronous = "full"
	s := mustOpen(t, cfg, time.Now)
	var sizes []int64 // of the log, when each was acknowledged
	path := filepath.Join(cfg.Folder, outboxFile)
	for i := range 40 {
		keep(t, s.Journal(), testRecord(fmt.Sprintf("1.%02d", i), 1, "a"))
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
	}
	saved := t.TempDir()
	for _, part := range []string{"", "-wal"} {
		copyFile(t, path+part, filepath.Join(saved, outboxFile+part))
	}
	mustClose(t, s)
	for range 30 {
		trial := cfg
		trial.Folder = t.TempDir()
		for _, part := range []string{"", "-wal"} {
			copyFile(t, filepath.Join(saved, outboxFile+part), filepath.Join(trial.Folder, outboxFile+part))
		}
		at := damage(filepath.Join(trial.Folder, outboxFile+"-wal"), sizes[len(sizes)-1])
		s := mustOpen(t, trial, time.Now)
		got, _ := due(t, s.Outbox(), "a", time.Now())
		want := 0
		for want < len(sizes) && sizes[want] <= at {
			want++
		}
		if len(got) < want {
			t.Errorf("damaged at %d: %d records are left, %d were acknowledged before", at, len(got), want)
		}
		for i, id := range got {
			if id != fmt.Sprintf("msg_1.%02d_1", i) {
				t.Errorf("damaged at %d: record %d is %s", at, i, id)
			}
		}
		mustClose(t, s)
	}
}
