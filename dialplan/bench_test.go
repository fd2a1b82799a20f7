package dialplan

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/fastagi"
	"ringhook/lookup"
)

// BenchmarkRecord measures the recording of a point's trace, after the call has continued: a queue-dial
// with the answers of two sources.
func BenchmarkRecord(b *testing.B) {
	reg := prometheus.NewRegistry()
	cfgs := []lookup.Config{lookup.DefaultConfig(), lookup.DefaultConfig()}
	for i := range cfgs {
		cfgs[i].Name, cfgs[i].Points, cfgs[i].URL = []string{"crm", "backup"}[i], []string{"queue-dial"}, "http://127.0.0.1:1/?phone=%callerid%"
	}
	log := slog.New(slog.DiscardHandler)
	lookups, err := lookup.New(cfgs, emptyCache{}, nil, log, reg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = lookups.Close(context.Background()) })
	pending := lookups.Ask(lookup.Question{Point: "queue-dial", Number: "+442079460142", Deadline: time.Now().Add(time.Second)})
	pending.Answer()
	d := New(Settings{Budget: time.Second}, Parts{}, &gathered{}, log, reg)
	p := &pointSession{Dialplan: d, current: d.current.Load(), session: &fastagi.Session{}}
	*p.session.Env() = fastagi.Env{
		Point: "queue-dial", Channel: "PJSIP/trunk-00000001", UniqueID: "1763706360.17", CallerNum: "+442079460142", CallerName: "Anna",
		DNID: "+442079460500", Args: []string{"queue_id=500"},
	}
	if p.request, err = parseRequest(p.session.Env(), nil); err != nil {
		b.Fatal(err)
	}
	p.request.asked = []string{"linkedid", "visit", "ring"}
	p.request.args["linkedid"] = "1763706360.17"
	p.traced = traced{pending: pending, recorded: []TracedEvent{{"queue-dial", 2}}, set: []fastagi.Variable{
		{Name: "CALLERID(name)", Value: "Anna Karenina"}, {Name: "QUEUE_PRIO", Value: "10"},
		{Name: "__call_info", Value: "https://crm.example/customers/17?tab=calls&open=1"},
		{Name: "__RINGHOOK_VISIT", Value: "1763706360.17/1/500"}, {Name: "RINGHOOK_STATUS", Value: "FOUND"},
	}}
	b.ReportAllocs()
	for b.Loop() {
		p.record("FOUND", time.Millisecond)
	}
}

type emptyCache struct{}

func (emptyCache) Get(string) (lookup.Entry, bool) { return lookup.Entry{}, false }
func (emptyCache) Put(lookup.Entry)                {}

// gathered is a journal that collects traces of points.
type gathered struct {
	Journal
	batch []byte
}

func (g *gathered) Trace(_ time.Time, record []byte) { g.batch = append(g.batch[:0], record...) }
