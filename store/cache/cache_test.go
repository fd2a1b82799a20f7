package cache

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/lookup"
	"ringhook/store/sqlite"
)

// clock is set by the test.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func plenty() bool { return true }

// testFile is a cache in a folder of its own, not opened yet.
func testFile(t testing.TB, rows int64, now func() time.Time) *Cache {
	m := Metrics{Errors: prometheus.NewCounter(prometheus.CounterOpts{}), Dropped: prometheus.NewCounter(prometheus.CounterOpts{})}
	return New(filepath.Join(t.TempDir(), File), 64<<20, rows, plenty, slog.New(slog.DiscardHandler), m, now)
}

// start opens a cache as a daemon does.
func start(t testing.TB, c *Cache) *Cache {
	t.Helper()
	c.Open()
	go c.Run() // Close waits for it
	t.Cleanup(c.Close)
	return c
}

func testCache(t testing.TB, now func() time.Time) *Cache {
	return start(t, testFile(t, 1_000_000, now))
}

// flush waits until what was put is written, or could not be.
func flush(t testing.TB, c *Cache) {
	t.Helper()
	_ = c.do(context.Background(), func(*sqlite.Conn) error { return nil })
}

func TestCache(t *testing.T) {
	clock := newClock()
	c := testCache(t, clock.now)
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
	if n, err := c.Forget(context.Background(), "+1"); n != 1 || err != nil { // what had expired went before
		t.Errorf("forget: %d, %v", n, err)
	}
	get("k1", false)
	get("k3", true)
	if err := c.Clear(context.Background()); err != nil || c.Len() != 0 {
		t.Errorf("clear: %v, %d left", err, c.Len())
	}
}

// A flood of unknown numbers does not push out the entries in use, and the cache stays
// within its limit.
func TestCacheBound(t *testing.T) {
	clock := newClock()
	c := start(t, testFile(t, 2000, clock.now))
	put := func(key string, missing bool, life time.Duration) {
		for range 2 {
			c.Put(lookup.Entry{Key: key, Number: key, Missing: missing, Stored: clock.now(), Expires: clock.now().Add(life)})
			if len(c.tasks) < batchSize {
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
	if n := c.Len(); n > 2000+batchSize {
		t.Errorf("%d entries, the bound is 2000", n)
	}
	clock.add(recentFor)
	hot := 0
	for i := range 1000 {
		if _, ok := c.Get(fmt.Sprint("hot", i)); ok {
			hot++
		}
	}
	if hot < 1000 {
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
	if left[0] == 0 || left[1] > 0 {
		t.Errorf("left of those used again: %d, of the others: %d", left[0], left[1])
	}
}

// What a tool removes in a process of its own is gone after a moment.
func TestCacheForgottenElsewhere(t *testing.T) {
	clock := newClock()
	c := testCache(t, clock.now)
	c.Put(lookup.Entry{Key: "k", Number: "+1", Stored: clock.now(), Expires: clock.now().Add(time.Hour)})
	flush(t, c)
	if _, ok := c.Get("k"); !ok {
		t.Fatal("not found")
	}
	tool := New(c.opening.Path, 0, 0, plenty, c.log, c.metrics, clock.now)
	tool.OpenBeside()
	go tool.Run()
	if n, err := tool.Forget(context.Background(), "+1"); n != 1 || err != nil {
		t.Fatalf("forget: %d, %v", n, err)
	}
	tool.Close()
	clock.add(recentFor)
	if _, ok := c.Get("k"); ok {
		t.Error("still given after it was removed")
	}
}

// TestCacheClockSetBack checks that what was forgotten, and what was used, while the clock was ahead does not last until that time.
func TestCacheClockSetBack(t *testing.T) {
	clock := newClock()
	c := testCache(t, clock.now)
	put := func(key, number string) {
		c.Put(lookup.Entry{Key: key, Number: number, Stored: clock.now(), Expires: clock.now().Add(time.Hour)})
		flush(t, c)
	}
	const years = 10 * 365 * 24 * time.Hour
	clock.add(years)
	put("ahead", "+2")
	if err := c.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	put("ahead", "+2")
	clock.add(-years)
	put("lost", "+1")         // the first write finds what lies in the future
	c.forgotten = forgotten{} // as after a restart
	put("k", "+1")
	c.recent.clear()
	if _, ok := c.Get("k"); !ok {
		t.Error("nothing is kept in the file after the clock was set back")
	}
	if _, ok := c.Get("ahead"); ok || c.Len() != 1 {
		t.Errorf("found %v, %d entries, want the one that was put now", ok, c.Len())
	}
}

func TestCacheWriterBehind(t *testing.T) {
	c := testCache(t, time.Now)
	hold, entered := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = c.do(context.Background(), func(*sqlite.Conn) error {
			close(entered)
			<-hold
			return nil
		})
	})
	<-entered
	for i := range queueSize + 5 {
		c.Put(lookup.Entry{Key: fmt.Sprint(i), Expires: time.Now().Add(time.Hour)})
	}
	if got := testutil.ToFloat64(c.metrics.Dropped); got != 5 {
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

func cacheKey(i int) string { return fmt.Sprintf("crm https://crm.example/who?phone=+7495%07d", i) }

func BenchmarkGet(b *testing.B) {
	for _, rows := range []int{10_000, 1_000_000} {
		c := testCache(b, time.Now)
		fillCache(b, c, rows)
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, ok := c.Get(cacheKey(rand.IntN(rows))); !ok {
						b.Fatal("not found")
					}
				}
			})
		})
	}
}

func fillCache(b testing.TB, c *Cache, rows int) {
	now := time.Now()
	for from := 0; from < rows; from += 10_000 {
		err := c.do(context.Background(), func(c *sqlite.Conn) error {
			for i := from; i < min(rows, from+10_000); i++ {
				e := lookup.Entry{Key: cacheKey(i), Lookup: "crm", Number: fmt.Sprintf("+7495%07d", i), Vars: make([]byte, 80), Stored: now, Expires: now.Add(time.Hour)}
				if _, err := c.Exec(putEntry, entryID(e.Key), e.Key, e.Lookup, e.Number, e.Missing, e.Vars, sqlite.ToMS(e.Stored), sqlite.ToMS(e.Expires), sqlite.ToMS(now), 0, sqlite.ToMS(now)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// A damaged cache is replaced, at the start and while it is open.
func TestDamagedCache(t *testing.T) {
	entry := lookup.Entry{Key: "k", Lookup: "crm", Number: "+1", Stored: time.Now(), Expires: time.Now().Add(time.Hour)}
	first := testFile(t, 1_000_000, time.Now)
	path := first.opening.Path
	again := func() *Cache {
		c := New(path, 64<<20, 1_000_000, plenty, first.log, first.metrics, time.Now)
		return start(t, c)
	}
	fillCache(t, start(t, first), 2000)
	first.Close()
	for name, damage := range map[string]func(){
		"garbage": func() { scribble(t, path, 0, 5000) },
		"newer": func() {
			db, err := sql.Open("sqlite3", path)
			if err == nil {
				_, err = db.Exec("pragma user_version = 99")
			}
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		},
		"zero length": func() { _ = os.Truncate(path, 0) },
	} {
		damage()
		c := again()
		if n := c.Len(); n != 0 {
			t.Errorf("%s: %d entries", name, n)
		}
		c.Put(entry)
		flush(t, c)
		if n := c.Len(); n != 1 {
			t.Errorf("%s: nothing kept", name)
		}
		c.Close()
	}

	c := again()
	fillCache(t, c, 5000)
	c.Close()
	scribble(t, path, 10*sqlite.PageSize, size(t, path)-10*sqlite.PageSize)
	c = again()
	for i := range 5000 {
		c.Get(cacheKey(i))
	}
	c.Put(entry)
	flush(t, c)
	c.Put(entry)
	flush(t, c)
	if list, err := c.Show("+1"); err != nil || len(list) != 1 {
		t.Error("not replaced while in use")
	}
	if testutil.ToFloat64(first.metrics.Errors) == 0 {
		t.Error("no error counted")
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func scribble(t *testing.T, path string, from, n int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(n)), from)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestGivesWay: without room the file does not grow, and when it is asked for its room
// it goes; what is forgotten meanwhile is no error, and with room again answers are kept.
func TestGivesWay(t *testing.T) {
	clock := newClock()
	c := testFile(t, 1000, clock.now)
	var enough atomic.Bool
	c.enough = enough.Load
	start(t, c)
	put := func() {
		c.Put(lookup.Entry{Key: "k", Number: "+1", Stored: clock.now(), Expires: clock.now().Add(time.Hour)})
		flush(t, c)
	}
	put()
	if n := c.Len(); n != 0 {
		t.Errorf("without room: %d entries", n)
	}
	if got := testutil.ToFloat64(c.metrics.Dropped); got != 1 {
		t.Errorf("dropped: got %v, want 1", got)
	}
	if freed := c.GiveBack(); freed == 0 {
		t.Error("nothing was given back")
	}
	if n, err := c.Forget(t.Context(), "+1"); n != 0 || err != nil {
		t.Errorf("forget: %d, %v", n, err)
	}
	if _, err := os.Stat(c.opening.Path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
	enough.Store(true)
	clock.add(time.Second)
	put()
	if n := c.Len(); n != 1 {
		t.Errorf("with room: %d entries", n)
	}
}

// TestRecentIsBounded: answers in memory take a bounded number of bytes, are not part
// of larger ones, and are dropped when their time is over.
func TestRecentIsBounded(t *testing.T) {
	clock := newClock()
	c := testFile(t, 1_000_000, clock.now) // its writer does not run
	page := bytes.Repeat([]byte("x"), 1<<20)
	key := string(page)
	for i := range 20_000 {
		c.Put(lookup.Entry{Key: key[i : i+100], Number: key[:10], Vars: page[:recentEntryBytes-200], Stored: clock.now(), Expires: clock.now().Add(time.Hour)})
		c.Put(lookup.Entry{Key: fmt.Sprint(i), Vars: page[:recentEntryBytes-200], Stored: clock.now(), Expires: clock.now().Add(time.Hour)})
	}
	c.Put(lookup.Entry{Key: "large", Vars: page, Expires: clock.now().Add(time.Hour)})
	var size int64
	held := func() (n int) {
		size = 0
		for i := range c.recent.slots {
			if e := c.recent.slots[i].Load(); e != nil {
				n++
				size += e.size()
				if cap(e.entry.Vars) > recentEntryBytes {
					t.Fatalf("an entry holds %d bytes", cap(e.entry.Vars))
				}
			}
		}
		return n
	}
	if n := held(); n == 0 || size > recentBytes || size != c.recent.bytes.Load() {
		t.Errorf("%d entries of %d bytes, counted %d, want at most %d", n, size, c.recent.bytes.Load(), recentBytes)
	}
	if queued := c.queued.Load(); queued > queueBytes {
		t.Errorf("%d bytes are queued, want at most %d", queued, queueBytes)
	}
	if _, ok := c.Get("large"); ok {
		t.Error("a large entry is held in memory")
	}
	clock.add(recentFor)
	c.sweep()
	if n := held(); n != 0 || c.recent.bytes.Load() != 0 {
		t.Errorf("%d entries of %d bytes are left", n, c.recent.bytes.Load())
	}
}

// TestForgetReachesRequests: an answer to a request that was under way when its number
// was forgotten, by this process or another, is not kept; a later one is.
func TestForgetReachesRequests(t *testing.T) {
	for name, forget := range map[string]func(c, tool *Cache) error{
		"here":            func(c, _ *Cache) error { _, err := c.Forget(t.Context(), "+1"); return err },
		"another process": func(_, tool *Cache) error { _, err := tool.Forget(t.Context(), "+1"); return err },
		"all, here":       func(c, _ *Cache) error { return c.Clear(t.Context()) },
		"all, elsewhere":  func(_, tool *Cache) error { return tool.Clear(t.Context()) },
	} {
		clock := newClock()
		c := testCache(t, clock.now)
		tool := New(c.opening.Path, 0, 0, plenty, c.log, c.metrics, clock.now)
		tool.OpenBeside()
		go tool.Run()
		put := func(asked time.Time) bool {
			c.Put(lookup.Entry{Key: "k", Number: "+1", Asked: asked, Stored: clock.now(), Expires: clock.now().Add(time.Hour)})
			flush(t, c)
			clock.add(recentFor)
			_, ok := c.Get("k")
			return ok
		}
		asked := clock.now()
		clock.add(time.Second)
		if err := forget(c, tool); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		clock.add(time.Second)
		if put(asked) {
			t.Errorf("%s: an answer came back that was asked for before", name)
		}
		if strings.HasSuffix(" "+name, " here") { // what another process forgets is gone after recentFor
			c.Put(lookup.Entry{Key: "k", Number: "+1", Asked: asked, Stored: clock.now(), Expires: clock.now().Add(time.Hour)})
			if _, ok := c.Get("k"); ok {
				t.Errorf("%s: an answer that was asked for before came back at once", name)
			}
			flush(t, c)
		}
		if !put(clock.now()) {
			t.Errorf("%s: a new answer is not kept", name)
		}
		tool.Close()
	}
}

// BenchmarkPut stores answers in a cache that is full.
func BenchmarkPut(b *testing.B) {
	c := start(b, testFile(b, 20_000, time.Now))
	fillCache(b, c, 20_000)
	i := 1_000_000
	b.ReportAllocs()
	for b.Loop() {
		i++
		now := time.Now()
		c.Put(lookup.Entry{Key: cacheKey(i), Lookup: "crm", Number: fmt.Sprintf("+7495%07d", i), Missing: i%3 == 0, Vars: make([]byte, 80), Stored: now, Expires: now.Add(time.Hour)})
		if i%1000 == 0 {
			flush(b, c)
		}
	}
}
