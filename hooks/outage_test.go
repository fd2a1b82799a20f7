package hooks_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
)

// TestOutage checks that an outage needs few attempts, and that after it no delivery waits for its next
// planned attempt.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		var ids []int64
		inBubble(t, outbox, hookTo("crm", "http://crm.example/"), func(d *hooks.Dispatcher, c *crm) {
			c.answer(500)
			for call := range 500 {
				ids = append(ids, outbox.Add(event(fmt.Sprint("1.", call), 1), "crm")...)
			}
			d.Wake("crm")
			time.Sleep(6 * time.Hour)
			down := len(c.attempts())
			// 10 to open the breaker, those in progress then, and one each time it is half-open.
			if down < 10+6 || down > 100 {
				t.Errorf("%d attempts in an outage of 6 h", down)
			}
			c.answer(200)
			time.Sleep(13 * time.Minute)
			synctest.Wait()
			if n := outbox.Pending(); n != 0 {
				t.Errorf("%d deliveries are still pending", n)
			}
			if n := len(c.attempts()) - down; n != 500 {
				t.Errorf("%d attempts for 500 deliveries", n)
			}
		})
		for _, id := range ids {
			if row := outbox.Row(id); row.State != hooks.Delivered {
				t.Fatalf("got %+v", row)
			}
		}
	})
}

// TestNoStormAfterAnOutage checks that a delivery that fails again after an outage waits by its schedule.
func TestNoStormAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		inBubble(t, outbox, hookTo("crm", "http://crm.example/"), func(d *hooks.Dispatcher, c *crm) {
			c.answer(500)
			for call := range 50 {
				outbox.Add(event(fmt.Sprint("1.", call), 1), "crm")
			}
			d.Wake("crm")
			time.Sleep(time.Hour)
			c.answer(200)
			for outbox.Pending() == 50 {
				time.Sleep(time.Second)
			}
			c.answer(404)
			before := len(c.attempts())
			time.Sleep(time.Second)
			if n := len(c.attempts()) - before; n > 50 {
				t.Errorf("%d attempts at once for 50 deliveries", n)
			}
		})
	})
}

// TestGivenUpWhileTheBreakerIsOpen checks that the deliveries of a receiver that is down for days are dead
// after give_up, although few were attempted (F35).
func TestGivenUpWhileTheBreakerIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		cfg := hookTo("crm", "http://crm.example/")
		cfg.GiveUp = time.Hour
		inBubble(t, outbox, cfg, func(d *hooks.Dispatcher, c *crm) {
			c.answer(500)
			for call := range 1000 {
				outbox.Add(event(fmt.Sprint("1.", call), 1), "crm")
			}
			d.Wake("crm")
			time.Sleep(2 * time.Hour)
			if n := outbox.Pending(); n != 0 {
				t.Errorf("%d deliveries are still pending", n)
			}
			if n := len(c.attempts()); n > 100 {
				t.Errorf("%d attempts", n)
			}
			row := outbox.Row(900)
			last := row.Attempts[len(row.Attempts)-1]
			if row.State != hooks.Dead || last.Class != "server" || last.Excerpt == "" {
				t.Errorf("got %+v", row)
			}
		})
	})
}

// TestRetryAfterOpensTheBreaker checks that Retry-After delays all deliveries of the hook.
func TestRetryAfterOpensTheBreaker(t *testing.T) {
	crm, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	crm.Play(hooktest.Step{Status: 503, RetryAfter: "3600"})
	cfg := hookTo("crm", crm.URL())
	cfg.Concurrency = 1
	_, stop := start(t, outbox, cfg)
	ids := make([]int64, 20)
	for call := range ids {
		ids[call] = outbox.Add(event(fmt.Sprint("1.", call), 1), "crm")[0]
	}
	waitUntil(t, outbox, func() bool { return len(outbox.Row(ids[0]).Attempts) == 1 })
	stop()
	if n := len(crm.Requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestWantedWhileTheBreakerIsOpen checks that a manual retry does not wait for the breaker: one attempt is
// made. If it succeeds, the other deliveries follow, otherwise the breaker stays open.
func TestWantedWhileTheBreakerIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		inBubble(t, outbox, hookTo("crm", "http://crm.example/"), func(d *hooks.Dispatcher, c *crm) {
			c.answer(500)
			for call := range 50 {
				outbox.Add(event(fmt.Sprint("1.", call), 1), "crm")
			}
			d.Wake("crm")
			untilShut := func() time.Duration {
				t.Helper()
				synctest.Wait()
				st, err := outbox.State("crm")
				if err != nil || !st.Until.After(time.Now()) {
					t.Fatalf("the breaker is not open: %+v, %v", st, err)
				}
				return time.Until(st.Until)
			}
			time.Sleep(2 * time.Hour)
			for untilShut() < 5*time.Minute {
				time.Sleep(time.Minute)
			}
			for range 20 {
				before := len(c.attempts())
				outbox.Open("crm")
				time.Sleep(2 * time.Second)
				if n := len(c.attempts()) - before; n != 1 {
					t.Fatalf("%d attempts, want one", n)
				}
				if wait := untilShut(); wait > 12*time.Minute {
					t.Errorf("open for %v", wait)
				}
			}
			c.answer(200)
			outbox.Open("crm")
			time.Sleep(10 * time.Second)
			if n := outbox.Pending(); n != 0 {
				t.Errorf("%d deliveries are still pending", n)
			}
		})
	})
}
