package cluster

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/store"
)

// Who has an event that was answered OK.
const (
	byCluster = "cluster"
	byMachine = "machine"
)

type metrics struct {
	promised  *prometheus.CounterVec
	forwarded prometheus.Counter
	doubt     prometheus.Counter
	commit    prometheus.Histogram
}

func newMetrics(spool *store.Spool, reg prometheus.Registerer) *metrics {
	m := &metrics{
		promised: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_promised_total", Help: "Records of points that were accepted, by who has them: cluster is PostgreSQL, machine this machine alone.",
		}, []string{"by"}),
		forwarded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ringhook_forwarded_total", Help: "Events that were accepted by this machine and forwarded to PostgreSQL.",
		}),
		doubt: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ringhook_engine_in_doubt_total", Help: "Records that PostgreSQL had not confirmed when the wait for it ended. It may have them; they are offered again.",
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ringhook_engine_commit_seconds", Help: "Time from a record to its confirmation by PostgreSQL, if points waited for it.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25},
		}),
	}
	for _, by := range []string{byCluster, byMachine} {
		m.promised.WithLabelValues(by)
	}
	if reg != nil {
		reg.MustRegister(m.promised, m.forwarded, m.doubt, m.commit, collector{spool})
	}
	return m
}

var (
	recordsDesc = prometheus.NewDesc("ringhook_spool_records", "Events on this machine that are not forwarded to PostgreSQL yet.", nil, nil)
	oldestDesc  = prometheus.NewDesc("ringhook_spool_oldest_seconds", "Age of the oldest event that is not forwarded, 0 if none waits.", nil, nil)
)

// collector reads at each scrape what is spooled.
type collector struct{ spool *store.Spool }

// Describe is part of prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) { ch <- recordsDesc; ch <- oldestDesc }

// Collect is part of prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	events, oldest, err := c.spool.Waiting()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(recordsDesc, err)
		return
	}
	age := 0.0
	if events > 0 && !oldest.IsZero() {
		age = max(0, time.Since(oldest).Seconds())
	}
	ch <- prometheus.MustNewConstMetric(recordsDesc, prometheus.GaugeValue, float64(events))
	ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, age)
}
