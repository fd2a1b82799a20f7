package pgstore

import (
	"github.com/prometheus/client_golang/prometheus"

	"ringhook/store/browse"
)

var upDesc = prometheus.NewDesc("ringhook_engine_up", "1 if PostgreSQL confirms commits, else 0.", nil, nil)

// collector reads at each scrape what the engine holds.
type collector struct{ s *Store }

// Describe is part of prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- upDesc
	browse.Describe(ch)
}

// Collect is part of prometheus.Collector. While the engine is away, the counts of hooks are missing, and everything else
// is there.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	up := 0.0
	if counts, err := c.s.Operator().HookCounts(); err == nil {
		up = 1
		browse.Collect(ch, counts, c.s.now())
	}
	if c.s.Ready() != nil {
		up = 0
	}
	ch <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, up)
}
