package dialplan

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/fastagi"
	"ringhook/fastagi/agitest"
	"ringhook/fastagi/asterisk"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
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
	lookups, err := lookup.New(cfgs, emptyCache{}, lookup.Own{}, log, reg)
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

// BenchmarkPoint measures a point over a socket, alone and beside a thousand reports of the manager interface a second.
func BenchmarkPoint(b *testing.B) {
	for _, beside := range []int{0, 1000} {
		b.Run(fmt.Sprint(beside, " reports a second"), func(b *testing.B) {
			log := slog.New(slog.DiscardHandler)
			hook := hooks.DefaultConfig()
			hook.Name, hook.Events, hook.URL = "all", []string{"*"}, hooks.Addresses{"http://127.0.0.1:1/"}
			dispatcher, err := hooks.New([]hooks.Config{hook}, nil, log, prometheus.NewRegistry())
			if err != nil {
				b.Fatal(err)
			}
			lookups, err := lookup.New(nil, emptyCache{}, lookup.Own{}, log, prometheus.NewRegistry())
			if err != nil {
				b.Fatal(err)
			}
			parts := Parts{Hooks: dispatcher, Lookups: lookups, Numbers: number.NewReader(number.Config{})}
			d := New(Settings{Budget: time.Second, Dialplan: Config{MaxCall: time.Hour}}, parts, &fastJournal{}, log, prometheus.NewRegistry())
			addr := agitest.Serve(b, d.Serve)
			stop, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				if beside == 0 {
					return
				}
				every := time.NewTicker(time.Second / time.Duration(beside))
				defer every.Stop()
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					case <-every.C:
						id := fmt.Sprint("1795738309.", n)
						d.Report(context.Background(), &Report{Point: CallHangup, At: time.Now(), Call: Identity{LinkedID: id, Asterisk: "pbx"}, Channel: id, Caller: &Caller{Number: "1"}})
					}
				}
			}()
			n := 0
			for b.Loop() {
				n++
				id := fmt.Sprint("1795738300.", n)
				_, err := asterisk.Call(context.Background(), addr, asterisk.CallRequest{
					Env:       fastagi.Env{Point: "queue-dial", UniqueID: id, Channel: "PJSIP/trunk-00000001", CallerNum: "02079460142", Args: []string{"queue_id=500", "server=pbx"}},
					Variables: map[string]string{"CHANNEL(linkedid)": id},
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			close(stop)
			<-ended
			if err := d.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// fastJournal keeps nothing.
type fastJournal struct{ Journal }

func (fastJournal) Call(string, time.Time) ([]byte, int64, error) { return nil, 0, nil }
func (fastJournal) Queue(context.Context, Record) (Commit, error) { return committed{}, nil }
func (fastJournal) KeepLater(Record)                              {}
func (fastJournal) Trace(time.Time, []byte)                       {}
func (fastJournal) Barrier(context.Context) error                 { return nil }

type emptyCache struct{}

func (emptyCache) Get(string) (lookup.Entry, bool) { return lookup.Entry{}, false }
func (emptyCache) Put(lookup.Entry)                {}

// gathered is a journal that collects traces of points.
type gathered struct {
	Journal
	batch []byte
}

func (g *gathered) Trace(_ time.Time, record []byte) { g.batch = append(g.batch[:0], record...) }
