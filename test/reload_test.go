package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// reloads returns the number of reloads of TestReloads; RINGHOOK_MANY asks for more.
func reloads(t *testing.T) int {
	n := 60
	if text := os.Getenv("RINGHOOK_MANY"); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestReloads reloads the configuration many times under load, every second time an invalid one (F30).
// Acknowledged events arrive in order. An invalid configuration is counted in the metric and changes
// nothing. The deliveries of a removed hook are kept, and continue after it is added again. No goroutine,
// connection or file is leaked.
func TestReloads(t *testing.T) {
	kept, back := newLedger(t), newLedger(t)
	var well atomic.Bool
	back.answer = func(w http.ResponseWriter, _ *http.Request, take func()) {
		if !well.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		take()
	}
	var open atomic.Int64 // connections to the receiver
	receiver := httptest.NewUnstartedServer(kept)
	receiver.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
	receiver.Start()
	defer receiver.Close()
	second := httptest.NewServer(back)
	defer second.Close()

	const table = "[[hook]]\nname = %q\nevents = [\"*\"]\nurl = %q\nschedule = \"fast\"\n"
	journal := fmt.Sprintf(table, "journal", receiver.URL)
	file, agi, web := config(t, journal)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	without := string(text)
	with := without + fmt.Sprintf(table, "second", second.URL)
	wrong := []string{
		without + "colour = \"red\"\n",                         // unknown key
		without + "format = \"jason\"\n",                       // invalid value
		without + "ca_file = \"/nonexistent/authorities.pem\"", // missing file
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(with)
	ended := make(chan int, 1)
	serving, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { ended <- run(serving, []string{"serve", "-c", file}, io.Discard, io.Discard) }()
	until(t, "start", func() bool {
		resp, err := http.Get(web + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	// A reload has ended when the metric changes, because valid and invalid files alternate.
	reload := func(text string, successful int) {
		t.Helper()
		write(text)
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("ringhook_config_last_reload_successful %d\n", successful)
		until(t, "reload", func() bool { return strings.Contains(get(t, web+"/metrics"), line) })
	}
	waiting := func() (n int) {
		t.Helper()
		found := regexp.MustCompile(`(?m)^ringhook_hook_pending\{hook="second"\} (\d+)$`).FindStringSubmatch(get(t, web+"/metrics"))
		if found != nil {
			n, _ = strconv.Atoi(found[1])
		}
		return n
	}

	ctx := t.Context()
	until(t, "the first call is answered OK", func() bool { return back.play(ctx, agi, "1.1") })
	goroutines := runtime.NumGoroutine()
	reload(wrong[0], 0)
	reload(without, 1)
	pending := waiting()
	if pending == 0 {
		t.Fatal("nothing waits for the hook that is taken out")
	}

	load, rest := context.WithCancel(ctx)
	var callers sync.WaitGroup
	for n := range 4 {
		callers.Go(func() {
			for i := 0; load.Err() == nil; i++ {
				kept.play(ctx, agi, fmt.Sprintf("%d.%d", n+2, i+1))
			}
		})
	}
	for i := range reloads(t) / 2 {
		reload(wrong[i%len(wrong)], 0)
		reload(without, 1)
	}
	rest()
	callers.Wait()
	if n := waiting(); n != pending {
		t.Errorf("%d deliveries wait for the hook that was taken out, want %d", n, pending)
	}
	well.Store(true)
	reload(wrong[0], 0)
	reload(with, 1)
	for name, l := range map[string]*ledger{"journal": kept, "second": back} {
		until(t, "deliveries to "+name, func() bool { missing, promised := l.missing(); return len(missing) == 0 && promised > 0 })
	}
	until(t, "the end of old connections", func() bool { return open.Load() == 0 })
	until(t, "the end of old goroutines", func() bool { return runtime.NumGoroutine() <= goroutines+10 })
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("ringhook serve ended with %d", code)
	}
}

// TestReloadDuringLookup checks that a call and a request of the API that wait for their first source during a reload keep
// their old configuration, and ask the second source (F30).
func TestReloadDuringLookup(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 2), make(chan struct{})
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			asked <- struct{}{}
			<-release
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, "CALLERID(name)=Anna")
	}))
	defer crm.Close()
	lookups := ""
	for rank, name := range []string{"first", "second"} {
		lookups += fmt.Sprintf("[[lookup]]\nname = %q\nrank = %d\npoints = [\"queue-dial\"]\nurl = \"%s/%s?caller=%%callerid%%\"\ntimeout = \"25s\"\n", name, rank+1, crm.URL, name)
	}
	file, agi, web := config(t, lookups)
	text, err := os.ReadFile(file)
	if err == nil {
		text = bytes.Replace(text, []byte("[fastagi]\n"), []byte("[fastagi]\nbudget = \"30s\"\n"), 1)
		text = bytes.Replace(text, []byte("[http]\n"), []byte("[http]\ntoken = \""+testToken+"\"\n"), 1)
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	env, said := notified(t)
	c := start(t, file, env)
	defer c.kill()
	next(t, said, `^READY=1`)
	c.ready(web)
	shown := func(args ...string) <-chan string {
		shown := make(chan string, 1)
		go func() {
			var out bytes.Buffer
			run(t.Context(), args, &out, &out)
			shown <- out.String()
		}()
		<-asked
		return shown
	}
	call := shown("call", "queue-dial", "queue_id=500", "--from", "+442079460142", "--server", agi)
	lookup := shown("lookup", "+442079460143", "--point", "queue-dial", "-c", file)
	c.cmd.Process.Signal(syscall.SIGHUP)
	next(t, said, `^RELOADING=1`)
	next(t, said, `^READY=1`)
	close(release)
	if got := <-lookup; !strings.Contains(got, "a call gets now: FOUND, from second") {
		t.Errorf("a request from before the reload got\n%s", got)
	}
	if got := <-call; !strings.Contains(got, "CALLERID(name) = Anna") || !strings.Contains(got, "RINGHOOK_STATUS = FOUND") {
		t.Errorf("a call from before the reload got\n%s", got)
	}
	c.stop()
}

// TestReloadCommand checks that ringhook reload prints the changes, applies all that need no restart, and
// fails if the file is invalid or no server runs.
func TestReloadCommand(t *testing.T) {
	file, agi, web := config(t, "[[queue]]\nid = \"500\"\nname = \"Sales\"\n")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(text string, code int, want ...string) string {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if got := run(t.Context(), []string{"reload", "-c", file}, &out, &out); got != code {
			t.Errorf("ringhook reload ended with %d, want %d:\n%s", got, code, &out)
		}
		wants(t, out.String(), want...)
		return out.String()
	}
	metric := func(value int) {
		t.Helper()
		wants(t, get(t, web+"/metrics"), fmt.Sprintf("ringhook_config_last_reload_successful %d\n", value))
	}
	reload(string(good)+"wrong = 1\n", exitFailure, file+":", "wrong", "no ringhook serves")
	reload(string(good), exitFailure, "no ringhook serves")
	c := spawn(t, file, web)
	defer c.kill()
	reload(string(good), exitOK, "nothing changed")
	service := strings.Replace(string(good), "Sales", "Service", 1)
	reload(service, exitOK, "[[queue]] 500")
	metric(1)
	for wrong, text := range map[string]string{
		"wrong = 1":        string(good) + "wrong = 1\n",
		"name = ":          string(good) + "name = \n", // no TOML
		"keep_dead = 800h": strings.Replace(string(good), "[store]\n", "[store]\nkeep_dead = 800h\n", 1),
	} {
		before, _, _ := strings.Cut(text, wrong+"\n")
		reload(text, exitFailure, fmt.Sprintf("%s:%d: ", file, strings.Count(before, "\n")+1), "not applied")
		metric(0) // the server was asked
		reload(service, exitOK, "nothing changed")
		metric(1)
	}
	later := strings.NewReplacer("[store]\n", "[store]\nkeep_dead = \"800h\"\n")
	if said := reload(later.Replace(service), exitFailure, "[store] keep_dead", "restart"); strings.Contains(said, "nothing changed") {
		t.Errorf("ringhook reload with a change that needs a restart says %q", said)
	}
	moved := strings.Replace(later.Replace(string(good)), agi, "127.0.0.1:1", 1)
	reload(moved+"[[queue]]\nid = \"600\"\nname = \"Six\"\n", exitFailure, "[[queue]] 600 added", "[fastagi] listen, [store] keep_dead", "restart")
	metric(0)
	t.Setenv("STATE_DIRECTORY", filepath.Join(filepath.Dir(file), "data")) // set by systemd for ExecReload
	reload(strings.Replace(string(good), "/data\"", "/other\"", 1), exitFailure, "[[queue]] 600 removed", "[store] folder", "restart")
	reload(string(good), exitOK, "nothing changed")
	metric(1)
	c.stop()
	for _, want := range []string{"msg=serving version=test file=" + file, "store=" + filepath.Join(filepath.Dir(file), "data"), "queues=1", "changed=\"[[queue]] 500, [[queue]] 600 added\""} {
		if !strings.Contains(c.log.String(), want) {
			t.Errorf("the log does not have %s:\n%s", want, c.log)
		}
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(file), "data", "reload.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// TestJournal checks the log under systemd: each line has a priority and no time.
func TestJournal(t *testing.T) {
	t.Parallel()
	file, _, web := config(t, "[log]\nlevel = \"warn\"\n[[hook]]\nname = \"crm\"\nevents = [\"agent-hangpu\"]\nurl = \"http://127.0.0.1:1/\"\n")
	log, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	c := &process{t: t, cmd: exec.Command(os.Args[0], "serve", "-c", file), log: &bytes.Buffer{}}
	c.cmd.Env = append(os.Environ(), asRinghook+"=1", fmt.Sprintf("JOURNAL_STREAM=%d:%d", stat.Dev, stat.Ino))
	c.cmd.Stderr = log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.kill()
	c.ready(web)
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(text, []byte("warn"), []byte("info"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	ringhook(t, "reload", "-c", file)
	c.stop()
	lines, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	wants(t, "\n"+string(lines), "\n<4>level=WARN msg=configuration ", "\n<6>level=INFO msg=\"configuration reloaded\"", "\n<6>level=INFO msg=stopped\n")
	if strings.Contains(string(lines), "msg=serving") {
		t.Errorf("at the level warn the log has\n%s", lines)
	}
}
