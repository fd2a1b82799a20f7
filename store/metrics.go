package store

import (
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/store/browse"
	"ringhook/store/cache"
	"ringhook/store/sqlite"
	"ringhook/store/trace"
)

// meter is what the store counts.
type metrics struct {
	commit    prometheus.Histogram
	failures  *prometheus.CounterVec
	unsaved   prometheus.Counter
	damaged   prometheus.Gauge
	cacheErrs prometheus.Counter
	cacheLost prometheus.Counter
	traceLost prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "ringhook_store_commit_duration_seconds",
			Help:    "Time to commit one batch to the outbox.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_store_failures_total",
			Help: "Operations on the outbox that were not committed, by what was wrong.",
		}, []string{"class"}),
		unsaved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ringhook_store_unsaved_total",
			Help: "Records that no call waited for and that were not kept because the queue was full.",
		}),
		damaged: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ringhook_store_damaged",
			Help: "1 where the outbox was found damaged since the start.",
		}),
		cacheErrs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ringhook_cache_errors_total",
			Help: "Reads and writes of the cache that failed; it was as if it were empty.",
		}),
		cacheLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ringhook_cache_dropped_total",
			Help: "Answers that were not cached because the cache's writer was behind.",
		}),
	}
	m.traceLost = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ringhook_trace_dropped_total",
		Help: "Records of what happened at points that were not kept, because their writer was behind or their file failed.",
	})
	for _, c := range sqlite.Classes {
		m.failures.WithLabelValues(string(c))
	}
	if reg != nil {
		reg.MustRegister(m.commit, m.failures, m.unsaved, m.damaged, m.cacheErrs, m.cacheLost, m.traceLost)
	}
	return m
}

func (m *metrics) failure(c sqlite.Class, operations int) {
	m.failures.WithLabelValues(string(c)).Add(float64(operations))
}

var (
	reserveDesc = prometheus.NewDesc("ringhook_store_reserve_bytes", "Room on the disk that is held back for results of deliveries; 0 while the disk is full.", nil, nil)
	sizeDesc    = prometheus.NewDesc("ringhook_store_size_bytes", "Size of the store's files, write-ahead logs among them.", []string{"file"}, nil)
	entriesDesc = prometheus.NewDesc("ringhook_cache_entries", "Answers in the cache.", nil, nil)
)

// collector reads at each scrape what the files hold. All of it is kept
// counted, so that a scrape costs the same however much is pending.
type collector struct{ s *Store }

// Describe is part of prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	if c.s.cfg.Type != Postgres {
		browse.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{reserveDesc, sizeDesc, entriesDesc} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if c.s.cfg.Type != Postgres { // else PostgreSQL has the deliveries
		tallies, err := c.s.Operator().HookCounts()
		if err != nil {
			browse.Failed(ch, err)
		}
		browse.Collect(ch, tallies, c.s.now())
	}
	held := 0.0
	if r := c.s.w.reserve; r.Held() {
		held = float64(r.Size())
	}
	gauge(reserveDesc, held)
	for _, name := range []string{outboxFile, cache.File, trace.Name} {
		gauge(sizeDesc, float64(fileSize(filepath.Join(c.s.folder, name))), name)
	}
	gauge(entriesDesc, float64(c.s.Cache().Len()))
}

// fileSize is a file's with its write-ahead log.
func fileSize(path string) int64 {
	var size int64
	for _, name := range []string{path, path + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	return size
}
