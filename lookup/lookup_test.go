package lookup

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestMain checks that no goroutine of this package runs after the last test: every test closes its
// service.
func TestMain(m *testing.M) {
	code := m.Run()
	for range 10000 {
		if !strings.Contains(stacks(), "ringhook/lookup.(*") {
			os.Exit(code)
		}
		runtime.Gosched()
	}
	fmt.Println("goroutines are left behind:\n" + stacks())
	os.Exit(1)
}

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

// memory is a cache in memory that stores entries immediately.
type memory struct {
	mu      sync.Mutex
	entries map[string]Entry
	stored  chan Entry // receives each entry, if not nil
}

func newMemory() *memory {
	return &memory{entries: make(map[string]Entry), stored: make(chan Entry, 2000)}
}

func (m *memory) Get(key string) (Entry, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	return e, ok
}

func (m *memory) Put(e Entry) {
	m.mu.Lock()
	m.entries[e.Key] = e
	m.mu.Unlock()
	m.stored <- e
}

// bench is a service with its cache, log and clock.
type bench struct {
	*Service
	cache *memory
	book  *book
	dids  *numbersInUse
	reg   *prometheus.Registry
	skew  atomic.Int64 // added to the service's clock, in nanoseconds
	log   *lockedBuffer
}

func (b *bench) pass(d time.Duration) { b.skew.Add(int64(d)) }

type lockedBuffer struct {
	mu sync.Mutex
	strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

// start starts a service of lookups. A lookup without points is asked at the point p.
func start(t testing.TB, cfgs ...Config) *bench {
	t.Helper()
	b := &bench{cache: newMemory(), book: &book{}, dids: &numbersInUse{}, reg: prometheus.NewRegistry(), log: &lockedBuffer{}}
	for i := range cfgs {
		if cfgs[i].Points == nil {
			cfgs[i].Points = []string{"p"}
		}
		cfgs[i].Check(func(key, problem string) { t.Errorf("lookup %d: %s %s", i, key, problem) })
	}
	svc, err := New(cfgs, b.cache, Own{Phonebook: b.book, DIDs: b.dids}, slog.New(slog.NewTextHandler(b.log, nil)), b.reg)
	if err != nil {
		t.Fatal(err)
	}
	b.Service = svc
	for _, s := range svc.sources {
		s.now = func() time.Time { return time.Now().Add(time.Duration(b.skew.Load())) }
	}
	t.Cleanup(func() {
		if err := svc.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// crm returns a lookup with the defaults that asks handler.
func crm(t testing.TB, handler http.HandlerFunc) Config {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	cfg := DefaultConfig()
	cfg.Name = "crm"
	cfg.URL = srv.URL + "/who?phone=%callerid%"
	cfg.Timeout = 30 * time.Second
	return cfg
}

func answers(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
}

func ask(number string) Question { return Question{Point: "p", Number: number} }

// await waits for an answer, like a session.
func await(p *Pending) Answer {
	done := make(chan struct{})
	p.OnDone(func() { close(done) })
	<-done
	return p.Answer()
}

func (a Answer) value(name string) string {
	i := slices.IndexFunc(a.Vars, func(v Var) bool { return v.Name == name })
	if i < 0 {
		return ""
	}
	return a.Vars[i].Value
}

// count returns the value of a metric, or the number of observations of a histogram.
func (b *bench) count(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if slices.Equal(values, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	t.Fatalf("no metric %s%q", name, labels)
	return 0
}
