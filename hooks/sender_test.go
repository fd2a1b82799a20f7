package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
	"ringhook/httpclient"
)

// crm is the receiver in tests with fake time.
type crm struct {
	mu     sync.Mutex
	times  []time.Time
	status int
	first  func() // called before an answer
}

func (c *crm) send(*httpclient.Request, time.Time) (*httpclient.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times = append(c.times, time.Now())
	if c.first != nil {
		c.first()
	}
	return &httpclient.Response{Status: c.status}, nil
}

func (c *crm) answer(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

func (c *crm) before(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = f
}

func (c *crm) attempts() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.times)
}

// inBubble runs a dispatcher with one hook and a receiver in fake time.
func inBubble(t *testing.T, outbox *hooktest.Outbox, cfg hooks.Config, test func(d *hooks.Dispatcher, c *crm)) {
	t.Helper()
	d, err := hooks.New([]hooks.Config{cfg}, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	c := &crm{status: 200}
	d.SetSend(cfg.Name, c.send)
	d.Start()
	test(d, c)
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRetriesFollowTheSchedule checks the times of the attempts.
func TestRetriesFollowTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		cfg := hookTo("crm", "http://crm.example/")
		cfg.GiveUp = 4 * time.Hour // more than the first four delays, each a fifth longer
		inBubble(t, outbox, cfg, func(d *hooks.Dispatcher, c *crm) {
			c.answer(500)
			start := time.Now()
			id := outbox.Add(event("1.1", 1), "crm")[0]
			d.Wake("crm")
			time.Sleep(5 * time.Hour)
			synctest.Wait()
			times := c.attempts()
			// Immediately, then after 5 s, 5 min, 30 min, 2 h and at the end.
			if len(times) != 6 || times[0] != start {
				t.Fatalf("attempts at %v", times)
			}
			if last := times[5].Sub(start); last.Round(time.Second) != cfg.GiveUp {
				t.Errorf("the last attempt came after %v", last)
			}
			row := outbox.Row(id)
			if row.State != hooks.Dead || len(row.Attempts) != 6 {
				t.Errorf("got state %v after %d attempts", row.State, len(row.Attempts))
			}
		})
	})
}

// TestScheduleSurvivesARestart checks that a planned attempt is made at its time after a restart, not before
// (F28).
func TestScheduleSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		cfg := hookTo("crm", "http://crm.example/")
		var id int64
		inBubble(t, outbox, cfg, func(d *hooks.Dispatcher, c *crm) {
			c.answer(500)
			id = outbox.Add(event("1.1", 1), "crm")[0]
			d.Wake("crm")
			time.Sleep(time.Minute)
			if n := len(c.attempts()); n != 2 {
				t.Fatalf("%d attempts", n)
			}
		})
		due := outbox.Row(id).Next
		inBubble(t, outbox, cfg, func(_ *hooks.Dispatcher, c *crm) {
			time.Sleep(time.Until(due) + time.Second)
			if times := c.attempts(); len(times) != 1 || times[0].Before(due) {
				t.Errorf("attempts at %v, want one at %v", times, due)
			}
		})
		if row := outbox.Row(id); row.State != hooks.Delivered || len(row.Attempts) != 3 {
			t.Errorf("got %+v", row)
		}
	})
}

// TestOutboxFails checks that results that the outbox cannot store are stored later, and that their
// deliveries are not sent again until then (F11).
func TestOutboxFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		inBubble(t, outbox, hookTo("crm", "http://crm.example/"), func(d *hooks.Dispatcher, c *crm) {
			outbox.Fail(errors.New("disk full"))
			outbox.Add(event("1.1", 1), "crm")
			d.Wake("crm")
			time.Sleep(time.Minute)
			if n := len(c.attempts()); n != 0 {
				t.Errorf("%d attempts while the outbox cannot be read", n)
			}
			outbox.Fail(nil)
			time.Sleep(2 * time.Second)
			if n := len(c.attempts()); n != 1 || outbox.Pending() != 0 {
				t.Errorf("%d attempts after it can be read again, %d pending", n, outbox.Pending())
			}
		})
	})
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		inBubble(t, outbox, hookTo("crm", "http://crm.example/"), func(d *hooks.Dispatcher, c *crm) {
			d.SetSend("crm", func(req *httpclient.Request, deadline time.Time) (*httpclient.Response, error) {
				outbox.Fail(errors.New("disk full"))
				return c.send(req, deadline)
			})
			outbox.Add(event("1.1", 1), "crm")
			d.Wake("crm")
			time.Sleep(time.Minute)
			outbox.Fail(nil)
			time.Sleep(2 * time.Second)
			if n := len(c.attempts()); n != 1 || outbox.Pending() != 0 {
				t.Errorf("%d attempts, %d pending", n, outbox.Pending())
			}
		})
	})
}

// TestFindsDueDeliveries checks that a delivery made due by another process is found without a Wake.
func TestFindsDueDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		inBubble(t, outbox, hookTo("crm", "http://crm.example/"), func(_ *hooks.Dispatcher, _ *crm) {
			time.Sleep(time.Hour)
			outbox.Add(event("1.1", 1), "crm")
			time.Sleep(5*time.Second + 100*time.Millisecond) // results wait for a shared commit
			synctest.Wait()
			if outbox.Pending() != 0 {
				t.Error("not delivered after 5 s")
			}
		})
	})
}

// TestHookThatIsGone checks that deliveries of a removed hook are kept, and continue after it is added
// again.
func TestHookThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		outbox.Add(event("1.1", 1), "old")
		inBubble(t, outbox, hookTo("crm", "http://crm.example/"), func(_ *hooks.Dispatcher, _ *crm) {
			time.Sleep(time.Hour)
		})
		if outbox.Pending() != 1 {
			t.Error("the delivery is lost")
		}
		inBubble(t, outbox, hookTo("old", "http://crm.example/"), func(_ *hooks.Dispatcher, _ *crm) {
			time.Sleep(time.Second)
		})
		if outbox.Pending() != 0 {
			t.Error("not delivered after the hook was added again")
		}
	})
}

// deaf is an outbox that counts the queries for due deliveries.
type deaf struct {
	*hooktest.Outbox
	mu    sync.Mutex
	asked int
}

func (o *deaf) Due(hook string, now time.Time, limit int, underWay ...int64) ([]hooks.Delivery, error) {
	o.mu.Lock()
	o.asked++
	o.mu.Unlock()
	return o.Outbox.Due(hook, now, limit, underWay...)
}

func (o *deaf) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

// TestOffer checks that an offered delivery is sent once, without a query of the outbox.
func TestOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := &deaf{Outbox: hooktest.NewOutbox()}
		cfg := hookTo("crm", "http://crm.example/")
		d, err := hooks.New([]hooks.Config{cfg}, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		c := &crm{status: 200}
		d.SetSend(cfg.Name, c.send)
		d.Start()
		synctest.Wait()
		before := outbox.count()
		offer := func(ids ...int64) {
			for _, id := range ids {
				row := outbox.Row(id)
				d.Offer(&row.Delivery)
			}
			time.Sleep(100 * time.Millisecond) // results wait for a shared commit
			synctest.Wait()
		}
		first := outbox.Add(event("1.1", 1), "crm")
		offer(first...)
		if n := len(c.attempts()); n != 1 || outbox.Pending() != 0 || outbox.count() != before {
			t.Errorf("%d attempts, %d pending, %d queries: want one, none and none", n, outbox.Pending(), outbox.count()-before)
		}
		// A delivery that the outbox returned before it is offered is not sent again.
		second := outbox.Add(event("1.2", 1), "crm")
		d.Wake("crm")
		synctest.Wait()
		offer(second...)
		if n := len(c.attempts()); n != 2 {
			t.Errorf("%d attempts, want 2", n)
		}
		// More than the queue holds: none is lost.
		var many []int64
		for i := range 500 {
			many = append(many, outbox.Add(event(fmt.Sprint("2.", i), 1), "crm")...)
		}
		offer(many...)
		if n := len(c.attempts()); n != 502 || outbox.Pending() != 0 {
			t.Errorf("%d attempts, %d pending, want 502 and none", n, outbox.Pending())
		}
		// Deliveries offered while the receiver is down wait like all others.
		time.Sleep(time.Hour)
		c.answer(500)
		for i := range 20 {
			offer(outbox.Add(event(fmt.Sprint("3.", i), 1), "crm")...)
		}
		n := len(c.attempts())
		offer(outbox.Add(event("4.1", 1), "crm")...)
		if got := len(c.attempts()); got != n || n >= 522 {
			t.Errorf("%d attempts after %d at a receiver that is down", got, n)
		}
		c.answer(200)
		time.Sleep(time.Hour)
		if outbox.Pending() != 0 {
			t.Errorf("%d pending after the receiver recovered", outbox.Pending())
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestRateLeavesTheRestInTheOutbox checks that no delivery waits in memory for the rate: one that is dropped meanwhile is
// not sent, and the others are sent as soon as the rate allows it.
func TestRateLeavesTheRestInTheOutbox(t *testing.T) {
	for limit, interval := range map[string]time.Duration{"1/m": time.Minute, "2/s": 500 * time.Millisecond} {
		t.Run(limit, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testRate(t, limit, interval) })
		})
	}
}

// testRate checks a rate that allows an attempt after each interval, for a receiver that takes two seconds.
func testRate(t *testing.T, limit string, interval time.Duration) {
	outbox := hooktest.NewOutbox()
	cfg := hookTo("crm", "http://crm.example/")
	cfg.Rate, cfg.Burst = limit, 2
	inBubble(t, outbox, cfg, func(d *hooks.Dispatcher, c *crm) {
		d.SetSend("crm", func(req *httpclient.Request, deadline time.Time) (*httpclient.Response, error) {
			defer time.Sleep(2 * time.Second)
			return c.send(req, deadline)
		})
		var ids []int64
		for n := range 10 {
			ids = append(ids, outbox.Add(event(fmt.Sprint("1.", n), 1), "crm")...)
		}
		start := time.Now()
		d.Wake("crm")
		time.Sleep(interval / 2)
		if _, err := outbox.Settle(t.Context(), []hooks.Result{{Delivery: ids[3], State: hooks.Dropped}}); err != nil {
			t.Fatal(err)
		}
		row := outbox.Row(outbox.Add(event("2.1", 1), "crm")[0])
		d.Offer(&row.Delivery)
		time.Sleep(9*interval + 3*time.Second)
		synctest.Wait()
		times := c.attempts()
		if len(times) != 10 || outbox.Pending() != 0 || len(outbox.Row(ids[3]).Attempts) != 0 {
			t.Fatalf("%d attempts, %d pending, dropped: %+v", len(times), outbox.Pending(), outbox.Row(ids[3]))
		}
		for n, at := range times {
			if want := time.Duration(max(0, n-1)) * interval; at.Sub(start).Round(interval/50) != want {
				t.Errorf("attempt %d after %v, want %v", n, at.Sub(start), want)
			}
		}
	})
}

// TestOfferWhileClosing checks that deliveries offered during Close stay in the outbox for the next
// dispatcher.
func TestOfferWhileClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		cfg := hookTo("crm", "http://crm.example/")
		d, err := hooks.New([]hooks.Config{cfg}, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		answer := make(chan struct{})
		d.SetSend(cfg.Name, func(*httpclient.Request, time.Time) (*httpclient.Response, error) {
			<-answer
			return &httpclient.Response{Status: 200}, nil
		})
		first := outbox.Row(outbox.Add(event("1.1", 1), "crm")[0])
		d.Start()
		synctest.Wait()
		ended := make(chan error)
		go func() { ended <- d.Close(context.Background()) }()
		synctest.Wait()
		second := outbox.Row(outbox.Add(event("1.2", 1), "crm")[0])
		d.Offer(&second.Delivery)
		close(answer)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := outbox.Row(first.ID).State; got != hooks.Delivered {
			t.Errorf("after the attempt in progress its state is %v, want delivered", got)
		}
		if got := outbox.Row(second.ID).State; got != hooks.Pending {
			t.Errorf("the last offered delivery is %v, want pending", got)
		}
	})
}

// TestNewBesideABacklog checks that a new delivery does not wait for all overdue ones, such as those after a
// restart (F28).
func TestNewBesideABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := hooktest.NewOutbox()
		const backlog, fresh = 4000, 200
		for call := range backlog {
			outbox.Add(event(fmt.Sprint("1.", call), 1), "crm")
		}
		d, err := hooks.New([]hooks.Config{hookTo("crm", "http://crm.example/")}, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		d.SetSend("crm", func(*httpclient.Request, time.Time) (*httpclient.Response, error) {
			time.Sleep(200 * time.Millisecond) // 40 a second, all of them 100 s
			return &httpclient.Response{Status: 200}, nil
		})
		d.Start()
		var ids []int64
		for range fresh { // 10 a second
			time.Sleep(100 * time.Millisecond)
			row := outbox.Row(outbox.Add(event(fmt.Sprint("2.", outbox.Last()), 1), "crm")[0])
			ids = append(ids, row.ID)
			d.Offer(&row.Delivery)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for _, id := range ids {
			if outbox.Row(id).State != hooks.Delivered {
				t.Errorf("delivery %d waits for overdue ones", id)
			}
		}
		if n := outbox.Pending(); n < backlog/2 {
			t.Errorf("%d of %d overdue deliveries are left: the test proves nothing", n, backlog)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestDroppedWhileWaiting checks that a delivery that waits for a worker is not sent once an operator has dropped it.
func TestDroppedWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, cfg := hooktest.NewOutbox(), hookTo("crm", "http://crm.example/")
		cfg.Concurrency = 1
		inBubble(t, outbox, cfg, func(d *hooks.Dispatcher, c *crm) {
			c.before(func() { time.Sleep(2 * time.Second) })
			for call := range 20 {
				outbox.Add(event(fmt.Sprint("1.", call), 1), "crm")
			}
			d.Wake("crm")
			time.Sleep(time.Second)
			for id := int64(2); id <= 19; id++ {
				outbox.Drop(id)
			}
			time.Sleep(time.Hour)
			if n := len(c.attempts()); n != 2 || outbox.Pending() != 0 {
				t.Errorf("%d requests, want the first and the last; %d deliveries wait", n, outbox.Pending())
			}
		})
	})
}
