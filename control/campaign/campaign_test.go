package campaign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/control/switching"
	"ringhook/loglimit"
	"ringhook/lookup/number"
	"ringhook/store/desk"
)

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns what was written.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

type silent struct{}

func (silent) Connected(context.Context) error    { return nil }
func (silent) Event(context.Context, ami.Message) {}
func (silent) Tick(context.Context)               {}
func (silent) Disconnected()                      {}

// bench is a runner with a store on disk and a fake Asterisk.
type bench struct {
	t      *testing.T
	pbx    *amitest.Server
	client *ami.Client
	folder string
	store  *desk.Desk
	runner *Runner
	end    func() // of the runner

	mu     sync.Mutex
	called map[string]string // number by id; guarded by mu
	times  map[string]int    // of each number; guarded by mu
	open   map[string]bool   // calls by id; guarded by mu
	most   int               // open calls at once; guarded by mu
	config Config            // guarded by mu
}

var numbers = number.NewReader(number.Config{Country: "DE", Language: "en"})

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, pbx: amitest.New(), folder: t.TempDir(), called: map[string]string{}, times: map[string]int{}, open: map[string]bool{}, config: DefaultConfig()}
	b.config.Hours = ""
	b.pbx.AnswerFunc("Getvar", func(r *amitest.Request) string {
		b.mu.Lock()
		defer b.mu.Unlock()
		if id := r.Get("Channel"); id != "" && !b.open[id] {
			return amitest.Text("Response: Error", "ActionID: {id}", "Message: No such channel")
		}
		return amitest.Text("Response: Success", "ActionID: {id}", "Variable: x", "Value: 1")
	})
	b.pbx.AnswerFunc("CoreShowChannels", func(*amitest.Request) string {
		b.mu.Lock()
		defer b.mu.Unlock()
		var items []string
		for id := range b.open {
			items = append(items, amitest.Text("Event: CoreShowChannel", "Channel: Local/x@c-1;1", "Uniqueid: "+id, "Linkedid: "+id))
		}
		return amitest.List("CoreShowChannels", items...)
	})
	b.pbx.AnswerFunc("Originate", func(r *amitest.Request) string {
		_, rest, _ := strings.Cut(r.Get("Channel"), "Local/")
		to, _, _ := strings.Cut(rest, "@")
		b.mu.Lock()
		defer b.mu.Unlock()
		b.called[r.Get("ChannelId")] = to
		b.times[to]++
		b.open[r.Get("ChannelId")] = true
		b.most = max(b.most, len(b.open))
		return amitest.Text("Response: Success", "ActionID: {id}", "Message: Originate successfully queued")
	})
	address, err := b.pbx.Listen()
	if err != nil {
		t.Fatal(err)
	}
	b.client, err = ami.New(ami.Config{Name: "pbx", Address: address, Username: amitest.Username, Secret: amitest.Secret}, nil, slog.New(slog.DiscardHandler), ami.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := b.client.Start(ctx, silent{})
	b.start()
	t.Cleanup(func() {
		b.stop()
		cancel()
		<-done
		b.pbx.Close()
	})
	b.until("connected", func() bool { return b.client.Connected() })
	return b
}

// start begins as a new process does.
func (b *bench) start() {
	b.t.Helper()
	var err error
	if b.store, err = desk.Make(b.folder); err != nil {
		b.t.Fatal(err)
	}
	settings := func() Settings {
		b.mu.Lock()
		defer b.mu.Unlock()
		return Settings{Config: b.config, Numbers: numbers, Dialled: switching.NewNumbers(nil, []string{"*"}, nil).Dialled}
	}
	b.runner = New(b.store, func(string) *ami.Client { return b.client }, settings, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	b.end = cancel
	if err := b.runner.Start(ctx); err != nil {
		b.t.Fatal(err)
	}
}

// stop ends the process.
func (b *bench) stop() {
	b.end()
	b.runner.Wait()
	if err := b.store.Close(); err != nil {
		b.t.Error(err)
	}
}

func (b *bench) until(what string, is func() bool) {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// ids returns the ids of the calls that were begun, by their numbers.
func (b *bench) ids() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	byNumber := map[string]string{}
	for id, to := range b.called {
		byNumber[to] = id
	}
	return byNumber
}

// result sends the result of the call to a number, and ends it.
func (b *bench) result(to, response, reason, cause string) {
	b.t.Helper()
	b.response(to, response, reason)
	b.hangup(to, cause)
}

// answer has a number answer, and talk on.
func (b *bench) answer(to string) {
	b.t.Helper()
	b.response(to, "Success", "4")
}

func (b *bench) response(to, response, reason string) {
	b.t.Helper()
	b.until(to+" is called", func() bool { return b.ids()[to] != "" })
	id := b.ids()[to]
	b.pbx.Send(amitest.Text("Event: Newchannel", "Channel: Local/"+to+"@c-1;1", "Uniqueid: "+id, "Linkedid: "+id))
	b.pbx.Send(amitest.Text("Event: OriginateResponse", "Response: "+response, "Uniqueid: "+id, "Reason: "+reason))
}

func (b *bench) hangup(to, cause string) {
	id := b.ids()[to]
	b.mu.Lock()
	delete(b.open, id)
	b.mu.Unlock()
	b.pbx.Send(amitest.Text("Event: Hangup", "Channel: Local/"+to+"@c-1;1", "Uniqueid: "+id, "Linkedid: "+id, "Cause: "+cause, "Cause-txt: x"))
}

func (b *bench) add(id string, parallel int, list ...string) map[string]string {
	b.t.Helper()
	var entries []Entry
	for _, n := range list {
		entries = append(entries, Entry{Number: n})
	}
	_, refused, err := b.runner.Add(desk.Campaign{ID: id, Who: "test", Server: "pbx", Target: "menu"}, Options{Context: "c", Timeout: time.Second, Parallel: parallel}, entries)
	if err != nil {
		b.t.Fatal(err)
	}
	return refused
}

// TestRefusalsAreCounted has Asterisk refuse every call: the log has the first refusal, not one for each number.
func TestRefusalsAreCounted(t *testing.T) {
	b := newBench(t)
	b.pbx.Answer("Originate", amitest.Text("Response: Error", "ActionID: {id}", "Message: Permission denied"))
	var log bytes.Buffer
	b.runner.limited = loglimit.New(slog.New(slog.NewTextHandler(&log, nil)), time.Hour)
	list := make([]string, 60)
	for i := range list {
		list[i] = fmt.Sprint("+4930234567", 10+i)
	}
	b.add("c1", 5, list...)
	b.until("all numbers are done", func() bool {
		c, _, err := b.store.Campaign("c1")
		return err == nil && c.State == desk.CampaignDone
	})
	b.runner.limited.Close()
	if n := strings.Count(log.String(), "call refused"); n != 2 || !strings.Contains(log.String(), "repeated=59") {
		t.Errorf("the log has the first refusal and the number of others %d times:\n%s", n, &log)
	}
}

// results lists the result of each number.
func (b *bench) results(id string) map[string]string {
	b.t.Helper()
	list, err := b.store.CampaignNumbers(id)
	if err != nil {
		b.t.Fatal(err)
	}
	found := map[string]string{}
	for _, n := range list {
		found[n.Number] = n.State + " " + n.Result
	}
	return found
}

func (b *bench) ended(id, state string) {
	b.t.Helper()
	b.until("campaign "+id+" is "+state, func() bool {
		c, found, err := b.store.Campaign(id)
		return err == nil && found && c.State == state
	})
}

// TestRun calls a list, two at a time.
func TestRun(t *testing.T) {
	b := newBench(t)
	refused := b.add("a", 2, "201", "202", "203", "204", "2 0 1", "x", "205")
	if len(refused) != 2 || refused["2 0 1"] == "" || refused["x"] == "" {
		t.Errorf("refused %v", refused)
	}
	b.until("two are called", func() bool { return len(b.ids()) == 2 })
	b.result("201", "Success", "4", "16")
	b.result("202", "Failure", "5", "17")
	b.result("203", "Failure", "3", "0")
	b.result("204", "Failure", "0", "21")
	b.result("205", "Failure", "0", "34")
	b.ended("a", desk.CampaignDone)
	want := map[string]string{"201": "done answered", "202": "done busy", "203": "done no-answer", "204": "done rejected", "205": "done failed"}
	if got := b.results("a"); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if b.most != 2 {
		t.Errorf("%d calls were open at once, want 2", b.most)
	}
}

// TestLineAfterEnd checks that no number is called once the campaign has ended, although the end frees the lines of calls
// that go on.
func TestLineAfterEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := lines{free: make(chan struct{}, 1)}
	for range 100 { // select takes either at random
		if l.acquire(ctx) {
			t.Fatal("a line was acquired after the end")
		}
	}
	if len(l.free) > 0 {
		t.Error("the line is in use")
	}
}

// TestRestart ends the program in the middle. Those who were being called are not called again, and those who
// were not, are, as soon as Asterisk no longer has one of the former calls.
func TestRestart(t *testing.T) {
	b := newBench(t)
	b.add("a", 2, "201", "202", "203", "204")
	b.result("201", "Success", "4", "16")
	b.until("two are being called", func() bool { return len(b.ids()) == 3 })
	b.stop()
	b.start()
	asked := func() int { return len(b.pbx.Requests("Getvar")) }
	first := asked()
	b.until("Asterisk is asked for the former calls, again and again", func() bool { return asked() >= first+4 })
	if b.ids()["204"] != "" {
		t.Error("204 is called although two calls are open")
	}
	b.hangup("202", "16")
	b.result("204", "Success", "4", "16")
	b.hangup("203", "16")
	b.ended("a", desk.CampaignDone)
	if b.most != 2 {
		t.Errorf("%d calls were open at once, want 2", b.most)
	}
	want := map[string]string{"201": "done answered", "202": "done unclear", "203": "done unclear", "204": "done answered"}
	if got := b.results("a"); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for n, times := range b.times {
		if times != 1 {
			t.Errorf("%s was called %d times", n, times)
		}
	}
}

// TestLost loses the connection in the middle: what happened to the calls is not known. They count as open until Asterisk
// no longer has them, also one that was answered before.
func TestLost(t *testing.T) {
	b := newBench(t)
	b.add("a", 1, "201", "202", "203")
	b.until("one is called", func() bool { return len(b.ids()) == 1 })
	b.pbx.Drop()
	b.until("the result is there", func() bool { return b.results("a")["201"] == "done unclear" })
	b.hangup("201", "16")
	b.until("the other is called", func() bool { return len(b.ids()) == 2 })
	b.answer("202")
	b.until("the result is there", func() bool { return b.results("a")["202"] == "done answered" })
	b.pbx.Drop()
	b.until("the third is called, or Asterisk is asked for the second", func() bool {
		asked := b.pbx.Requests("Getvar")
		return len(b.ids()) == 3 || len(asked) > 0 && asked[len(asked)-1].Get("Channel") == b.ids()["202"]
	})
	b.hangup("202", "16")
	b.result("203", "Failure", "5", "17")
	b.ended("a", desk.CampaignDone)
	if b.most != 1 {
		t.Errorf("%d calls were open at once, want 1", b.most)
	}
	if got := b.results("a"); got["201"] != "done unclear" || got["202"] != "done answered" {
		t.Errorf("got %v", got)
	}
}

// TestEndNotSeen checks what a campaign with a call whose end is not seen does and logs: it waits for the call while
// Asterisk has it, and while Asterisk cannot be asked, but not if Asterisk refuses to say whether it has the call.
func TestEndNotSeen(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(b *bench)
		log     []string
		waits   bool
	}{
		{"talks on", func(b *bench) {}, []string{`level=INFO msg="campaign waits for a call whose end is not seen" campaign=a linkedid=`}, true},
		{"cannot be asked", func(b *bench) {
			b.pbx.AnswerFunc("Getvar", func(*amitest.Request) string { go b.pbx.Drop(); return "" })
		},
			[]string{`level=WARN msg="campaign paused" campaign=a err=`}, true},
		{"may not be asked", func(b *bench) {
			b.pbx.AnswerFunc("Getvar", func(r *amitest.Request) string {
				if r.Get("Channel") != "" {
					return amitest.Text("Response: Error", "ActionID: {id}", "Message: Permission denied")
				}
				return amitest.Text("Response: Success", "ActionID: {id}", "Variable: x", "Value: 1")
			})
		}, []string{`level=WARN msg="campaign does not wait for a call" campaign=a linkedid=`, "Permission denied"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			var log lockedBuffer
			b.runner.limited = loglimit.New(slog.New(slog.NewTextHandler(&log, nil)), time.Hour)
			b.add("a", 1, "201", "202")
			b.until("one is called", func() bool { return len(b.ids()) == 1 })
			c.prepare(b)
			b.pbx.Drop()
			for _, line := range c.log {
				b.until(line, func() bool { return strings.Contains(log.String(), line) })
			}
			if c.waits {
				if len(b.ids()) != 1 {
					t.Error("202 is called although the call to 201 may be open")
				}
				return
			}
			b.until("the other is called", func() bool { return len(b.ids()) == 2 })
		})
	}
}

// TestStop ends a campaign. A call in progress has its result all the same.
func TestStop(t *testing.T) {
	b := newBench(t)
	b.add("a", 1, "201", "202")
	b.until("one is called", func() bool { return len(b.ids()) == 1 })
	for want := range slices.Values([]bool{true, false}) {
		if stopped, err := b.runner.Stop("a"); err != nil || stopped != want {
			t.Errorf("got %t, %v", stopped, err)
		}
	}
	b.result("201", "Failure", "5", "17")
	b.until("the result is there", func() bool { return b.results("a")["201"] == "done busy" })
	b.stop()
	b.start()
	if got := b.results("a"); got["202"] != "waiting " || len(b.ids()) != 1 {
		t.Errorf("got %v, %v", got, b.ids())
	}
}

// TestStopAndRestart ends the program while a number of a stopped campaign is being called, and one of a campaign that is
// done although its result could not be stored: both are unclear after the next start.
func TestStopAndRestart(t *testing.T) {
	b := newBench(t)
	b.add("a", 1, "201", "202")
	b.until("one is called", func() bool { return len(b.ids()) == 1 })
	if stopped, err := b.runner.Stop("a"); err != nil || !stopped {
		t.Errorf("got %t, %v", stopped, err)
	}
	b.add("b", 1, "203")
	b.result("203", "Success", "4", "16")
	b.ended("b", desk.CampaignDone)
	if err := b.store.SettleNumber("b", 0, desk.NumberCalling, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b.start()
	if got, want := b.results("a"), map[string]string{"201": "done unclear", "202": "waiting "}; !maps.Equal(got, want) {
		t.Errorf("stopped: got %v, want %v", got, want)
	}
	if got, want := b.results("b"), map[string]string{"203": "done unclear"}; !maps.Equal(got, want) {
		t.Errorf("done: got %v, want %v", got, want)
	}
}

// fullStore refuses results of calls as a full disk does.
type fullStore struct {
	Store
	refuse atomic.Int32 // the number of results that are still refused
}

// SettleNumber implements Store.
func (s *fullStore) SettleNumber(campaign string, n int, state, result string, when time.Time) error {
	if s.refuse.Add(-1) >= 0 {
		return errors.New("disk full")
	}
	return s.Store.SettleNumber(campaign, n, state, result, when)
}

// TestFullDisk checks that results that could not be stored, of a call and of one that was refused, are stored later.
func TestFullDisk(t *testing.T) {
	b := newBench(t)
	store := &fullStore{Store: b.store}
	b.runner.store = store
	store.refuse.Store(1)
	b.add("a", 1, "201")
	b.result("201", "Failure", "5", "17")
	b.ended("a", desk.CampaignDone)
	if got, want := b.results("a"), map[string]string{"201": "done busy"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	store.refuse.Store(1)
	b.pbx.AnswerFunc("Originate", func(*amitest.Request) string {
		return amitest.Text("Response: Error", "ActionID: {id}", "Message: Permission denied")
	})
	b.add("b", 1, "202")
	b.ended("b", desk.CampaignDone)
	if got, want := b.results("b"), map[string]string{"202": "done failed"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestHours calls those whose day it is, and refuses whose time is not known.
func TestHours(t *testing.T) {
	b := newBench(t)
	now := time.Now()
	berlin := numbers.Normalize("+49301234567").RegionTime(now)
	hour, _ := strconv.Atoi(berlin[:2])
	b.mu.Lock()
	b.config.Hours = "00:00-24:00"
	b.mu.Unlock()
	if refused := b.add("a", 1, "+49301234567", "201"); refused["201"] == "" || len(refused) != 1 {
		t.Errorf("refused %v", refused)
	}
	b.result("+49301234567", "Success", "4", "16")
	b.ended("a", desk.CampaignDone)
	b.mu.Lock()
	if b.config.Hours = "00:00-00:01"; hour < 12 {
		b.config.Hours = "23:00-24:00"
	}
	b.mu.Unlock()
	b.add("b", 1, "+49301234568")
	b.until("the campaign has looked", func() bool {
		next, more, err := b.runner.next("b")
		return next == nil && more && err == nil
	})
	b.stop()
	b.start()
	if got := b.results("b"); got["+49301234568"] != "waiting " || len(b.ids()) != 1 {
		t.Errorf("got %v", got)
	}
}

// TestResume checks that a campaign which another node has stored is called when the runner looks for it, and that a runner whose
// context has ended continues at the next start.
func TestResume(t *testing.T) {
	b := newBench(t)
	mine := b.runner
	b.runner = New(b.store, nil, mine.settings, slog.New(slog.DiscardHandler)) // that of a node which makes no calls
	b.add("a", 1, "201", "202")
	if len(b.ids()) != 0 {
		t.Fatal("the other node calls")
	}
	b.runner = mine
	for range 2 {
		if err := b.runner.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	b.until("one is called", func() bool { return len(b.ids()) == 1 })
	b.end()
	b.runner.Stopped()
	ctx, cancel := context.WithCancel(context.Background())
	b.end = cancel
	if err := b.runner.Start(ctx); err != nil {
		t.Fatal(err)
	}
	b.until("the first is unclear", func() bool { return b.results("a")["201"] == "done "+unclear })
	b.hangup("201", "16")
	b.until("the second is called", func() bool { return b.ids()["202"] != "" })
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.most != 1 || b.times["201"] != 1 {
		t.Errorf("%d calls at once, 201 called %d times", b.most, b.times["201"])
	}
}
