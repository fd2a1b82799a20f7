package test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
	"ringhook/hooks"
	"ringhook/store"
	"ringhook/test/wait"
)

// long returns n, or the value of an environment variable.
func long(t *testing.T, variable string, n int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return n
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number", variable, text)
	}
	return n
}

// patient sets a budget in a configuration file that is long enough for any load.
func patient(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(text, []byte("[fastagi]\n"), []byte("[fastagi]\nbudget = \"60s\"\n"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// F10: hundreds of calls ask for one number at the same time, and the first of them hangs up. The CRM gets
// one request, and all other calls get the answer. RINGHOOK_MANY sets the number of calls.
func TestManyCallsOneNumber(t *testing.T) {
	calls := long(t, "RINGHOOK_MANY", 200)
	var asked atomic.Int32
	arrived, release := make(chan struct{}), make(chan struct{})
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			close(arrived)
		}
		<-release
		io.WriteString(w, "call_info=gold")
	}))
	defer crm.Close()
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	file, agi, web := config(t, "[[lookup]]\nname = \"crm\"\npoints = [\"lookup\"]\nurl = \""+crm.URL+"/?phone=%callerid%\"\ntimeout = \"60s\"\n")
	patient(t, file)
	c := spawn(t, file, web)
	defer c.kill()
	call := func(n int, hangup <-chan struct{}) string {
		ctx := wait.Context(t)
		for {
			got, err := asterisk.Call(ctx, agi, asterisk.CallRequest{
				Env:    fastagi.Env{Point: "lookup", Channel: "PJSIP/trunk", UniqueID: fmt.Sprintf("1.%d", n), CallerNum: "+442079460142"},
				Hangup: hangup,
			})
			if err != nil {
				return err.Error()
			}
			if got.Status != "FAILURE" { // the test needed more than 2 s to send the environment
				return fmt.Sprint(got.Set)
			}
		}
	}
	hangup, first := make(chan struct{}), make(chan string, 1)
	go func() { first <- call(0, hangup) }()
	<-arrived
	var others sync.WaitGroup
	for n := range calls {
		others.Go(func() {
			if got := call(n+1, nil); !strings.Contains(got, "gold") || !strings.Contains(got, "RINGHOOK_STATUS FOUND") {
				t.Errorf("call %d got %s", n+1, got)
			}
		})
	}
	c.untilMetric(web, fmt.Sprintf("ringhook_agi_sessions_active %d\n", calls+1))
	close(hangup)
	if got := <-first; !strings.Contains(got, "RINGHOOK_STATUS TIMEOUT") {
		t.Errorf("the caller that hung up got %s", got)
	}
	free()
	others.Wait()
	if asked.Load() != 1 {
		t.Errorf("the CRM was asked %d times, want once", asked.Load())
	}
	c.stop()
}

// series returns the number of lines of /metrics, and checks that none contains one of the words.
func series(t *testing.T, web string, never ...string) (n int) {
	t.Helper()
	text := get(t, web+"/metrics")
	for _, word := range never {
		if strings.Contains(text, word) {
			t.Errorf("/metrics has %q", word)
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "ringhook_") {
			n++
		}
	}
	return n
}

// T-MET-01: any number of callers, queues, points and answers creates no new series. RINGHOOK_MANY sets the
// number of callers.
func TestSeriesStayTheSame(t *testing.T) {
	calls := long(t, "RINGHOOK_MANY", 1500)
	const mark = "zq7"
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := rand.Uint64()
		switch n % 4 {
		case 0:
			http.Error(w, "no", 500+int(n%90))
		case 1:
			fmt.Fprintf(w, "%s%x=1&SHELL(%x)=2&QUEUE_PRIO=%x", mark, n, n, n)
		case 2:
			w.WriteHeader(http.StatusNotFound)
		default:
			fmt.Fprintf(w, "call_info=%x", n)
		}
	}))
	defer crm.Close()
	file, agi, web := config(t, "[[lookup]]\nname = \"crm\"\npoints = [\"lookup\", \"queue-dial\"]\nurl = \""+crm.URL+"/?phone=%callerid%\"\n"+
		"[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = \"http://127.0.0.1:1/%callerid%\"\n")
	c := spawn(t, file, web)
	defer c.kill()
	ctx := wait.Context(t)
	points := []string{"lookup", "queue-dial", "agent-dial", "call-hangup", "event?name=%s", "%s", ""}
	var next atomic.Int64
	play := func(until int) {
		var callers sync.WaitGroup
		for range 16 {
			callers.Go(func() {
				for n := next.Add(1); n <= int64(until); n = next.Add(1) {
					some := fmt.Sprintf("%s%x", mark, rand.Uint64())
					point := points[n%int64(len(points))]
					if strings.Contains(point, "%s") {
						point = fmt.Sprintf(point, some)
					}
					asterisk.Call(ctx, agi, asterisk.CallRequest{
						Env: fastagi.Env{
							Point: point, Channel: "PJSIP/" + some, UniqueID: some, CallerNum: fmt.Sprintf("+4420%08d", rand.IntN(1e8)), CallerName: some,
							Args: []string{"queue_id=" + some, "agent_phone=" + some},
						},
						Variables: map[string]string{"CHANNEL(linkedid)": some},
					})
				}
			})
		}
		callers.Wait()
		next.Store(int64(until))
	}
	play(500)
	before := series(t, web, mark, "+4420")
	play(500 + calls)
	if after := series(t, web, mark, "+4420"); after != before {
		t.Errorf("%d series after 500 callers, %d after %d more", before, after, calls)
	}
	c.stop()
}

// F37: with 128 MiB, under full load, while the CRM never answers, one receiver
// is down and one hangs, ringhook survives, and every acknowledged event is stored.
// RINGHOOK_SECONDS=120 loads it for two minutes.
func TestMemoryPressure(t *testing.T) {
	seconds := long(t, "RINGHOOK_SECONDS", 4)
	over := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-over:
		case <-r.Context().Done():
		}
	}))
	defer hangs.Close()
	defer close(over)
	file, agi, web := config(t, "[[lookup]]\nname = \"crm\"\npoints = [\"queue-dial\", \"agent-dial\"]\nurl = \""+hangs.URL+"/?phone=%callerid%\"\ntimeout = \"50ms\"\n"+
		"[[hook]]\nname = \"away\"\nevents = [\"*\"]\nurl = \"http://127.0.0.1:1/\"\n"+
		"[[hook]]\nname = \"hangs\"\nevents = [\"*\"]\nurl = \""+hangs.URL+"\"\n")
	t.Setenv("GOMEMLIMIT", fmt.Sprint(48*raceFactor, "MiB")) // of Go; SQLite has its own caches
	c := spawn(t, file, web)
	defer c.kill()
	book := newLedger(t)
	ctx := wait.Context(t)
	until := time.Now().Add(time.Duration(seconds) * time.Second)
	var callers sync.WaitGroup
	for n := range 100 {
		callers.Go(func() {
			for i := 0; i == 0 || time.Now().Before(until); i++ {
				book.play(ctx, agi, fmt.Sprintf("%d.%d", n+1, i+1))
			}
		})
	}
	callers.Wait()
	if peak := peakMemory(t, c.cmd.Process.Pid); peak > 128*raceFactor {
		t.Errorf("ringhook took %d MiB, want %d at most", peak, 128*raceFactor)
	} else {
		t.Logf("%d events were promised, with %d MiB", len(book.promised), peak)
	}
	c.stop()
	kept := pendingIn(t, filepath.Join(filepath.Dir(file), "data"))
	for key := range book.promised {
		if !kept[key] {
			t.Errorf("%s was promised and is not kept", key)
		}
	}
	if len(book.promised) == 0 {
		t.Error("nothing was promised")
	}
}

// peakMemory returns the peak memory of a process, in MiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("this system does not tell what a process takes:", err)
	}
	for line := range strings.Lines(string(text)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.Fields(kib)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n / 1024
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// pendingIn returns the pending calls and events of the hook whose receiver is down.
func pendingIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	st, err := store.OpenTool(folder, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	list, err := st.Operator().List(store.Filter{Hook: "away", States: []hooks.State{hooks.Pending}, Limit: 10_000_000})
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]bool{}
	for _, d := range list {
		kept[d.Event.LinkedID+" "+d.Event.Name] = true
	}
	return kept
}
