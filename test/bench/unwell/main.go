// Command unwell plays calls against ringhook while its CRM is healthy, down, slow and
// flapping, and prints the time that they waited, their budget, and ringhook's memory.
// Each call has another caller, so that none is cached. Memory is shown after two thirds and at the
// end: ringhook keeps the last 4,096 calls at hand, and grows until it has them.
// Arguments are the states to measure; default: all.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
)

const (
	budget = 300 * time.Millisecond
	slow   = 3 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	binary := flag.String("ringhook", "bin/ringhook", "the program to measure")
	rate := flag.Int("rate", 500, "calls a second")
	length := flag.Duration("for", time.Minute, "how long to call in each state of the CRM")
	flag.Parse()
	fmt.Printf("%d calls/s for %v each, budget %v\n%-9s %8s %9s %9s %9s %14s  %s\n", *rate, *length, budget,
		"CRM", "calls", "p50 ms", "p99 ms", "max ms", "RSS MiB", "RINGHOOK_STATUS")
	states := flag.Args()
	if len(states) == 0 {
		states = []string{"well", "down", "slow", "flapping"}
	}
	for _, state := range states {
		if err := measure(ctx, state, *binary, *rate, *length); err != nil {
			fmt.Fprintln(os.Stderr, "unwell:", err)
			os.Exit(1)
		}
	}
}

// crm answers as its state is; over ends what is slow.
func crm(state string, over <-chan struct{}) http.HandlerFunc {
	var requests atomic.Int64
	wait := func() {
		select {
		case <-time.After(slow):
		case <-over:
		}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		switch n := requests.Add(1); {
		case state == "slow":
			wait()
		case state == "flapping" && n/50%2 == 1 && n%2 == 0:
			w.WriteHeader(http.StatusBadGateway)
			return
		case state == "flapping" && n/50%2 == 1:
			wait()
		}
		_, _ = io.WriteString(w, "CALLERID(name)=Anna&QUEUE_PRIO=5") // the client may be gone
	}
}

// measure measures one state of the CRM, with a ringhook of its own.
func measure(ctx context.Context, state, binary string, rate int, length time.Duration) error {
	folder, err := os.MkdirTemp("", "unwell")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	over := make(chan struct{})
	server := &http.Server{Handler: crm(state, over)}
	defer server.Close()
	defer close(over)
	if state == "down" {
		listen.Close()
	} else {
		go func() { _ = server.Serve(listen) }() // until it is closed
	}
	agi, web, config := freePort(), freePort(), filepath.Join(folder, "ringhook.toml")
	text := fmt.Sprintf("[fastagi]\nlisten = %q\nbudget = %q\n[http]\nlisten = %q\n[store]\nfolder = %q\n[[lookup]]\nname = \"crm\"\npoints = [\"lookup\"]\ntimeout = %q\nurl = \"http://%s/?phone=%%callerid%%\"\n",
		agi, budget, web, filepath.Join(folder, "data"), budget, listen.Addr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "-c", config, "--log-level", "error")
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return err
	}
	err = play(ctx, state, agi, web, cmd.Process.Pid, rate, length)
	return errors.Join(err, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
}

// play makes the calls and prints their results.
func play(ctx context.Context, state, agi, web string, pid, rate int, length time.Duration) error {
	if err := ready(ctx, web); err != nil {
		return err
	}
	call := func(n int) (time.Duration, string, error) {
		id := fmt.Sprintf("%d.%d", time.Now().Unix(), n)
		result, err := asterisk.Call(ctx, agi, asterisk.CallRequest{
			Env:       fastagi.Env{Point: "lookup", Channel: "PJSIP/unwell", UniqueID: id, CallerNum: fmt.Sprintf("+7495%07d", n)},
			Variables: map[string]string{"CHANNEL(linkedid)": id},
		})
		status := "none"
		for _, v := range result.Set {
			if v.Name == "RINGHOOK_STATUS" {
				status = v.Value
			}
		}
		return result.Took, status, err
	}
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	statuses := make(map[string]int)
	var all sync.WaitGroup
	first := 0.0
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	count := int(length.Seconds() * float64(rate))
	for n := range count {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if n == count*2/3 {
			first = memory(pid)
		}
		all.Go(func() {
			d, status, err := call(n)
			mu.Lock()
			defer mu.Unlock()
			took, failed = append(took, d), errors.Join(failed, err)
			statuses[status]++
		})
	}
	all.Wait()
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	fmt.Printf("%-9s %8d %9.1f %9.1f %9.1f %6.1f to %5.1f ", state, len(took),
		ms(took[len(took)/2]), ms(took[len(took)*99/100]), ms(took[len(took)-1]), first, memory(pid))
	for _, status := range slices.Sorted(maps.Keys(statuses)) {
		fmt.Printf(" %s %d", status, statuses[status])
	}
	fmt.Println()
	return failed
}

func ready(ctx context.Context, web string) error {
	for deadline := time.Now().Add(10 * time.Second); ctx.Err() == nil && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get("http://" + web + "/readyz"); err == nil {
			resp.Body.Close()
			return nil
		}
	}
	return errors.New("ringhook is not ready")
}

// memory returns the resident memory of a process, in MiB.
func memory(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.Atoi(fields[0])
	return float64(kib) / 1024
}

func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return ""
	}
	defer l.Close()
	return l.Addr().String()
}
