package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// reloads is how often TestReloads reads the configuration; RINGHOOK_MANY asks for
// more.
func reloads(t *testing.T) int {
	n := 60
	if text := os.Getenv("RINGHOOK_MANY"); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestReloads is F30: the configuration is read over and over under load, every
// second time a wrong one. What was acknowledged comes, in order; each wrong one
// is told by the metric and changes nothing; the deliveries of a hook that is
// taken out are kept, and go on when it is back; nothing is left behind.
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
		without + "colour = \"red\"\n",                         // of no key
		strings.Replace(without, agi, "127.0.0.1:1", 1),        // what needs a restart
		without + "ca_file = \"/nonexistent/authorities.pem\"", // what cannot be had
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
	// A reload is over when the metric has changed: good and wrong ones take turns.
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
	back.play(ctx, agi, "1.1")
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

// TestReloadDuringLookup is F30 for a call that waits for its first source while the
// configuration is reloaded: it ends with what it began with, and asks the second one.
func TestReloadDuringLookup(t *testing.T) {
	asked, release := make(chan struct{}, 1), make(chan struct{})
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
		lookups += fmt.Sprintf("[[lookup]]\nname = %q\nrank = %d\npoints = [\"queue-dial\"]\nurl = \"%s/%s\"\ntimeout = \"25s\"\n", name, rank+1, crm.URL, name)
	}
	file, agi, web := config(t, lookups)
	text, err := os.ReadFile(file)
	if err == nil {
		text = bytes.Replace(text, []byte("[fastagi]\n"), []byte("[fastagi]\nbudget = \"30s\"\n"), 1)
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
	shown := make(chan string, 1)
	go func() {
		var out bytes.Buffer
		run(t.Context(), []string{"call", "queue-dial", "queue_id=500", "--from", "+442079460142", "--server", agi}, &out, &out)
		shown <- out.String()
	}()
	<-asked
	c.cmd.Process.Signal(syscall.SIGHUP)
	next(t, said, `^RELOADING=1`)
	next(t, said, `^READY=1`)
	close(release)
	if got := <-shown; !strings.Contains(got, "CALLERID(name) = Anna") || !strings.Contains(got, "RINGHOOK_STATUS = FOUND") {
		t.Errorf("a call from before the reload got\n%s", got)
	}
	c.stop()
}
