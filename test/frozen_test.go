package test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
	"ringhook/test/port"
	"ringhook/test/wait"
)

// asNeighbour makes the test binary a CRM and a receiver at an address. It prints the events that it gets.
const asNeighbour = "RINGHOOK_TEST_NEIGHBOUR"

func neighbour(addr string) {
	var mu sync.Mutex
	http.HandleFunc("/who", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "call_info=gold") })
	http.HandleFunc("/event", func(_ http.ResponseWriter, r *http.Request) {
		var ev received
		if err := json.NewDecoder(r.Body).Decode(&ev); err != nil {
			panic(http.ErrAbortHandler)
		}
		mu.Lock()
		defer mu.Unlock()
		json.NewEncoder(os.Stdout).Encode(ev)
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(addr, nil))
	os.Exit(1)
}

// TestFrozen stops ringhook during calls, like a paused container or SIGSTOP, also for longer than a session
// may take. After it continues, every call ends, events that were answered OK arrive in order, and calls
// are answered OK again.
func TestFrozen(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	receiver := httptest.NewServer(l)
	defer receiver.Close()
	file, agi, web := config(t, fmt.Sprintf("[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = %q\nformat = \"json\"\nschedule = \"fast\"\n", receiver.URL))
	c := spawn(t, file, web)
	defer func() { c.kill() }()
	ctx := wait.Context(t)

	calling, hangUp := context.WithCancel(ctx)
	good := make(chan struct{})
	var callers sync.WaitGroup
	defer callers.Wait()
	defer hangUp()
	var next atomic.Int32
	for range 8 {
		callers.Go(func() {
			for calling.Err() == nil {
				if l.play(ctx, agi, fmt.Sprintf("1.%d", next.Add(1))) {
					select {
					case good <- struct{}{}:
					case <-calling.Done():
					}
				}
			}
		})
	}
	for _, frozen := range []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, 4 * time.Second} {
		for range 20 {
			select {
			case <-good:
			case <-ctx.Done():
				t.Fatalf("no call is answered OK:\n%s", c.log)
			}
		}
		freeze(t, c.cmd.Process)
		time.Sleep(frozen) // it does not run during this time
		thaw(t, c.cmd.Process)
	}
	for range 20 {
		select {
		case <-good:
		case <-ctx.Done():
			t.Fatalf("no call is answered OK any more:\n%s", c.log)
		}
	}
	hangUp()
	callers.Wait()
	l.await(ctx, c)
	c.stop()
}

// TestFrozenNeighbour stops a CRM and receiver, while its machine continues to accept connections. No call
// waits beyond its budget. After it continues, the events that were answered OK arrive, and it is asked
// again.
func TestFrozenNeighbour(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	addr := port.Free(t)
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), asNeighbour+"="+addr)
	other.Stderr = t.Output()
	said, err := other.StdoutPipe()
	if err == nil {
		err = other.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var heard sync.WaitGroup
	defer func() {
		other.Process.Kill()
		heard.Wait()
		other.Wait()
	}()
	heard.Go(func() {
		for lines := bufio.NewScanner(said); lines.Scan(); {
			var ev received
			if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
				t.Errorf("the receiver said %q: %v", lines.Text(), err)
			}
			l.take(ev)
		}
	})
	ctx := wait.Context(t)
	for { // until it listens
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			break
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
	}

	file, agi, web := config(t, fmt.Sprintf("[[lookup]]\nname = \"crm\"\npoints = [\"lookup\"]\nurl = \"http://%[1]s/who?phone=%%callerid%%\"\n"+
		"[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = \"http://%[1]s/event\"\nformat = \"json\"\nschedule = \"fast\"\ntimeout = \"1s\"\n", addr))
	patient(t, file)
	c := spawn(t, file, web)
	defer func() { c.kill() }()
	n := 0
	status := func() string {
		t.Helper()
		n++
		got, err := asterisk.Call(ctx, agi, asterisk.CallRequest{
			Env: fastagi.Env{Point: "lookup", Channel: "PJSIP/trunk", UniqueID: fmt.Sprintf("2.%d", n), CallerNum: fmt.Sprintf("+4420794%05d", n)},
		})
		if err != nil {
			t.Fatalf("a call did not end well: %v\n%s", err, c.log)
		}
		for _, v := range got.Set {
			if v.Name == "RINGHOOK_STATUS" {
				return v.Value
			}
		}
		return ""
	}
	for status() != "FOUND" {
		if ctx.Err() != nil {
			t.Fatalf("the CRM is not heard:\n%s", c.log)
		}
	}
	l.play(ctx, agi, "1.0")
	freeze(t, other.Process)
	if got := status(); got != "TIMEOUT" {
		t.Errorf("while the CRM is frozen a lookup is %s, want TIMEOUT", got)
	}
	for i := range 20 {
		wait.Until(t, func() bool { return l.play(ctx, agi, fmt.Sprintf("1.%d", i+1)) },
			"call %d is not answered OK while the receiver is frozen:\n%s", i, c.log)
	}
	if missing, _ := l.missing(); len(missing) == 0 {
		t.Error("the receiver took what it cannot have taken")
	}
	thaw(t, other.Process)
	// The breaker may be open, for a minute.
	retry := exec.Command(os.Args[0], "outbox", "retry", "-c", file, "--hook", "journal", "--state", "pending")
	retry.Env = append(os.Environ(), asRinghook+"=1")
	if out, err := retry.CombinedOutput(); err != nil {
		t.Errorf("ringhook outbox retry: %v\n%s", err, out)
	}
	l.await(ctx, c)
	for status() != "FOUND" {
		if ctx.Err() != nil {
			t.Fatalf("the CRM is not asked again:\n%s", c.log)
		}
	}
	c.stop()
}

// freeze stops a process, and returns when none of its threads runs.
func freeze(t *testing.T, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	_, err := syscall.Wait4(p.Pid, &status, syscall.WUNTRACED, nil)
	for errors.Is(err, syscall.EINTR) {
		_, err = syscall.Wait4(p.Pid, &status, syscall.WUNTRACED, nil)
	}
	if err != nil || !status.Stopped() {
		t.Fatalf("process %d does not stop: status %#x, %v", p.Pid, status, err)
	}
}

func thaw(t *testing.T, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}
