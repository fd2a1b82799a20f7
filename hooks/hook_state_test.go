package hooks_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
)

// disabledMetric returns the metric of a disabled hook crm.
func disabledMetric(t *testing.T, reg *prometheus.Registry, want int) {
	t.Helper()
	text := fmt.Sprintf("# HELP ringhook_hook_disabled 1 if nothing is sent to the hook until an operator enables it: ringhook hook list says why.\n"+
		"# TYPE ringhook_hook_disabled gauge\nringhook_hook_disabled{hook=\"crm\"} %d\nringhook_hook_disabled{hook=\"ops\"} 0\n", want)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(text), "ringhook_hook_disabled"); err != nil {
		t.Error(err)
	}
}

// withOps runs a hook crm, whose receiver answers with a status, and a hook ops that gets the event when
// crm is disabled.
func withOps(t *testing.T, outbox *hooktest.Outbox, cfg hooks.Config, status int, test func(d *hooks.Dispatcher, crm, ops *crm, reg *prometheus.Registry)) {
	t.Helper()
	watch := hookTo("ops", "http://ops.example/")
	watch.Events = []string{"ringhook.*"}
	reg := prometheus.NewRegistry()
	d, err := hooks.New([]hooks.Config{cfg, watch}, outbox, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	one, two := &crm{status: status}, &crm{status: 200}
	d.SetSend("crm", one.send)
	d.SetSend("ops", two.send)
	d.Start()
	synctest.Wait()
	test(d, one, two, reg)
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestGone checks that a hook whose receiver answers 410 is disabled, also after a restart, until an
// administrator enables it. Its pending deliveries are dead and remain so, and other hooks get the event
// (F34).
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		cfg := hookTo("crm", "http://crm.example/")
		cfg.Concurrency = 1
		withOps(t, outbox, cfg, 200, func(d *hooks.Dispatcher, crm, ops *crm, reg *prometheus.Registry) {
			disabledMetric(t, reg, 0)
			crm.answer(410)
			for call := range 10 {
				for seq := range 10 {
					outbox.Add(event(fmt.Sprint("1.", call), seq+1), "crm")
				}
			}
			d.Wake("crm")
			time.Sleep(time.Minute)
			outbox.Add(event("1.99", 1), "crm")
			d.Wake("crm")
			time.Sleep(time.Minute)
			for id := range outbox.Last() {
				row := outbox.Row(id + 1)
				if row.Hook == "crm" && (row.State != hooks.Dead || row.Attempts[0].Class != "gone") {
					t.Fatalf("got %+v", row)
				}
			}
			if n := len(crm.attempts()); n != 1 {
				t.Errorf("%d requests", n)
			}
			disabledMetric(t, reg, 1)
			if n := len(ops.attempts()); n != 1 {
				t.Fatalf("%d other hooks got the event, want 1", n)
			}
		})
		events := 0
		for id := range outbox.Last() {
			if ev := outbox.Row(id + 1).Event; ev.Name == hooks.HookDisabled {
				events++
				if ev.Params["hook"] != "crm" || ev.Params["reason"] != "gone" || ev.ID == "" || strings.Contains(ev.ID, ".") {
					t.Errorf("event %+v", ev)
				}
			}
		}
		if events != 1 {
			t.Errorf("%d events report that the hook is disabled, want one for the hook that names the event", events)
		}

		id := outbox.Add(event("2.1", 1), "crm")[0]
		withOps(t, outbox, cfg, 200, func(d *hooks.Dispatcher, crm, ops *crm, reg *prometheus.Registry) {
			time.Sleep(time.Minute)
			disabledMetric(t, reg, 1)
			if row := outbox.Row(id); row.State != hooks.Dead || len(crm.attempts())+len(ops.attempts()) != 0 {
				t.Errorf("after a restart: %+v, %d requests, %d events", row, len(crm.attempts()), len(ops.attempts()))
			}
			outbox.Enable("crm")
			time.Sleep(time.Minute)
			disabledMetric(t, reg, 0)
			if n := len(crm.attempts()); n != 0 {
				t.Errorf("enabling the hook sent %d deliveries again", n)
			}
			outbox.Add(event("2.1", 2), "crm")
			d.Wake("crm")
			time.Sleep(time.Second)
			if n := len(crm.attempts()); n != 1 {
				t.Errorf("%d requests after it was enabled, want 1", n)
			}
			crm.answer(410)
			outbox.Add(event("2.1", 3), "crm")
			d.Wake("crm")
			time.Sleep(time.Minute)
			if n := len(ops.attempts()); n != 1 {
				t.Errorf("disabled again, and %d events", n)
			}
		})
		// Another URL is another receiver.
		cfg.URL = hooks.Addresses{"http://new.example/"}
		id = outbox.Add(event("3.1", 1), "crm")[0]
		withOps(t, outbox, cfg, 200, func(_ *hooks.Dispatcher, _, _ *crm, reg *prometheus.Registry) {
			time.Sleep(time.Second)
			disabledMetric(t, reg, 0)
		})
		if row := outbox.Row(id); row.State != hooks.Delivered {
			t.Errorf("got %+v", row)
		}
	})
}

// TestBreakerSurvivesARestart checks that repeated restarts do not overload a receiver that is down (F28).
func TestBreakerSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		for call := range 100 {
			outbox.Add(event(fmt.Sprint("1.", call), 1), "crm")
		}
		began, attempts := time.Now(), 0
		for time.Since(began) < 20*time.Minute {
			withOps(t, outbox, hookTo("crm", "http://crm.example/"), 500, func(_ *hooks.Dispatcher, crm, _ *crm, _ *prometheus.Registry) {
				time.Sleep(10 * time.Second)
				attempts += len(crm.attempts())
			})
		}
		// 10 to open the breaker, those in progress then, and one each time it is half-open.
		if attempts > 26+8 {
			t.Errorf("%d attempts in 120 starts", attempts)
		}
		inBubble(t, outbox, hookTo("crm", "http://crm.example/"), func(*hooks.Dispatcher, *crm) { time.Sleep(15 * time.Minute) })
		if n := outbox.Pending(); n != 0 {
			t.Errorf("%d deliveries are still pending", n)
		}
		if st, err := outbox.State("crm"); err != nil || st != (hooks.HookState{Hook: "crm"}) {
			t.Errorf("the state of a healthy receiver is stored: %+v, %v", st, err)
		}
	})
}

// TestSilent checks that a receiver that accepts nothing for five days counts as gone, for all kinds of
// failures and across restarts: at the start it has already failed for almost five days (F35).
func TestSilent(t *testing.T) {
	for _, status := range []int{404, 500} {
		synctest.Test(t, func(t *testing.T) {
			outbox := hooktest.NewOutbox()
			cfg := hookTo("crm", "http://crm.example/")
			outbox.Add(event("1.1", 1), "crm")
			began := time.Now()
			withOps(t, outbox, cfg, status, func(d *hooks.Dispatcher, crm, ops *crm, _ *prometheus.Registry) {
				for call := range 12 {
					outbox.Add(event(fmt.Sprint("2.", call), 1), "crm")
				}
				d.Wake("crm")
				time.Sleep(time.Minute)
			})
			st, err := outbox.State("crm")
			if err != nil || !st.Since.Equal(began) || st.Failures != 10 || st.Disabled != "" {
				t.Fatalf("%d: got %+v, %v", status, st, err)
			}
			st.Since = st.Since.Add(-119 * time.Hour)
			if err := outbox.SetState(t.Context(), st, nil, nil); err != nil {
				t.Fatal(err)
			}
			withOps(t, outbox, cfg, status, func(d *hooks.Dispatcher, crm, ops *crm, _ *prometheus.Registry) {
				time.Sleep(50 * time.Minute)
				if len(ops.attempts()) != 0 || outbox.Pending() == 0 {
					t.Errorf("%d: disabled too early", status)
				}
				time.Sleep(2 * time.Hour)
				if len(ops.attempts()) != 1 || outbox.Pending() != 0 {
					t.Errorf("%d: %d events, %d deliveries are pending; want the hook disabled", status, len(ops.attempts()), outbox.Pending())
				}
			})
			if st, err = outbox.State("crm"); err != nil || st.Disabled != "silent" || st.DisabledAt.Before(began.Add(time.Hour)) {
				t.Errorf("%d: got %+v, %v", status, st, err)
			}
			last := outbox.Row(2).Attempts
			if c := last[len(last)-1].Class; c != "silent" {
				t.Errorf("%d: the pending deliveries are dead with class %s", status, c)
			}
		})
	}
}

// TestHookStateIsKeptLater checks that a state that cannot be stored is stored later, and the event is sent
// once.
func TestHookStateIsKeptLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		withOps(t, outbox, hookTo("crm", "http://crm.example/"), 200, func(d *hooks.Dispatcher, crm, ops *crm, _ *prometheus.Registry) {
			crm.answer(410)
			crm.before(func() { outbox.Fail(fmt.Errorf("disk full")) })
			outbox.Add(event("1.1", 1), "crm")
			d.Wake("crm")
			time.Sleep(time.Minute)
			if n := len(crm.attempts()); n != 1 {
				t.Errorf("%d requests while nothing can be stored", n)
			}
			outbox.Fail(nil)
			time.Sleep(time.Minute)
			if st, err := outbox.State("crm"); err != nil || st.Disabled != "gone" || len(ops.attempts()) != 1 {
				t.Errorf("got %+v, %v, %d events", st, err, len(ops.attempts()))
			}
		})
	})
}

// TestCopies checks a hook with several URLs: each gets every event with the same id, and one that is down
// does not delay another.
func TestCopies(t *testing.T) {
	one, two, outbox := hooktest.NewReceiver(t), hooktest.NewReceiver(t), hooktest.NewOutbox()
	two.Answer(func(hooktest.Request) hooktest.Step { return hooktest.Step{Status: 500} })
	cfg := hookTo("journal", one.URL()+"/cti")
	cfg.Schedule = "fast"
	cfg.URL = append(cfg.URL, two.URL()+"/copy?call=%linkedid%")
	reg := prometheus.NewRegistry()
	d, err := hooks.New([]hooks.Config{cfg}, outbox, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(d.Names()); got != "[journal journal.2]" {
		t.Fatalf("names: got %s", got)
	}
	d.Start()
	defer d.Close(t.Context())
	var first, second []int64
	for seq := range 3 {
		ev := event("1.1", seq+1)
		routes := d.Match(&ev)
		if len(routes) != 2 || routes[0].Hook != "journal" || routes[1].Hook != "journal.2" {
			t.Fatalf("routes: got %+v", routes)
		}
		first = append(first, outbox.Add(ev, "journal")...)
		second = append(second, outbox.Add(ev, "journal.2")...)
		d.WakeAll()
	}
	waitUntil(t, outbox, func() bool {
		for _, id := range first {
			if outbox.Row(id).State != hooks.Delivered {
				return false
			}
		}
		return len(outbox.Row(second[0]).Attempts) > 0
	})
	copies := two.Requests()
	if n := len(outbox.Row(second[1]).Attempts); n != 0 {
		t.Errorf("the copy got its second event before the first was accepted, %d times", n)
	}
	if copies[0].URL != "/copy?call=1.1" || copies[0].Header.Get("webhook-id") != one.Requests()[0].Header.Get("webhook-id") {
		t.Errorf("the copy got %+v", copies[0])
	}
	if n, err := testutil.GatherAndCount(reg, "ringhook_hook_duration_seconds"); n != 8 || err != nil {
		t.Errorf("%d series of durations, %v; want each copy's", n, err)
	}
}
