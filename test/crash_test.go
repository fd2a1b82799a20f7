//go:build failpoints

package test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ringhook/failpoint"
	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
)

const (
	// crashRounds is the number of rounds of TestCrash; make crash runs more.
	crashRounds  = 60
	crashCallers = 4
	// crashWait is the maximum time that a round waits for its fail point, on a busy machine.
	crashWait  = 2 * time.Minute
	crashToken = "crash-token-crash-token"
)

// crashCounts is the maximum number of times that a point is passed before the process
// dies there. It is low for rare points.
var crashCounts = map[failpoint.Point]int{
	failpoint.AcceptBeforeCommit: 60, failpoint.AcceptAfterCommit: 60, failpoint.AttemptBeforeSend: 60, failpoint.AttemptAfterSend: 60,
	failpoint.ResultBeforeCommit: 40, failpoint.ResultAfterCommit: 40,
	failpoint.CheckpointMid: 2, failpoint.RetentionMid: 1, failpoint.ReplayMid: 30, failpoint.MigrateMid: 2,
}

// crash is the crash test: ringhook as a process that dies at fail points during calls, receivers that
// survive it, and the model that both are compared with.
type crash struct {
	t                    *testing.T
	rnd                  *rand.Rand
	file, data, agi, web string
	takers               map[string]*recordingReceiver
	callers              []*crashCaller
	hits                 map[failpoint.Point]int

	mu       sync.Mutex
	promised int
	// open holds the events that were answered OK and have neither arrived nor died, by hook.
	open map[string]map[string]bool
	died map[string]map[string]bool // the events that were ever dead, by hook
}

// TestCrash is T-CRASH-01, F15: ringhook is killed at every step of accept,
// commit, attempt, result, checkpoint, retention, replay and migration, many
// times. After each death every acknowledged event is delivered, pending or dead; bodies
// arrived unchanged; first deliveries of a call arrived in order; a repeat has the id of the
// first; the file is intact.
func TestCrash(t *testing.T) {
	rounds, seed := setting(t, "RINGHOOK_CRASH", crashRounds), setting(t, "RINGHOOK_SEED", int(time.Now().UnixNano()&0xffffff))
	t.Logf("%d rounds with RINGHOOK_SEED=%d", rounds, seed)
	c := newCrash(t, uint64(seed))
	var deck []failpoint.Point
	for n := range rounds {
		if len(deck) == 0 {
			deck = slices.Clone(failpoint.All)
			c.rnd.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			if n == 0 { // the first round has no old deliveries
				first, last := slices.Index(deck, failpoint.RetentionMid), len(deck)-1
				deck[first], deck[last] = deck[last], deck[first]
			}
		}
		c.round(n, deck[0])
		deck = deck[1:]
		if t.Failed() {
			t.Fatalf("round %d with RINGHOOK_SEED=%d; the store is kept in %s", n, seed, keepFolder(t, c.data))
		}
	}
	c.finish()
	t.Logf("%d events were acknowledged; the process died at: %v", c.promised, c.hits)
	for _, p := range failpoint.All {
		if c.hits[p] == 0 && rounds >= 2*len(failpoint.All) {
			t.Errorf("%s was never hit", p)
		}
	}
}

// keepFolder copies a folder out of the temporary folder of the test, for inspection.
func keepFolder(t *testing.T, folder string) string {
	for _, socket := range []string{"api.sock", "reload.sock"} { // left by the kill, and no file to copy
		os.Remove(filepath.Join(folder, socket))
	}
	kept, err := os.MkdirTemp("", "ringhook-crash-")
	if err == nil {
		err = os.CopyFS(kept, os.DirFS(folder))
	}
	if err != nil {
		t.Error(err)
	}
	return kept
}

func newCrash(t *testing.T, seed uint64) *crash {
	c := &crash{
		t: t, rnd: rand.New(rand.NewPCG(seed, 0)), takers: map[string]*recordingReceiver{}, hits: map[failpoint.Point]int{},
		open: map[string]map[string]bool{}, died: map[string]map[string]bool{},
	}
	var hooks strings.Builder
	for name, events := range map[string]string{"steady": "*", "flaky": "*", "gone": "call-hangup"} {
		k := newTaker(t, name)
		server := httptest.NewServer(k)
		t.Cleanup(server.Close)
		c.takers[name], c.open[name], c.died[name] = k, map[string]bool{}, map[string]bool{}
		fmt.Fprintf(&hooks, "[[hook]]\nname = %q\nevents = [%q]\nurl = %q\nformat = \"json\"\nschedule = \"fast\"\n", name, events, server.URL)
	}
	c.file, c.agi, c.web = config(t, hooks.String())
	text, err := os.ReadFile(c.file)
	if err == nil {
		text = bytes.Replace(text, []byte("[store]"), []byte("token = \""+crashToken+"\"\n[store]"), 1)
		err = os.WriteFile(c.file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.data = filepath.Join(filepath.Dir(c.file), "data")
	for n := range crashCallers {
		c.callers = append(c.callers, &crashCaller{c: c, n: n + 1})
	}
	return c
}

// round starts ringhook, makes calls until it dies at the point, and compares its files with the model.
func (c *crash) round(n int, point failpoint.Point) {
	c.t.Helper()
	most := crashCounts[point]
	switch {
	case n == 0: // the store is empty
	case point == failpoint.RetentionMid:
		c.age()
	case point == failpoint.MigrateMid:
		most = c.downgrade()
	}
	action := []string{"kill", "soon"}[c.rnd.IntN(2)]
	traps := fmt.Sprintf("%s=%s@%d", point, action, 1+c.rnd.IntN(most))
	switch other := failpoint.All[c.rnd.IntN(len(failpoint.All))]; {
	case other == point:
	case other == failpoint.AcceptBeforeCommit, other == failpoint.ResultBeforeCommit:
		traps += fmt.Sprintf(";%s=error@%d", other, 2+c.rnd.IntN(10)) // F17; the first call is that of the start
	case other == failpoint.AttemptBeforeSend:
		traps += fmt.Sprintf(";%s=panic@%d", other, 1+c.rnd.IntN(10)) // F38
	}
	child := startKilled(c.t, c.file, "RINGHOOK_FAILPOINTS="+traps)
	ctx, cancel := context.WithTimeout(context.Background(), crashWait)
	go func() {
		<-child.ended
		cancel()
	}()
	if child.untilReady(ctx, c.web) {
		var load sync.WaitGroup
		for _, caller := range c.callers {
			load.Go(func() { caller.run(ctx) })
		}
		if point == failpoint.ReplayMid {
			load.Go(func() { c.replay(ctx) })
		}
		load.Wait()
	}
	<-ctx.Done()
	child.kill()
	if !strings.Contains(child.log.String(), fmt.Sprintf("failpoint %s: %s\n", point, action)) {
		c.t.Errorf("%s was not reached:\n%s", traps, child.log)
	}
	c.hits[point]++
	c.check(traps)
}

// replay repeatedly replays the events of the last seconds.
func (c *crash) replay(ctx context.Context) {
	for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.web+"/v1/outbox/replay", strings.NewReader(`{"hook": "steady", "since": "20s"}`))
		if err != nil {
			c.t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+crashToken)
		req.Header.Set("Content-Type", "application/json")
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// finish waits until all open events have arrived, and stops ringhook.
func (c *crash) finish() {
	c.t.Helper()
	for _, k := range c.takers {
		k.well.Store(true)
	}
	child := startKilled(c.t, c.file)
	defer child.kill()
	ctx, cancel := context.WithTimeout(context.Background(), 2*crashWait)
	defer cancel()
	if !child.untilReady(ctx, c.web) {
		c.t.Fatalf("ringhook does not start any more:\n%s", child.log)
	}
	for tick := time.NewTicker(100 * time.Millisecond); ; <-tick.C {
		var out bytes.Buffer // does not wait for the schedule
		if code := run(ctx, []string{"outbox", "retry", "-c", c.file, "--hook", "flaky", "--state", "pending"}, &out, &out); code != exitOK {
			c.t.Errorf("ringhook outbox retry ended with %d: %s", code, &out)
		}
		if left := c.left(); left == 0 {
			tick.Stop()
			break
		} else if ctx.Err() != nil {
			c.t.Fatalf("%d events that were acknowledged do not come:\n%s", left, child.log)
		}
	}
	child.stop()
	c.check("the end")
}

// left returns the number of events that have not arrived and are not dead. A receiver that answers 410
// need not get any.
func (c *crash) left() (left int) {
	for name, k := range c.takers {
		if name != "gone" {
			c.mu.Lock()
			left += k.missing(c.open[name])
			c.mu.Unlock()
		}
	}
	return left
}

// crashCaller makes calls, one after the other. As in Asterisk, a call continues with its next point after
// a crash.
type crashCaller struct {
	c        *crash
	n, calls int
	linkedid string
	point    int
	channel  map[string]string
}

var crashPoints = []string{"queue-dial", "agent-dial", "agent-answer", "agent-hangup", "queue-hangup", "call-hangup"}

func (p *crashCaller) run(ctx context.Context) {
	for ctx.Err() == nil {
		if p.point == 0 {
			p.calls++
			p.linkedid = fmt.Sprintf("%d.%d", p.n, p.calls)
			p.channel = map[string]string{"CHANNEL(linkedid)": p.linkedid, "DIALSTATUS": "ANSWER"}
		}
		p.play(crashPoints[p.point])
		p.point = (p.point + 1) % len(crashPoints)
	}
}

// play asks one point, and records it if it was answered OK.
func (p *crashCaller) play(point string) {
	ctx, cancel := context.WithTimeout(context.Background(), crashWait)
	defer cancel()
	result, err := asterisk.Call(ctx, p.c.agi, asterisk.CallRequest{
		Env: fastagi.Env{Point: point, Channel: "PJSIP/trunk", UniqueID: p.linkedid, CallerNum: "+442079460142", Args: []string{
			"agent_phone=101", "queue_id=500", "recording_file=" + mark(p.linkedid, point),
		}},
		Variables: p.channel,
	})
	ok := false
	for _, v := range result.Set {
		switch v.Name {
		case "RINGHOOK_STATUS":
			ok = v.Value == "OK"
		case "__RINGHOOK_VISIT", "__RINGHOOK_RING":
			p.channel[v.Name[2:]] = v.Value
		default:
			p.channel[v.Name] = v.Value
		}
	}
	if ok {
		p.c.promise(p.linkedid + " " + point)
	} else if err != nil {
		time.Sleep(time.Millisecond) // the server has ended; do not spin until the test knows
	}
}

// mark returns the value by which the body of a point's event is recognised.
func mark(linkedid, event string) string {
	return linkedid + "/" + event + "/" + strings.Repeat("zoë<&\"", 20)
}

func (c *crash) promise(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.promised++
	for name := range c.takers {
		if name != "gone" || strings.HasSuffix(key, " call-hangup") {
			c.open[name][key] = true
		}
	}
}

// check compares the files of a dead ringhook with the model. It reads a copy, so that the next process
// finds them unchanged.
func (c *crash) check(after string) {
	c.t.Helper()
	folder := c.t.TempDir()
	for _, name := range []string{"outbox.db", "outbox.db-wal"} {
		if text, err := os.ReadFile(filepath.Join(c.data, name)); err == nil {
			if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	defer os.RemoveAll(folder)
	if aside, _ := filepath.Glob(filepath.Join(c.data, "*.damaged-*")); len(aside) > 0 {
		c.t.Errorf("after %s: moved aside: %v", after, aside)
	}
	db := openRaw(c.t, filepath.Join(folder, "outbox.db"))
	var verdict string
	if err := db.QueryRow("pragma integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		c.t.Errorf("after %s: integrity: %q, %v", after, verdict, err)
	}
	states := c.states(db)
	if err := db.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, k := range c.takers {
		k.checkOrder(c.died[name])
		k.settle(c.open[name])
		for key := range c.open[name] {
			switch state, kept := states[name][key]; {
			case !kept:
				c.t.Errorf("after %s: %s was acknowledged, and is neither delivered nor kept for %s", after, key, name)
			case state == "delivered":
				c.t.Errorf("after %s: %s never came to %s, but is kept as delivered", after, key, name)
			case state == "dead":
				delete(c.open[name], key)
			}
		}
		k.compare(folder, c.file)
	}
}

// states returns the state of every delivery, by hook and event, and notes what is dead. If an event was
// replayed, the best state counts.
func (c *crash) states(db *sql.DB) map[string]map[string]string {
	c.t.Helper()
	states := map[string]map[string]string{}
	for name := range c.takers {
		states[name] = map[string]string{}
	}
	var tables int
	if err := db.QueryRow("select count(*) from sqlite_schema where name = 'delivery'").Scan(&tables); err != nil || tables == 0 {
		return states // it died before it created the outbox
	}
	rows, err := db.Query(`select d.hook, e.linkedid || ' ' || json_extract(e.body, '$.name'),
		min(case d.state when 0 then 0 when 1 then 2 when 2 then 1 else 3 end), max(d.state = 2) from delivery d join event e on e.id = d.event group by 1, 2`)
	if err != nil {
		c.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var hook, key string
		var state int
		var died bool
		if err := rows.Scan(&hook, &key, &state, &died); err != nil {
			c.t.Fatal(err)
		}
		if died {
			c.died[hook][key] = true
		}
		states[hook][key] = []string{"pending", "dead", "delivered", "dropped"}[state]
	}
	if err := rows.Err(); err != nil {
		c.t.Fatal(err)
	}
	return states
}

func openRaw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

// age makes all finished deliveries old, so that retention removes them. It ends replays and deliveries
// that are slow on purpose.
func (c *crash) age() {
	c.t.Helper()
	db := openRaw(c.t, filepath.Join(c.data, "outbox.db"))
	live := make([]any, len(c.callers))
	for i, p := range c.callers {
		live[i] = p.linkedid
	}
	var replays int
	err := db.QueryRow("select count(*) from pragma_table_info('delivery') where name = 'replay_of'").Scan(&replays)
	if err == nil && replays > 0 {
		_, err = db.Exec("delete from delivery where replay_of is not null and state = 0")
	}
	const old = 40 * 24 * time.Hour
	if err == nil {
		_, err = db.Exec("update delivery set finished_ms = finished_ms - ? where state <> 0", old.Milliseconds())
	}
	if err == nil {
		_, err = db.Exec("update call set seen_ms = seen_ms - ? where linkedid not in (?"+strings.Repeat(", ?", len(live)-1)+")", append([]any{old.Milliseconds()}, live...)...)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		c.t.Fatal(err)
	}
}

// downgrade changes the outbox to an earlier version, with all data that this version had. It returns the
// number of migrations to the current version.
func (c *crash) downgrade() (behind int) {
	c.t.Helper()
	steps, err := filepath.Glob("../store/migrations/*.sql")
	if err != nil || len(steps) < 2 {
		c.t.Fatalf("migrations: %v, %v", steps, err)
	}
	version := 1 + c.rnd.IntN(len(steps)-1)
	path := filepath.Join(c.data, "outbox.db")
	db := openRaw(c.t, path)
	var appID int64
	if err := db.QueryRow("pragma application_id").Scan(&appID); err != nil {
		c.t.Fatal(err)
	}
	script := fmt.Sprintf("pragma auto_vacuum = 2; attach '%s' as now; begin;", path)
	for _, step := range steps[:version] {
		text, err := os.ReadFile(step)
		if err != nil {
			c.t.Fatal(err)
		}
		script += string(text)
	}
	script += fmt.Sprintf("pragma application_id = %d; pragma user_version = %d;", appID, version)
	if err := db.Close(); err != nil { // checkpoints the write-ahead log
		c.t.Fatal(err)
	}
	older := openRaw(c.t, path+"-older")
	if _, err := older.Exec(script); err != nil {
		c.t.Fatal(err)
	}
	for _, table := range []string{"call", "event", "delivery", "attempt"} {
		var columns string
		err := older.QueryRow("select group_concat(name, ', ') from pragma_table_info(?, 'main') where name in (select name from pragma_table_info(?, 'now'))", table, table).Scan(&columns)
		if err == nil {
			_, err = older.Exec(fmt.Sprintf("insert into main.%s (%s) select %s from now.%s", table, columns, columns, table))
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	_, err = older.Exec("commit")
	if err := errors.Join(err, older.Close(), os.Rename(path+"-older", path)); err != nil {
		c.t.Fatal(err)
	}
	for _, part := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + part); err != nil && !os.IsNotExist(err) {
			c.t.Fatal(err)
		}
	}
	return len(steps) - version
}

// killedProcess is ringhook in a separate process that is expected to die.
type killedProcess struct {
	*process
	ended chan struct{}
	err   error // how it ended
}

func startKilled(t *testing.T, config string, env ...string) *killedProcess {
	t.Helper()
	d := &killedProcess{process: &process{t: t, cmd: exec.Command(os.Args[0], "serve", "-c", config), log: &bytes.Buffer{}}, ended: make(chan struct{})}
	d.cmd.Env = append(append(os.Environ(), asRinghook+"=1"), env...)
	d.cmd.Stderr = d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		d.err = d.cmd.Wait()
	}()
	return d
}

// untilReady waits until it serves. It returns false if it died before, or ctx ended.
func (d *killedProcess) untilReady(ctx context.Context, web string) bool {
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		if resp, err := http.Get(web + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return true
			}
		}
		select {
		case <-d.ended:
			return false
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// kill kills the process if it has not died.
func (d *killedProcess) kill() {
	_ = d.cmd.Process.Kill()
	<-d.ended
}

// stop ends it like systemd, and checks that it ends with 0.
func (d *killedProcess) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	if <-d.ended; d.err != nil {
		d.t.Errorf("ringhook ended with %v:\n%s", d.err, d.log)
	}
}
