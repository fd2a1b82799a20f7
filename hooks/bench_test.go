package hooks_test

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
)

// serve starts a receiver that answers 200, and returns its URL.
func serve(b *testing.B) string {
	b.Helper()
	return serveWith(b, func(*fasthttp.RequestCtx) {})
}

func serveWith(b *testing.B, handler fasthttp.RequestHandler) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &fasthttp.Server{Handler: handler, Logger: quiet{}}
	go server.Serve(ln)
	b.Cleanup(func() { server.Shutdown() })
	return "http://" + ln.Addr().String() + "/cti"
}

// quiet is a logger that drops messages about connections closed at the end.
type quiet struct{}

// Printf implements fasthttp.Logger.
func (quiet) Printf(string, ...any) {}

// BenchmarkDelivery prints deliveries per second, and those of a bare client that posts the same bytes to
// the same receiver over as many connections.
func BenchmarkDelivery(b *testing.B) {
	b.Run("ringhook", func(b *testing.B) {
		outbox := hooktest.NewOutbox()
		for i := range b.N {
			outbox.Add(event(fmt.Sprint("1.", i), 1), "crm")
		}
		cfg := hookTo("crm", serve(b))
		b.ResetTimer()
		start(b, outbox, cfg)
		waitUntil(b, outbox, func() bool { return outbox.Pending() == 0 })
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	})
	b.Run("bare", func(b *testing.B) {
		url := serve(b)
		ev := event("1.0", 1)
		d, _ := start(b, hooktest.NewOutbox(), hookTo("crm", url))
		p, err := d.Render(&ev, "crm")
		if err != nil {
			b.Fatal(err)
		}
		client := &fasthttp.Client{}
		jobs := make(chan struct{})
		var workers sync.WaitGroup
		for range hooks.DefaultConfig().Concurrency {
			workers.Go(func() {
				var req fasthttp.Request
				var resp fasthttp.Response
				for range jobs {
					fill(&req, url, p)
					if err := client.DoDeadline(&req, &resp, time.Now().Add(5*time.Second)); err != nil {
						b.Error(err)
					}
				}
			})
		}
		b.ResetTimer()
		for range b.N {
			jobs <- struct{}{}
		}
		close(jobs)
		workers.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	})
}

// BenchmarkBesideABlackHole prints the median and 99th percentile of the time from an event to its
// receiver: alone, and next to a hook with 100,000 deliveries whose receiver accepts connections and never
// answers (T-HOOK-05).
func BenchmarkBesideABlackHole(b *testing.B) {
	run := func(b *testing.B, waiting int) {
		arrived := make(chan time.Time, 1)
		url := serveWith(b, func(*fasthttp.RequestCtx) { arrived <- time.Now() })
		hole, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer hole.Close()
		outbox := hooktest.NewOutbox()
		for i := range waiting {
			outbox.Add(event(fmt.Sprint("2.", i), 1), "hole")
		}
		away := hookTo("hole", "http://"+hole.Addr().String()+"/")
		away.Timeout = 100 * time.Millisecond
		d, _ := start(b, outbox, hookTo("crm", url), away)
		took := make([]time.Duration, 0, b.N)
		for i := 0; b.Loop(); i++ {
			began := time.Now()
			outbox.Add(event(fmt.Sprint("1.", i), 1), "crm")
			d.WakeAll()
			took = append(took, (<-arrived).Sub(began))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
		b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
	}
	b.Run("alone", func(b *testing.B) { run(b, 0) })
	b.Run("beside", func(b *testing.B) { run(b, 100_000) })
}

func fill(req *fasthttp.Request, url string, p hooks.Preview) {
	req.Reset()
	req.SetRequestURI(url)
	req.Header.SetMethod(p.Method)
	for _, h := range p.Headers {
		req.Header.Set(h[0], h[1])
	}
	req.SetBodyString(p.Body)
}
