package httpclient

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// quota returns a Quota, and what it counts.
func quota(t *testing.T, text string, burst int) (*Quota, func() map[QuotaOutcome]int) {
	t.Helper()
	limiter := ParseRate(text, burst, func(key, problem string) { t.Errorf("%s %s", key, problem) })
	var mu sync.Mutex
	counts := map[QuotaOutcome]int{}
	q := NewQuota(limiter, func(o QuotaOutcome) {
		mu.Lock()
		defer mu.Unlock()
		counts[o]++
	})
	return q, func() map[QuotaOutcome]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(counts)
	}
}

// TestQuotaTakes checks what may be made at once.
func TestQuotaTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, counts := quota(t, "2/s", 5)
		if n := q.Take(3); n != 3 {
			t.Errorf("took %d of 3", n)
		}
		if n := q.Take(3); n != 2 {
			t.Errorf("took %d of the last 2", n)
		}
		q.Return(1)
		if n := q.Take(2); n != 1 {
			t.Errorf("took %d, one was given back", n)
		}
		time.Sleep(time.Second)
		if n := q.Take(9); n != 2 {
			t.Errorf("took %d after a second", n)
		}
		if n := counts(); len(n) != 0 {
			t.Errorf("counted %v", n)
		}
	})
}

// TestQuotaTurns checks the order and the times of turns: calls before others, but never two while others wait.
func TestQuotaTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, counts := quota(t, "1/s", 1)
		q.Take(1)
		start := time.Now()
		var mu sync.Mutex
		var order []string
		come := func(name string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name+"@"+time.Since(start).Round(time.Second).String())
		}
		var waiting sync.WaitGroup
		for _, name := range []string{"list", "hook"} {
			waiting.Go(func() {
				if err := q.Wait(t.Context()); err != nil {
					t.Error(err)
				}
				come(name)
			})
			synctest.Wait()
		}
		for _, name := range []string{"call 1", "call 2", "call 3"} {
			waiting.Go(func() {
				if err := q.WaitForCall(start.Add(time.Minute)); err != nil {
					t.Error(err)
				}
				come(name)
			})
			synctest.Wait()
		}
		if n := q.Take(1); n != 0 {
			t.Error("a request overtakes those that wait")
		}
		waiting.Wait()
		if want := []string{"call 1@1s", "list@2s", "call 2@3s", "hook@4s", "call 3@5s"}; !slices.Equal(order, want) {
			t.Errorf("order %q, want %q", order, want)
		}
		if n := counts(); n[QuotaWaited] != 5 || n[QuotaLate] != 0 {
			t.Errorf("counted %v", n)
		}
	})
}

// TestQuotaDeadline checks that a call does not wait if its turn comes after its deadline, nor longer than that.
func TestQuotaDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, counts := quota(t, "1/s", 1)
		q.Take(1)
		start := time.Now()
		var failure *Error
		if err := q.WaitForCall(start.Add(900 * time.Millisecond)); !errors.As(err, &failure) || failure.Class != ClassRate || !strings.Contains(err.Error(), "rate of the account") {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %v in vain", waited)
		}
		first, second := q.Join(), q.Join() // one of them overtakes the second call
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if err := q.WaitForCall(start.Add(1500 * time.Millisecond)); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if err := q.WaitForCall(start.Add(2900 * time.Millisecond)); err == nil {
			t.Error("a call waits for the third turn, which comes too late")
		}
		if err := q.WaitForCall(start.Add(3100 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		if !first.Come() || second.Come() {
			t.Error("not the first of the others came between the calls")
		}
		waiting.Wait()
		second.Leave()
		if n := counts(); n[QuotaLate] != 2 || n[QuotaWaited] != 2 {
			t.Errorf("counted %v", n)
		}
	})
}

// TestQuotaLeave checks that a place that is given up delays no other, and that a turn that was not used goes to the next.
func TestQuotaLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := quota(t, "1/s", 1)
		q.Take(1)
		first, second, third := q.Join(), q.Join(), q.Join()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.Wait(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		first.Leave()
		time.Sleep(time.Second)
		synctest.Wait()
		if !second.Come() || third.Come() {
			t.Error("the place of the first was not free")
		}
		second.Leave()
		if !third.Come() {
			t.Error("an unused turn is lost")
		}
		third.Leave()
		if n := q.Take(5); n != 1 {
			t.Errorf("%d may be made, one was given back", n)
		}
	})
}

// TestNoQuota checks that nil is no limit.
func TestNoQuota(t *testing.T) {
	var q *Quota
	if q.Take(7) != 7 || q.Wait(t.Context()) != nil || q.WaitForCall(time.Now()) != nil {
		t.Error("nil limits")
	}
	q.Return(1)
	var tokens *Tokens
	if tokens.Quota() != nil || NewQuota(ParseRate("", 0, nil), nil) != nil {
		t.Error("a limit without a rate")
	}
}

// TestQuotaBurst checks that requests that were taken and given back unused add nothing to the burst.
func TestQuotaBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _ := quota(t, "1/s", 5)
		for range 20 {
			q.Return(q.Take(130))
			time.Sleep(10 * time.Second)
		}
		if n := q.Take(130); n != 5 {
			t.Errorf("%d may be made at once after a pause, want the burst", n)
		}
		turn := q.Join()
		time.Sleep(time.Second)
		synctest.Wait()
		turn.Leave()
		time.Sleep(time.Minute)
		if n := q.Take(130); n != 5 {
			t.Errorf("%d may be made at once after a turn that was not used, want the burst", n)
		}
	})
}
