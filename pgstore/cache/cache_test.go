package cache

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"ringhook/lookup"
	"ringhook/pgstore/sidetest"
	"ringhook/store/cache"
	"ringhook/test/wait"
)

func TestMain(m *testing.M) { sidetest.Main(m) }

func counter() prometheus.Counter { return prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}) }

// newNode returns the cache of a node that does nothing in the background.
func newNode(t *testing.T, dsn string, limits Limits) *Cache {
	t.Helper()
	local := cache.New(filepath.Join(t.TempDir(), cache.File), 64<<20, 1000, func() bool { return true }, slog.New(slog.DiscardHandler), cache.Metrics{Errors: counter(), Dropped: counter()}, time.Now)
	local.Open()
	go local.Run()
	t.Cleanup(local.Close)
	c := newCache(sidetest.Open(t, dsn), local, limits, slog.New(slog.DiscardHandler), counter())
	c.askTime = wait.Limit // what this machine is slow at is not tested
	c.follows(t)
	return c
}

// follows removes what was forgotten on other nodes.
func (c *Cache) follows(t *testing.T) {
	t.Helper()
	for range 2 { // the first node only prepares the generation
		if err := c.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.behind.Store(false)
}

// stores stores what is queued.
func (c *Cache) stores(t *testing.T) {
	t.Helper()
	if err := c.put(c.more(nil)); err != nil {
		t.Fatal(err)
	}
}

// answers checks what a node answers for a key.
func (c *Cache) answers(t *testing.T, key, want string) {
	t.Helper()
	e, found := c.Get(key)
	if found != (want != "") || string(e.Vars) != want {
		t.Errorf("%s: got %q, %v, want %q", key, e.Vars, found, want)
	}
}

func entry(key, number, vars string, stored time.Time) lookup.Entry {
	return lookup.Entry{Key: key, Lookup: "crm", Number: number, Vars: []byte(vars), Stored: stored, Asked: stored, Expires: stored.Add(time.Hour)}
}

var roomy = Limits{Rows: 1000, Bytes: 1 << 30}

// TestShared checks that a node answers what another one has stored, once from the engine and then from its own cache, and that
// what was forgotten comes back on none.
func TestShared(t *testing.T) {
	dsn := sidetest.Database(t)
	a, b := newNode(t, dsn, roomy), newNode(t, dsn, roomy)
	now := time.Now()
	e := entry("k1", "+441", "Ada", now)
	a.Put(e)
	a.Put(entry("k2", "+442", "Ben", now))
	a.answers(t, "k1", "Ada")
	b.answers(t, "k1", "")
	a.stores(t)
	b.answers(t, "k1", "Ada")
	if list, err := b.Show("+441"); err != nil || len(list) != 1 || list[0].Lookup != "crm" || list[0].Stored.Sub(now).Abs() > time.Second {
		t.Errorf("shown: %+v, %v", list, err)
	}
	if n := b.Len(); n != 2 {
		t.Errorf("%d entries", n)
	}
	a.Put(entry("k1", "+441", "older", now.Add(-time.Minute)))
	a.stores(t)
	newNode(t, dsn, roomy).answers(t, "k1", "Ada")

	if n, err := a.Forget(t.Context(), "+441"); n != 1 || err != nil {
		t.Fatalf("forgotten: %d, %v", n, err)
	}
	a.answers(t, "k1", "")
	b.follows(t)
	b.answers(t, "k1", "")
	b.answers(t, "k2", "Ben")
	b.Put(e) // of a request from before
	b.stores(t)
	for _, c := range []*Cache{a, b} {
		c.answers(t, "k1", "")
	}
	b.Put(entry("k1", "+441", "Ada again", time.Now().Add(time.Second)))
	b.stores(t)
	a.answers(t, "k1", "Ada again")

	if err := b.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.follows(t)
	for _, c := range []*Cache{a, b} {
		c.answers(t, "k1", "")
		c.answers(t, "k2", "")
	}
}

// TestLostConnection checks that a node whose engine is back does not answer from its own cache before it has removed what was
// forgotten meanwhile, and that one that was away for long removes everything.
func TestLostConnection(t *testing.T) {
	dsn := sidetest.Database(t)
	a, b := newNode(t, dsn, roomy), newNode(t, dsn, roomy)
	for _, c := range []*Cache{a, b} {
		c.local.Put(entry("k1", "+441", "Ada", time.Now()))
		c.local.Put(entry("k2", "+442", "Ben", time.Now()))
	}
	b.behind.Store(true)
	b.answers(t, "k1", "")
	b.behind.Store(false)
	b.answers(t, "k1", "Ada")
	if _, err := a.Forget(t.Context(), "+441"); err != nil {
		t.Fatal(err)
	}
	if err := a.tidy(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	b.follows(t)
	b.answers(t, "k1", "")
	b.answers(t, "k2", "")
	a.follows(t)
	a.answers(t, "k2", "")
}

// TestLimits checks that what has expired goes first, then what knows no customer, then the oldest.
func TestLimits(t *testing.T) {
	dsn := sidetest.Database(t)
	c := newNode(t, dsn, Limits{Rows: 10, Bytes: 1 << 30})
	now := time.Now()
	for i := range 30 {
		e := entry(fmt.Sprint("k", i), fmt.Sprint("+44", i), "x", now.Add(time.Duration(i)*time.Second))
		switch {
		case i < 10:
			e.Expires = now.Add(-time.Second)
		case i >= 25:
			e.Missing = true
		}
		c.queue <- e
	}
	c.stores(t)
	if err := c.tidy(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if n := c.Len(); n != 10 {
		t.Errorf("%d entries are left, want 10", n)
	}
	other := newNode(t, dsn, roomy)
	for i := range 30 {
		want := ""
		if i >= 15 && i < 25 {
			want = "x"
		}
		other.answers(t, fmt.Sprint("k", i), want)
	}
}

// TestClosed checks that the end of a node stores what is queued.
func TestClosed(t *testing.T) {
	dsn := sidetest.Database(t)
	engine := sidetest.Open(t, dsn)
	local := cache.New(filepath.Join(t.TempDir(), cache.File), 64<<20, 1000, func() bool { return true }, slog.New(slog.DiscardHandler), cache.Metrics{Errors: counter(), Dropped: counter()}, time.Now)
	local.Open()
	go local.Run()
	t.Cleanup(local.Close)
	c := New(engine, local, roomy, slog.New(slog.DiscardHandler), counter())
	c.Put(entry("k1", "+441", "Ada", time.Now()))
	if err := c.Close(); err != nil { // stores what is queued
		t.Fatal(err)
	}
	newNode(t, dsn, roomy).answers(t, "k1", "Ada")
}

// TestSlowEngine checks that a lookup does not wait for an engine that does not answer.
func TestSlowEngine(t *testing.T) {
	dsn := sidetest.Database(t)
	c := newNode(t, dsn, roomy)
	c.queue <- entry("k1", "+441", "Ada", time.Now())
	c.stores(t)
	ctx := wait.Context(t)
	other, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(ctx)
	if _, err := other.Exec(ctx, "begin; lock table ringhook.cache in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	c.askTime = askTime
	c.answers(t, "k1", "") // else it waits until the end of the test
	if c.quiet.Load() == 0 {
		t.Error("the engine is asked again at once")
	}
	if _, err := other.Exec(ctx, "rollback"); err != nil {
		t.Fatal(err)
	}
	c.askTime = wait.Limit
	c.quiet.Store(0)
	c.answers(t, "k1", "Ada")
}
