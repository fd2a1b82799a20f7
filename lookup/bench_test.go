package lookup

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// BenchmarkCached measures a lookup whose caller is in the cache.
func BenchmarkCached(b *testing.B) {
	s := start(b, crm(b, answers("CALLERID(name)=Anna&QUEUE_PRIO=5&call_info=VIP")))
	params := map[string]string{"queue_id": "500"}
	q := Question{Point: "p", Number: anna, Param: func(name string) string { return params[name] }, Deadline: time.Now().Add(time.Hour)}
	await(s.Ask(q))
	b.ReportAllocs()
	for b.Loop() {
		if a := s.Ask(q).Answer(); !a.Cached {
			b.Fatalf("answer = %+v", a)
		}
	}
}

// BenchmarkAsked measures a lookup that asks a source each time, and the same request with only fasthttp.
func BenchmarkAsked(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.WriteString("CALLERID(name)=Anna&QUEUE_PRIO=5&call_info=VIP") }}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	b.Cleanup(func() {
		srv.Shutdown()
		<-done
	})
	url := "http://" + ln.Addr().String() + "/who?phone="

	b.Run("lookup", func(b *testing.B) {
		cfg := DefaultConfig()
		cfg.Name, cfg.URL, cfg.Cache, cfg.Stale = "crm", url+"%callerid%", 0, 0
		s := start(b, cfg)
		q := Question{Point: "p", Number: anna, Deadline: time.Now().Add(time.Hour)}
		b.ReportAllocs()
		for b.Loop() {
			if a := await(s.Ask(q)); a.Outcome != Found {
				b.Fatalf("answer = %+v", a)
			}
		}
	})
	b.Run("fasthttp", func(b *testing.B) {
		var client fasthttp.Client
		var body []byte
		b.ReportAllocs()
		for b.Loop() {
			status, got, err := client.GetTimeout(body[:0], fmt.Sprintf("%s%%2B%s", url, anna[1:]), time.Minute)
			if body = got; err != nil || status != 200 {
				b.Fatal(status, err)
			}
		}
		client.CloseIdleConnections()
	})
}

// BenchmarkUnwell runs 500 calls a second, each of a different caller, against a source that is down, slow
// or flapping. It prints the wait after the deadline and the growth of the heap. One iteration is two
// seconds.
func BenchmarkUnwell(b *testing.B) {
	const budget, rate, calls = 300 * time.Millisecond, 500, 1000
	var requests atomic.Int64
	// A slow source ends its answer with the benchmark.
	over := make(chan struct{})
	slow := func(http.ResponseWriter, *http.Request) {
		select {
		case <-time.After(3 * time.Second):
		case <-over:
		}
	}
	flapping := func(w http.ResponseWriter, r *http.Request) {
		switch n := requests.Add(1); {
		case n/50%2 == 0:
			answers("name=Anna")(w, r)
		case n%2 == 0:
			w.WriteHeader(502)
		default:
			slow(w, r)
		}
	}
	for _, bc := range []struct {
		name    string
		handler http.HandlerFunc
	}{{"down", nil}, {"slow", slow}, {"flapping", flapping}} {
		b.Run(bc.name, func(b *testing.B) {
			over = make(chan struct{})
			cfg := crm(b, bc.handler)
			cfg.Timeout = 250 * time.Millisecond
			if bc.handler == nil {
				cfg.URL = "http://127.0.0.1:1/?phone=%callerid%"
			}
			s := start(b, cfg)
			go func() {
				for range s.cache.stored { // the entries are not checked
				}
			}()
			defer close(s.cache.stored)
			defer s.Close(b.Context())
			defer close(over)

			var mu sync.Mutex
			var late []time.Duration
			before := heap()
			for b.Loop() {
				var all sync.WaitGroup
				tick := time.NewTicker(time.Second / rate)
				for i := range calls {
					<-tick.C
					all.Go(func() {
						q := ask(fmt.Sprintf("+7495%07d", i))
						began := time.Now()
						q.Deadline = began.Add(budget)
						session(s, q)
						mu.Lock()
						late = append(late, time.Since(began)-budget)
						mu.Unlock()
					})
				}
				tick.Stop()
				all.Wait()
			}
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)*99/100].Microseconds())/1000, "p99-late-ms")
			b.ReportMetric(float64(late[len(late)-1].Microseconds())/1000, "max-late-ms")
			b.ReportMetric((heap()-before)/(1<<20), "heap-MiB")
		})
	}
}

// session waits for an answer until its deadline, like a call.
func session(s *bench, q Question) Answer {
	done := make(chan struct{})
	p := s.Ask(q)
	p.OnDone(func() { close(done) })
	timer := time.NewTimer(time.Until(q.Deadline))
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	return p.Answer()
}

func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
