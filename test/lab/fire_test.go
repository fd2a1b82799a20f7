//go:build e2e

package lab

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
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
)

// The environment says for how many minutes it shall burn, and with which
// seed where that is not left to chance.
const (
	fireVariable     = "RINGHOOK_FIRE"
	fireSeedVariable = "RINGHOOK_FIRE_SEED"
)

// TestFire is the lab under fire: hundreds of calls at once while the CRM and
// the receivers come and go, fail, hang and babble, ringhook is killed, its
// disk fills up, and its configuration is read again each second. Every call goes as its
// scenario has it, all that was promised comes once under its id and in order, and
// nothing is left over. `make lab-fire` runs it on each Asterisk, both at
// once if the machine has four processors.
func TestFire(t *testing.T) {
	if os.Getenv(fireVariable) == "" {
		t.Skip("takes minutes: make lab-fire MINUTES=1")
	}
	minutes, err := strconv.ParseFloat(os.Getenv(fireVariable), 64)
	if err != nil || minutes <= 0 {
		t.Fatalf("%s is %q, want a number of minutes", fireVariable, os.Getenv(fireVariable))
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(fireSeedVariable); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", fireSeedVariable, err)
		}
	}
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			newFire(t, suite, seed, 256+int(48*minutes)).burn(t, time.Duration(minutes*float64(time.Minute)))
		})
	}
}

// fire is the lab and what burns in it.
type fire struct {
	*blaze
	asterisk *asterisk
	server   *server
	crm      *moody
	who      *place
	books    map[string]*book
	moods    map[string]*moody
	places   map[string]*place
}

// newFire starts all but ringhook, whose store gets a disk of so many MiB.
func newFire(t *testing.T, suite string, seed uint64, disk int) *fire {
	t.Helper()
	f := &fire{
		asterisk: startAsterisk(t, suite, fireFiles(t)), server: newServer(t, 4573, 4580), crm: &moody{inner: http.HandlerFunc(customers)},
		books: map[string]*book{}, moods: map[string]*moody{}, places: map[string]*place{},
	}
	t.Log(f.asterisk.version)
	f.blaze = &blaze{t: t, seed: seed, keeper: &keeper{server: f.server, ends: map[string]int{}}, folder: filepath.Join(f.server.folder, "data")}
	if err := os.Mkdir(f.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", f.folder, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=700", disk)); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(f.folder, syscall.MNT_DETACH) })
	f.write(fireConfig(f.folder, 0))
	f.who = &place{address: "127.0.0.1:8080", handler: f.crm}
	f.who.open(t)
	t.Cleanup(f.who.close)
	for name, address := range receiverAddresses {
		f.books[name] = newBook()
		f.moods[name] = &moody{inner: f.books[name]}
		f.places[name] = &place{address: address, handler: f.moods[name]}
		f.places[name].open(t)
		t.Cleanup(f.places[name].close)
	}
	return f
}

// customers is a CRM that knows every other caller.
func customers(w http.ResponseWriter, r *http.Request) {
	phone := r.URL.Query().Get("phone")
	if phone == "" || phone[len(phone)-1]%2 == 0 {
		http.NotFound(w, r)
		return
	}
	known("CALLERID(name)", "Customer "+phone, "call_info", "https://crm.example/"+phone)(w, r)
}

// burn sets everything on fire, and looks at what is left.
func (f *fire) burn(t *testing.T, during time.Duration) {
	running, stop := context.WithCancel(context.Background())
	var kept sync.WaitGroup
	defer kept.Wait()
	defer stop()
	kept.Go(func() { f.keeper.run(running, t, rand.New(rand.NewPCG(f.seed, 0))) })
	f.server.awaitReady(t)
	begun, err := f.server.metrics()
	if err != nil {
		t.Fatal(err)
	}
	calling := startTraffic(t)

	burning, extinguish := context.WithTimeout(running, during)
	defer f.tasks.Wait()
	defer extinguish()
	// In the last quarter ringhook lives, so that a leak shows.
	killing, spare := context.WithTimeout(burning, during*3/4)
	defer spare()
	f.light(killing, 1, "kills", f.kill)
	f.light(burning, 2, "full disk", f.fill)
	f.light(burning, 3, "reloads", f.reload)
	f.light(burning, 4, "CRM", f.change(f.who, f.crm, failing, hanging, babbling, away))
	f.light(burning, 5, "steady receiver", f.change(f.places["steady"], f.moods["steady"], away))
	f.light(burning, 6, "moody receiver", f.change(f.places["moody"], f.moods["moody"], failing, hanging, away))
	watch := watchMemory(burning, f.keeper)
	f.tasks.Wait()
	lives := <-watch

	calls, most := calling.end(t)
	f.settle(t)
	f.leaks(t, begun, lives)
	stop()
	kept.Wait()

	points := f.asterisk.askedPoints(t)
	f.blame(t, prove(points, f.books))
	t.Log(f.figures(calls, most, points))
}

// settle waits until all who wait have what they wait for.
func (f *fire) settle(t *testing.T) {
	t.Helper()
	eventually(t, "no channel is left in Asterisk", func() bool {
		return strings.Contains(f.asterisk.cli(t, "core show channels"), "\n0 active channels")
	})
	f.keeper.signal(syscall.SIGHUP) // the last good configuration
	f.server.awaitReady(t)
	for name := range f.books {
		// An operator who knows that all are back does not wait for the schedule, nor for a paused hook.
		out, err := exec.Command(os.Getenv(binaryVariable), "outbox", "retry", "-c", filepath.Join(f.server.folder, "ringhook.toml"),
			"--hook", name, "--state", "pending").CombinedOutput()
		if err != nil {
			t.Errorf("ringhook outbox retry: %v\n%s", err, out)
		}
	}
	eventually(t, "nothing waits in the outbox, and no session is open", func() bool {
		m, err := f.server.metrics()
		if err != nil || m["ringhook_agi_sessions_active"] != 0 {
			return false
		}
		for name := range f.books {
			if n, there := m[fmt.Sprintf("ringhook_hook_pending{hook=%q}", name)]; !there || n != 0 {
				return false
			}
		}
		return true
	})
}

// metrics are the server's, by name and labels.
func (s *server) metrics() (map[string]float64, error) {
	resp, err := http.Get("http://" + s.http + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 {
			if v, err := strconv.ParseFloat(lines.Text()[i+1:], 64); err == nil {
				all[lines.Text()[:i]] = v
			}
		}
	}
	return all, lines.Err()
}

// watchMemory notes each second what ringhook takes, for each of its lives.
// It returns that when ctx has ended.
func watchMemory(ctx context.Context, k *keeper) <-chan [][]float64 {
	given := make(chan [][]float64, 1)
	go func() {
		var lives [][]float64
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for last := 0; ; {
			select {
			case <-ctx.Done():
				given <- lives
				return
			case <-tick.C:
			}
			k.mu.Lock()
			starts := k.starts
			k.mu.Unlock()
			m, err := k.server.metrics()
			if err != nil {
				continue
			}
			if starts != last {
				last, lives = starts, append(lives, nil)
			}
			lives[len(lives)-1] = append(lives[len(lives)-1], m["process_resident_memory_bytes"])
		}
	}()
	return given
}

// leaks compares the ringhook that has been through it with one that has just begun, and
// the two halves of its life with each other.
func (f *fire) leaks(t *testing.T, begun map[string]float64, lives [][]float64) {
	t.Helper()
	life := lives[len(lives)-1]
	if half := len(life) / 2; half >= 5 {
		early, late := slices.Max(life[:half]), slices.Max(life[half:])
		t.Logf("memory of the last ringhook: %.0f MiB at most in the first half of its %d s under fire, %.0f in the second", early/(1<<20), len(life), late/(1<<20))
		if late > 1.5*early+32<<20 {
			t.Error("ringhook takes more and more memory")
		}
	}
	more := map[string]float64{"go_goroutines": 256 + 20, "process_open_fds": 20} // up to 256 wait for the next session
	var now map[string]float64
	few := func() bool {
		now, _ = f.server.metrics()
		return now != nil && now["go_goroutines"] <= begun["go_goroutines"]+more["go_goroutines"] &&
			now["process_open_fds"] <= begun["process_open_fds"]+more["process_open_fds"]
	}
	// What the last deliveries needed is given back when it has been idle for a while.
	for late := time.After(2 * time.Minute); !few(); time.Sleep(time.Second) {
		select {
		case <-late:
			t.Error("goroutines or files leak")
			from := len(f.server.log(0))
			f.keeper.signal(syscall.SIGQUIT) // has Go tell where they all are
			eventually(t, "ringhook has ended", func() bool { return strings.Contains(f.server.log(from), "rflags") })
			t.Logf("%.100000s", f.server.log(from))
			return
		default:
		}
	}
	for name := range more {
		t.Logf("%s: %.0f at the beginning, %.0f in the end", name, begun[name], now[name])
	}
}

// blame shows what does not hold, and of the first of these calls all that was logged.
func (f *fire) blame(t *testing.T, wrong []string) {
	t.Helper()
	server := f.server.log(0)
	for _, bug := range []string{"panic", "fatal error"} {
		if i := strings.Index(server, bug); i >= 0 {
			t.Errorf("ringhook logged:\n%.4000s", server[i:])
		}
	}
	for i, w := range wrong {
		if i == 20 {
			t.Errorf("... and %d more", len(wrong)-i)
			break
		}
		t.Error(w)
		if call, _, _ := strings.Cut(w, ":"); i < 2 {
			t.Logf("Asterisk logged of it:\n%s", tail(having(f.asterisk.log(0), call), 300))
			t.Logf("ringhook logged of it:\n%s", tail(having(server, call), 100))
		}
	}
	if t.Failed() {
		t.Logf("ringhook logged at last:\n%s", tail(server, 100))
	}
}

// having are the lines of a text that hold a word.
func having(text, word string) string {
	var all strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			all.WriteString(line)
		}
	}
	return all.String()
}

// figures are what one run was.
func (f *fire) figures(calls, most int, points []asked) string {
	events, repeats := 0, 0
	for _, b := range f.books {
		events, repeats = len(b.events), repeats+b.repeats
	}
	longest, failed := time.Duration(0), map[string]bool{}
	for _, a := range points {
		longest = max(longest, a.took)
		if !a.kept() {
			failed[a.linkedid] = true
		}
	}
	return fmt.Sprintf("%s: %d calls (%d at once at most), %d points, %d events, %d repeats, %d kills, %d times no room on the disk, "+
		"%d reloads and %d refused, %d calls went on without a point, longest point %v, other ends of ringhook %v",
		f.asterisk.version, calls, most, len(points), events, repeats, f.kills.Load(), f.fulls.Load(),
		f.reloads.Load(), f.refused.Load(), len(failed), longest.Round(time.Millisecond), f.keeper.ends)
}
