package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ringhook/pgstore/pgtest"
	"ringhook/test/wait"
)

// engine starts a PostgreSQL server of the test's own, with a database that ringhook engine init has set up, and returns it
// with the database's address.
func engine(t *testing.T) (server *pgtest.Server, dsn string) {
	t.Helper()
	server, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	if server != nil {
		t.Cleanup(server.Stop)
	}
	return server, server.Database(t)
}

// onEngine is config for a store in PostgreSQL.
func onEngine(t *testing.T, dsn, more string) (file, agi, web string) {
	t.Helper()
	file, agi, web = config(t, more)
	text, err := os.ReadFile(file)
	if err == nil {
		store := fmt.Sprintf("[store]\ntype = \"postgres\"\ndsn = %q\n", dsn)
		err = os.WriteFile(file, bytes.Replace(text, []byte("[store]\n"), []byte(store), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file, agi, web
}

// invoke runs a command and returns its exit code and what it prints.
func invoke(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var b bytes.Buffer
	code = run(t.Context(), args, &b, &b)
	return code, b.String()
}

const allEvents = "[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = %q\nformat = \"json\"\nschedule = \"fast\"\n"

// TestEngineKill9 kills ringhook during calls, and ends the engine and starts it again, and checks that every event of a
// point that was answered OK arrives, in order within its call and with one id.
func TestEngineKill9(t *testing.T) {
	t.Parallel()
	server, dsn := engine(t)
	l := newLedger(t)
	l.answer = failing
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	// Across PostgreSQL and its own disk, ringhook keeps no order.
	file, agi, web := onEngine(t, dsn, "alone_after = \"0s\"\n"+fmt.Sprintf(allEvents, receiver.URL))
	setToken(t, file)
	if code, out := invoke(t, "engine", "init", "-c", file); code != exitOK || !strings.Contains(out, "created") {
		t.Fatalf("engine init: %d\n%s", code, out)
	}

	ctx := wait.Context(t)
	calls, stop := context.WithCancel(ctx)
	var callers sync.WaitGroup
	for n := range 8 {
		callers.Go(func() {
			for i := 0; calls.Err() == nil; i++ {
				l.play(ctx, agi, fmt.Sprintf("%d.%d", n+1, i+1))
			}
		})
	}
	promised := func() int {
		_, n := l.missing()
		return n
	}
	const some = 60
	for n := range 6 {
		c := spawn(t, file, web)
		more := func() {
			until := promised() + some
			wait.Until(t, func() bool { return promised() >= until }, "nothing is promised any more:\n%s", c.log)
		}
		more()
		if n%2 == 1 {
			server.Halt()
			c.untilMetric(web, "ringhook_engine_up 0")
			more() // kept on ringhook's own disk
			if err := server.Resume(); err != nil {
				t.Fatal(err)
			}
			c.ready(web)
			more()
		}
		c.kill()
	}
	stop()
	callers.Wait()

	c := spawn(t, file, web)
	defer c.kill()
	l.await(ctx, c)
	if code, out := invoke(t, "outbox", "list", "--state", "delivered", "--limit", "5", "-c", file); code != exitOK || strings.Count(out, "journal") != 5 {
		t.Errorf("outbox list: %d\n%s", code, out)
	}
	for _, cmd := range []struct{ line, want string }{
		{"hook list", "journal"}, {"outbox show 1", "delivered"}, {"outbox retry 1", "0 deliveries are due now"}, {"outbox drop 1", "0 deliveries dropped"},
		{"outbox replay --hook journal --since 24h --dry-run", " deliveries would be sent"}, {"trace --since 24h", "BEGAN"},
	} {
		if code, out := invoke(t, append(strings.Fields(cmd.line), "-c", file)...); code != exitOK || !strings.Contains(out, cmd.want) {
			t.Errorf("%s: %d\n%s", cmd.line, code, out)
		}
	}
	for path, want := range map[string]string{"/v1/outbox?state=delivered&limit=1": `"state":"delivered"`, "/v1/hooks": `"hook":"journal","pending":0`} {
		if answer := askAPI(t, web+path); !strings.Contains(answer, want) {
			t.Errorf("%s: %s", path, answer)
		}
	}
	c.stop()
}

const apiToken = "0123456789abcdef"

// setToken sets the API's token in a configuration.
func setToken(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(text, []byte("[http]\n"), []byte("[http]\ntoken = \""+apiToken+"\"\n"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// askAPI returns the API's answer.
func askAPI(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(wait.Context(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apiToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// TestEngineAway starts ringhook while its engine is away: lookups are answered, events are kept on its own disk, and are in
// the engine when that is back.
func TestEngineAway(t *testing.T) {
	t.Parallel()
	server, dsn := engine(t)
	came := make(chan struct{}, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case came <- struct{}{}:
		default:
		}
	}))
	defer receiver.Close()
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"name": "Ada"})
	}))
	defer crm.Close()
	file, agi, web := onEngine(t, dsn, fmt.Sprintf(allEvents, receiver.URL)+
		fmt.Sprintf("[[lookup]]\nname = \"crm\"\npoints = [\"lookup\", \"queue-dial\"]\nurl = \"%s/%%callerid%%\"\nformat = \"json\"\nmap = { \"CALLERID(name)\" = \".name\" }\n[number]\ncountry = \"GB\"\n", crm.URL))
	if code, out := invoke(t, "engine", "init", "-c", file); code != exitOK {
		t.Fatalf("engine init: %d\n%s", code, out)
	}
	server.Halt()
	c := start(t, file)
	defer c.kill()
	c.untilServes(web)
	if note := get(t, web+"/readyz"); !strings.Contains(note, "events are kept on this machine") {
		t.Errorf("/readyz says %q", note)
	}
	ask := func(point string) string {
		_, out := invoke(t, "call", point, "--from", "+442079460142", "--server", agi)
		return out
	}
	if out := ask("lookup"); !strings.Contains(out, "Ada") {
		t.Errorf("lookup without the engine:\n%s", out)
	}
	if out := ask("queue-dial?queue_id=500"); !strings.Contains(out, "Ada") || !strings.Contains(out, "FOUND") {
		t.Errorf("queue-dial without the engine:\n%s", out)
	}
	for _, args := range [][]string{{"outbox", "list"}, {"engine", "check"}, {"token", "list"}, {"phonebook", "list"}, {"account"}, {"cache", "clear"}} {
		if code, out := invoke(t, append(args, "-c", file)...); code != exitFailure {
			t.Errorf("%v without the engine: %d\n%s", args, code, out)
		}
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	c.ready(web)
	// A slow machine may not keep the event in time.
	wait.Until(t, func() bool { return strings.Contains(ask("call-hangup"), "OK") }, "call-hangup is not answered OK")
	<-came
	c.untilMetric(web, "ringhook_spool_records 0")
	// What is stored of the caller is shown and erased, in PostgreSQL as in the folder.
	stored := func() string {
		code, out := invoke(t, "export", "+442079460142", "-c", file)
		if code != exitOK {
			t.Errorf("export: %d\n%s", code, out)
		}
		return out
	}
	out, kept := "", 0
	wait.Until(t, func() bool { // the call of the lookup, without an event, is forwarded last
		out = stored()
		kept = strings.Count(out, `"seen": `) - 1 // the others have one event each
		return kept >= 2
	}, "calls are missing:\n%s", out)
	if !strings.Contains(out, `"event": "call-hangup"`) || !strings.Contains(out, `"state": {`) {
		t.Errorf("export:\n%s", out)
	}
	if code, out := invoke(t, "forget", "+442079460142", "-c", file); code != exitOK || !strings.Contains(out, fmt.Sprintf("%[1]d events with %[1]d deliveries", kept)) || !strings.Contains(out, "until vacuum") {
		t.Errorf("forget: %d\n%s", code, out)
	}
	if out := stored(); strings.Contains(out, "call-hangup") {
		t.Errorf("export after forget:\n%s", out)
	}
	c.stop()
}

// untilServes waits until the HTTP port answers, ready or not.
func (c *process) untilServes(web string) {
	c.t.Helper()
	wait.Until(c.t, func() bool {
		resp, err := http.Get(web + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return true
	}, "the HTTP port does not answer:\n%s", c.log)
}

// TestEngineMistakes checks what is refused: a database without a schema, a second ringhook of the same name, and commands
// that only work on the folder.
func TestEngineMistakes(t *testing.T) {
	t.Parallel()
	_, dsn := engine(t)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer receiver.Close()
	hook := fmt.Sprintf(allEvents, receiver.URL)
	file, _, web := onEngine(t, dsn, hook)
	refused := func(file, want string) {
		t.Helper()
		c := start(t, file)
		if err := c.cmd.Wait(); err == nil || !strings.Contains(c.log.String(), want) {
			t.Errorf("ringhook ended with %v, want %q:\n%s", err, want, c.log)
		}
	}
	refused(file, "run ringhook engine init")
	for _, want := range []string{"created", "nothing to do"} {
		if code, out := invoke(t, "engine", "init", "-c", file); code != exitOK || !strings.Contains(out, want) {
			t.Errorf("engine init: %d, want %s\n%s", code, want, out)
		}
	}
	c := spawn(t, file, web)
	defer c.kill()
	other, _, _ := onEngine(t, dsn, hook) // of the same host
	refused(other, "another ringhook serves from this database as node")
	c.stop()
	backup := filepath.Join(t.TempDir(), "backup.tar")
	for _, command := range []string{"backup", "restore"} {
		if code, out := invoke(t, command, backup, "-c", file); code != exitOK || !strings.Contains(out, "outbox.db") || !strings.Contains(out, "are in PostgreSQL") {
			t.Errorf("%s: %d\n%s", command, code, out)
		}
	}
}

// TestFromSQLite changes the type of the store while deliveries wait: they are forwarded to PostgreSQL and delivered from there.
func TestFromSQLite(t *testing.T) {
	t.Parallel()
	_, dsn := engine(t)
	l := newLedger(t)
	var well atomic.Bool
	l.answer = func(w http.ResponseWriter, _ *http.Request, take func()) {
		if !well.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		take()
	}
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	file, agi, web := config(t, fmt.Sprintf(allEvents, receiver.URL))
	c := spawn(t, file, web)
	defer func() { c.kill() }()
	ctx := wait.Context(t)
	half := len(callPoints) / 2
	wait.Until(t, func() bool { return l.play(ctx, agi, "1.1", callPoints[:half]...) }, "points are not answered OK")
	c.stop()
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(text, []byte("[store]\n"), fmt.Appendf(nil, "[store]\ntype = \"postgres\"\ndsn = %q\n", dsn), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if code, out := invoke(t, "engine", "init", "-c", file); code != exitOK {
		t.Fatalf("engine init: %d\n%s", code, out)
	}
	c = spawn(t, file, web)
	wait.Until(t, func() bool { return l.play(ctx, agi, "1.1", callPoints[half:]...) }, "points are not answered OK")
	c.untilMetric(web, "ringhook_spool_records 0")
	well.Store(true)
	l.await(ctx, c)
	if code, out := invoke(t, "outbox", "list", "--state", "delivered", "-c", file); code != exitOK || strings.Count(out, "journal") != len(callPoints) {
		t.Errorf("outbox list: %d\n%s", code, out)
	}
	c.stop()
}
