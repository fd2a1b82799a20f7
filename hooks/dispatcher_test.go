package hooks_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
	"ringhook/httpclient"
	"ringhook/test/wait"
)

func hookTo(name, url string) hooks.Config {
	c := hooks.DefaultConfig()
	c.Name, c.Events, c.URL = name, []string{"*"}, hooks.Addresses{url}
	return c
}

func event(call string, seq int) hooks.Event {
	id := fmt.Sprintf("msg_%s_%d", strings.ReplaceAll(call, ".", "_"), seq)
	return hooks.Event{
		ID: id, Name: "agent-dial", LinkedID: call, Seq: seq, Time: time.Now(),
		Params: map[string]any{"event": "agent-dial", "event_id": id, "linkedid": call, "seq": int64(seq), "callerid": "+79161234567"},
	}
}

// start runs a dispatcher until the test or the returned function ends it.
func start(t testing.TB, outbox hooks.Outbox, cfgs ...hooks.Config) (d *hooks.Dispatcher, stop func()) {
	t.Helper()
	d, err := hooks.New(cfgs, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	stop = sync.OnceFunc(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(stop)
	return d, stop
}

func waitUntil(t testing.TB, outbox *hooktest.Outbox, ok func() bool) {
	t.Helper()
	if err := outbox.WaitUntil(wait.Context(t), ok); err != nil {
		t.Fatal(err)
	}
}

func TestDelivered(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	crm.Play(hooktest.Step{Status: 202, Body: "thanks"})
	d, _ := start(t, outbox, hookTo("crm", crm.URL()+"/cti?ext=%seq%"))
	id := outbox.Add(event("1.1", 3), "crm")[0]
	d.Wake("crm")
	d.Wake("unknown")
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })

	row, got := outbox.Row(id), crm.Requests()[0]
	if row.State != hooks.Delivered || len(row.Attempts) != 1 || row.Attempts[0].Class != "delivered" || row.Attempts[0].Status != 202 || row.Attempts[0].Excerpt != "thanks" {
		t.Errorf("got row %+v", row)
	}
	if got.Method != "POST" || got.URL != "/cti?ext=3" || got.Header.Get("Content-Type") != "application/json" || !strings.Contains(got.Body, `"callerid":"+79161234567"`) {
		t.Errorf("got request %+v", got)
	}
	if got.Header.Get("webhook-id") != "msg_1_1_3" {
		t.Errorf("got webhook-id %q", got.Header.Get("webhook-id"))
	}
	sent, err := strconv.ParseInt(got.Header.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(sent, 0)).Abs() > time.Minute {
		t.Errorf("got webhook-timestamp %q", got.Header.Get("webhook-timestamp"))
	}
}

func TestStatusOnTheWire(t *testing.T) {
	f := func(step hooktest.Step, state hooks.State, class string) {
		t.Helper()
		crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
		crm.Play(step)
		id := outbox.Add(event("1.1", 1), "crm")[0]
		_, stop := start(t, outbox, hookTo("crm", crm.URL()))
		waitUntil(t, outbox, func() bool { return len(outbox.Row(id).Attempts) > 0 })
		stop()
		row := outbox.Row(id)
		if row.State != state || row.Attempts[0].Class != class || row.Attempts[0].Status != step.Status || len(crm.Requests()) != 1 {
			t.Errorf("%d: got %+v", step.Status, row)
		}
		if state == hooks.Pending && !row.Next.After(row.Attempts[0].Started) {
			t.Errorf("%d: next attempt %v after the first", step.Status, row.Next.Sub(row.Attempts[0].Started))
		}
	}
	f(hooktest.Step{Status: 200}, hooks.Delivered, "delivered")
	f(hooktest.Step{Status: 204}, hooks.Delivered, "delivered")
	f(hooktest.Step{Status: 302, Location: "/elsewhere"}, hooks.Pending, "redirect")
	f(hooktest.Step{Status: 400}, hooks.Pending, "rejected")
	f(hooktest.Step{Status: 404}, hooks.Pending, "rejected")
	f(hooktest.Step{Status: 410}, hooks.Dead, "gone")
	f(hooktest.Step{Status: 429, RetryAfter: "60"}, hooks.Pending, "limited")
	f(hooktest.Step{Status: 500}, hooks.Pending, "server")
	f(hooktest.Step{Status: 503}, hooks.Pending, "server")
}

func TestNoAnswer(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	crm.Play(hooktest.Step{Wait: make(chan struct{})})
	slow := hookTo("slow", crm.URL())
	slow.Timeout = 100 * time.Millisecond
	closed := hooktest.NewReceiver(t)
	closed.Answer(func(hooktest.Request) hooktest.Step { return hooktest.Step{Reset: true} })
	ids := outbox.Add(event("1.1", 1), "slow", "reset", "nobody", "dns")
	_, stop := start(t, outbox, slow, hookTo("reset", closed.URL()), hookTo("nobody", "http://127.0.0.1:1/"), hookTo("dns", "http://crm.invalid/"))
	waitUntil(t, outbox, func() bool {
		for _, id := range ids {
			if len(outbox.Row(id).Attempts) == 0 {
				return false
			}
		}
		return true
	})
	stop()
	for i, want := range []string{"timeout", "connect", "connect", "dns"} {
		row := outbox.Row(ids[i])
		if row.State != hooks.Pending || row.Attempts[0].Class != want || row.Attempts[0].Excerpt == "" {
			t.Errorf("%s: got %+v", row.Hook, row)
		}
	}
	if n := len(closed.Requests()); n != 2 {
		t.Errorf("the receiver that resets saw %d requests, want one and its second try", n)
	}
}

// TestSecondTryAfterReset checks that a connection that the receiver closed while it was idle uses no
// attempt.
func TestSecondTryAfterReset(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	crm.Play(hooktest.Step{}, hooktest.Step{Reset: true}, hooktest.Step{})
	d, _ := start(t, outbox, hookTo("crm", crm.URL()))
	for seq := range 2 {
		id := outbox.Add(event("1.1", seq+1), "crm")[0]
		d.Wake("crm")
		waitUntil(t, outbox, func() bool { return outbox.Row(id).State == hooks.Delivered })
		if n := len(outbox.Row(id).Attempts); n != 1 {
			t.Errorf("delivery %d: %d attempts", id, n)
		}
	}
	got := crm.Requests()
	if len(got) != 3 || got[1].Header.Get("webhook-id") != got[2].Header.Get("webhook-id") {
		t.Errorf("got %d requests", len(got))
	}
}

// TestOrderUnderFailures checks that the first successful delivery of a call's event follows that of the
// previous event, with any failures and delays (F27).
func TestOrderUnderFailures(t *testing.T) {
	const calls, events = 40, 6
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(1, 2))
	crm.Answer(func(hooktest.Request) hooktest.Step {
		mu.Lock()
		defer mu.Unlock()
		return []hooktest.Step{{}, {}, {}, {Status: 500}, {Status: 404}, {Reset: true}}[random.IntN(6)]
	})
	outbox.Hurry()
	for seq := range events {
		for call := range calls {
			outbox.Add(event(fmt.Sprint("1.", call), seq+1), "crm")
		}
	}
	start(t, outbox, hookTo("crm", crm.URL()))
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })

	last := make(map[string]int)
	for _, r := range crm.Requests() {
		var call, seq int
		if _, err := fmt.Sscanf(r.Header.Get("webhook-id"), "msg_1_%d_%d", &call, &seq); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprint(call)
		if seq != last[key] && seq != last[key]+1 {
			t.Fatalf("call %d: event %d came after %d", call, seq, last[key])
		}
		last[key] = seq
	}
	if len(last) != calls {
		t.Errorf("got events of %d calls", len(last))
	}
}

// TestSlowHookDelaysNoOther checks that a receiver that never answers does not delay another hook
// (T-HOOK-05).
func TestSlowHookDelaysNoOther(t *testing.T) {
	hole, crm, outbox := hooktest.NewReceiver(t), hooktest.NewReceiver(t), hooktest.NewOutbox()
	open := make(chan struct{})
	hole.Answer(func(hooktest.Request) hooktest.Step { return hooktest.Step{Wait: open} })
	const calls = 200
	for call := range calls {
		outbox.Add(event(fmt.Sprint("1.", call), 1), "hole", "crm")
	}
	slow := hookTo("hole", hole.URL())
	slow.Timeout = time.Minute
	_, stop := start(t, outbox, slow, hookTo("crm", crm.URL()))
	waitUntil(t, outbox, func() bool { return outbox.Pending() == calls })
	if n := len(hole.Requests()); n > slow.Concurrency {
		t.Errorf("%d attempts in progress at the hook that hangs, want at most %d", n, slow.Concurrency)
	}
	close(open)
	stop()
}

// TestStopAndReopen checks that after any stop the next dispatcher continues and nothing is lost.
func TestStopAndReopen(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	const calls, events = 30, 4
	for seq := range events {
		for call := range calls {
			outbox.Add(event(fmt.Sprint("1.", call), seq+1), "crm")
		}
	}
	for round := 1; outbox.Pending() > 0; round++ {
		_, stop := start(t, outbox, hookTo("crm", crm.URL()))
		if _, err := crm.Wait(wait.Context(t), min(round*10, calls*events)); err != nil {
			t.Fatal(err)
		}
		stop()
	}
	seen := make(map[string]int)
	for _, r := range crm.Requests() {
		seen[r.Header.Get("webhook-id")]++
	}
	if len(seen) != calls*events || len(crm.Requests()) != calls*events {
		t.Errorf("%d events in %d requests, want %d: a stop lets attempts finish", len(seen), len(crm.Requests()), calls*events)
	}
}

// TestCloseDoesNotWaitForEver checks that an attempt that outlives Close does not change its delivery.
func TestCloseDoesNotWaitForEver(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	open := make(chan struct{})
	crm.Answer(func(hooktest.Request) hooktest.Step { return hooktest.Step{Wait: open} })
	id := outbox.Add(event("1.1", 1), "crm")[0]
	d, err := hooks.New([]hooks.Config{hookTo("crm", crm.URL())}, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := crm.Wait(ctx, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := d.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(open)
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if row := outbox.Row(id); row.State != hooks.Pending || len(row.Attempts) != 0 {
		t.Errorf("got %+v", row)
	}
}

// TestPoison checks that an event whose attempt panics is dead, and that the other deliveries continue (F36,
// F38).
func TestPoison(t *testing.T) {
	outbox := hooktest.NewOutbox()
	bad, worse := event("1.1", 1), event("1.2", 1)
	poison := outbox.Add(bad, "crm")[0]
	outbox.Add(event("1.1", 2), "crm")
	outbox.Add(worse, "crm")
	var log bytes.Buffer
	d, err := hooks.New([]hooks.Config{hookTo("crm", "http://crm.example/")}, outbox, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	crm := &crm{status: 200}
	d.SetSend("crm", func(req *httpclient.Request, deadline time.Time) (*httpclient.Response, error) {
		if slices.Contains(req.Header, [2]string{"webhook-id", bad.ID}) || slices.Contains(req.Header, [2]string{"webhook-id", worse.ID}) {
			panic("poisoned")
		}
		return crm.send(req, deadline)
	})
	d.Start()
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "panic in delivery"); n != 2 || !strings.Contains(log.String(), "repeated=1") { // the second is the summary
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	row := outbox.Row(poison)
	if row.State != hooks.Dead || row.Attempts[0].Class != "poison" || !strings.Contains(row.Attempts[0].Excerpt, "poisoned") {
		t.Errorf("got %+v", row)
	}
	if n := len(crm.attempts()); n != 1 {
		t.Errorf("%d requests, want that of the next event", n)
	}
}

// TestSecretsStayInside checks that only the receiver gets a secret (T-SEC-01).
func TestSecretsStayInside(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	echo := hooktest.Step{Status: 500, Body: "no: Bearer hush-1 hush-2 hush%2F3 hush-4"}
	crm.Play(echo, echo)
	c := hookTo("crm", crm.URL()+"/?api_key=hush-2")
	c.Headers = map[string]string{"Authorization": "Bearer hush-1", "X-Odd": "hush-6", "Accept": "text/plain", "Content-Type": "application/vnd.crm+json"}
	c.Settings = map[string]string{"password": "hush/3"}
	c.Secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("hush hush hush hush hush"))
	c.Params = map[string]string{"pw": "%password%", "token": "hush-4", "who": "%callerid%"}
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	d, err := hooks.New([]hooks.Config{c}, outbox, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), reg)
	if err != nil {
		t.Fatal(err)
	}
	ev := event("1.1", 1)
	id := outbox.Add(ev, "crm")[0]
	d.Start()
	waitUntil(t, outbox, func() bool { return len(outbox.Row(id).Attempts) > 0 })
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := crm.Requests()[0]
	if sent := got.URL + got.Header.Get("Authorization") + got.Header.Get("X-Odd") + got.Body; strings.Count(sent, "hush") != 5 {
		t.Errorf("the receiver got %q", sent)
	}
	preview, err := d.Render(&ev, "crm")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(preview.Body, "+79161234567") || preview.Method != "POST" || !strings.Contains(fmt.Sprint(preview.Headers), "text/plain") {
		t.Errorf("preview: got %+v", preview)
	}
	if _, err := d.Render(&ev, "other"); err == nil {
		t.Error("preview of an unknown hook")
	}
	for name, text := range map[string]string{"log": log.String(), "row": fmt.Sprint(outbox.Row(id)), "preview": fmt.Sprint(preview)} {
		if strings.Contains(text, "hush") {
			t.Errorf("%s shows a secret: %s", name, text)
		}
	}
	if strings.Contains(log.String(), "9161234567") {
		t.Errorf("log shows a number: %s", log.String())
	}

	c.URL = hooks.Addresses{"http://u:hush-5@crm.example/?api_key=hush-2"}
	if d, err = hooks.New([]hooks.Config{c}, outbox, slog.New(slog.DiscardHandler), reg); err != nil {
		t.Fatal(err)
	}
	if preview, err = d.Render(&ev, "crm"); err != nil || strings.Contains(fmt.Sprint(preview), "hush") {
		t.Errorf("preview: got %+v, %v", preview, err)
	}
	c.URL = hooks.Addresses{"http://u:hush-5@crm.example/100%/?api_key=hush-2"}
	if _, err := hooks.New([]hooks.Config{c}, outbox, slog.New(slog.DiscardHandler), reg); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("got error %v", err)
	}
}

func TestMetrics(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	crm.Play(hooktest.Step{Status: 500})
	outbox.Hurry()
	reg := prometheus.NewRegistry()
	for range 2 { // like a reload
		d, err := hooks.New([]hooks.Config{hookTo("crm", crm.URL()), hookTo("other", crm.URL())}, outbox, slog.New(slog.DiscardHandler), reg)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := testutil.GatherAndCount(reg, "ringhook_hook_duration_seconds"); n != 8 || err != nil {
			t.Errorf("%d series of durations, %v; want all of the closed set", n, err)
		}
		outbox.Add(event("1.1", 1), "crm")
		d.Start()
		waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := `
# HELP ringhook_hook_retries_total Attempts of deliveries after their first.
# TYPE ringhook_hook_retries_total counter
ringhook_hook_retries_total{hook="crm"} 1
ringhook_hook_retries_total{hook="other"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "ringhook_hook_retries_total"); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	reg := prometheus.NewRegistry()
	for _, cfgs := range [][]hooks.Config{
		{hookTo("a", "http://crm.example/"), hookTo("a", "http://crm.example/")},
		{hookTo("a", "crm.example")},
		{{}},
	} {
		if _, err := hooks.New(cfgs, hooktest.NewOutbox(), slog.New(slog.DiscardHandler), reg); err == nil {
			t.Errorf("%+v: accepted", cfgs)
		}
	}
}

func TestTry(t *testing.T) {
	crm := hooktest.NewReceiver(t)
	crm.Play(hooktest.Step{Status: 503, Body: "token=hush-1 is wrong"})
	cfgs := []hooks.Config{hookTo("crm", crm.URL()+"/?token=hush-1")}
	log, ev := slog.New(slog.DiscardHandler), event("1.1", 1)
	preview, attempt, wanted, err := hooks.Try(cfgs, hooks.Shared{}, &ev, "crm", log)
	if err != nil || !wanted || attempt.Class != "server" || attempt.Status != 503 || attempt.Excerpt != "token=*** is wrong" || !strings.HasSuffix(preview.URL, "/?token=***") {
		t.Errorf("got %+v, %+v, %v", preview, attempt, err)
	}
	if got := crm.Requests(); len(got) != 1 || got[0].URL != "/?token=hush-1" {
		t.Errorf("got %+v", got)
	}
	if _, _, _, err := hooks.Try(cfgs, hooks.Shared{}, &ev, "other", log); err == nil {
		t.Error("Try of an unknown hook succeeded")
	}
}

// TestNoGoroutineIsLeft checks that closed dispatchers leave no goroutine (F30).
func TestNoGoroutineIsLeft(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	run := func() {
		d, stop := start(t, outbox, hookTo("crm", crm.URL()), hookTo("nobody", "http://127.0.0.1:1/"))
		outbox.Add(event("1.1", 1), "crm")
		d.Wake("crm")
		waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
		stop()
	}
	for range 20 {
		run()
	}
	stacks := make([]byte, 1<<20)
	wait.Until(t, func() bool { // a goroutine that has said that it is done is still there for a moment
		return !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("hooks.(*sender)"))
	}, "a sender still runs")
}
