package store

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/lookup"
)

// flush waits until what was put is written, or could not be.
func flush(t testing.TB, c *Cache) {
	t.Helper()
	_ = c.do(context.Background(), func(*conn) error { return nil })
}

func TestCache(t *testing.T) {
	clock := newClock()
	s := testStore(t, clock.now)
	c := s.Cache()
	put := func(key, number string, missing bool, life time.Duration) {
		c.Put(lookup.Entry{Key: key, Lookup: "crm", Number: number, Missing: missing, Vars: []byte("name=Zoë"), Stored: clock.now(), Expires: clock.now().Add(life)})
		flush(t, c)
	}
	get := func(key string, want bool) lookup.Entry {
		t.Helper()
		e, ok := c.Get(key)
		if ok != want {
			t.Errorf("get %s: got %v, want %v", key, ok, want)
		}
		return e
	}
	get("k1", false)
	put("k1", "+1", false, time.Hour)
	put("k2", "+1", true, time.Minute)
	put("k3", "+2", false, time.Hour)
	e := get("k1", true)
	if e.Lookup != "crm" || e.Number != "+1" || e.Missing || string(e.Vars) != "name=Zoë" || !e.Stored.Equal(clock.now()) || !e.Expires.Equal(clock.now().Add(time.Hour)) {
		t.Errorf("got %+v", e)
	}
	if e := get("k2", true); !e.Missing {
		t.Errorf("got %+v", e)
	}
	clock.add(time.Minute)
	get("k2", false)
	if list, err := c.Show("+1"); err != nil || len(list) != 2 {
		t.Errorf("show: %v, %v", list, err)
	}
	if n, err := c.Forget(context.Background(), "+1"); n != 2 || err != nil {
		t.Errorf("forget: %d, %v", n, err)
	}
	get("k1", false)
	get("k3", true)
	if err := c.Clear(context.Background()); err != nil || c.Len() != 0 {
		t.Errorf("clear: %v, %d left", err, c.Len())
	}
}

// T-CACHE-03: a flood of numbers that nobody knows does not put out those in
// use, and the cache keeps its bound.
func TestCacheBound(t *testing.T) {
	clock := newClock()
	cfg := testConfig(t)
	cfg.CacheRows = 2000
	s := mustOpen(t, cfg, clock.now)
	defer mustClose(t, s)
	c := s.Cache()
	put := func(key string, missing bool, life time.Duration) {
		for range 2 {
			c.Put(lookup.Entry{Key: key, Number: key, Missing: missing, Stored: clock.now(), Expires: clock.now().Add(life)})
			if len(c.tasks) < cacheBatch {
				return
			}
			flush(t, c)
		}
	}
	for i := range 1000 {
		put(fmt.Sprint("hot", i), false, 24*time.Hour)
	}
	for i := range 20_000 {
		put(fmt.Sprint("strange", i), true, time.Hour)
	}
	flush(t, c)
	flush(t, c)
	if n := c.Len(); n > 2000+cacheBatch {
		t.Errorf("%d entries, the bound is 2000", n)
	}
	clock.add(recentFor)
	hot := 0
	for i := range 1000 {
		if _, ok := c.Get(fmt.Sprint("hot", i)); ok {
			hot++
		}
	}
	if hot < 900 { // the worst are found by chance, so a few of the good go too
		t.Errorf("%d of 1000 answers in use are left", hot)
	}
	clock.add(2 * time.Hour)
	for i := range 500 { // used again, so the other half goes first
		c.Get(fmt.Sprint("hot", i))
	}
	for i := range 3000 {
		put(fmt.Sprint("new", i), false, time.Hour)
	}
	flush(t, c)
	clock.add(recentFor)
	left := [2]int{}
	for i := range 1000 {
		if _, ok := c.Get(fmt.Sprint("hot", i)); ok {
			left[i/500]++
		}
	}
	if left[0] < 2*left[1] {
		t.Errorf("left of those used again: %d, of the others: %d", left[0], left[1])
	}
}

// What a tool removes in a process of its own is gone after a moment.
func TestCacheForgottenElsewhere(t *testing.T) {
	clock := newClock()
	s := testStore(t, clock.now)
	c := s.Cache()
	c.Put(lookup.Entry{Key: "k", Number: "+1", Stored: clock.now(), Expires: clock.now().Add(time.Hour)})
	flush(t, c)
	if _, ok := c.Get("k"); !ok {
		t.Fatal("not found")
	}
	tool, err := OpenTool(s.folder, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := tool.Cache().Forget(context.Background(), "+1"); n != 1 || err != nil {
		t.Fatalf("forget: %d, %v", n, err)
	}
	mustClose(t, tool)
	clock.add(recentFor)
	if _, ok := c.Get("k"); ok {
		t.Error("still given after it was removed")
	}
}

func TestCacheWriterBehind(t *testing.T) {
	s := testStore(t, time.Now)
	c := s.Cache()
	hold, entered := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = c.do(context.Background(), func(*conn) error {
			close(entered)
			<-hold
			return nil
		})
	})
	<-entered
	for i := range cacheRoom + 5 {
		c.Put(lookup.Entry{Key: fmt.Sprint(i), Expires: time.Now().Add(time.Hour)})
	}
	if got := testutil.ToFloat64(s.meter.cacheLost); got != 5 {
		t.Errorf("dropped: got %v, want 5", got)
	}
	if _, ok := c.Get("1"); !ok { // and does not wait for the writer
		t.Error("an answer that was just given is not found")
	}
	if _, ok := c.Get("none"); ok {
		t.Error("found what was never put")
	}
	close(hold)
	wg.Wait()
}
