package pgstore

import (
	"github.com/prometheus/client_golang/prometheus"

	"ringhook/pgstore/node"
	"ringhook/store/browse"
)

var (
	upDesc      = prometheus.NewDesc("ringhook_engine_up", "1 if PostgreSQL confirms commits, else 0.", nil, nil)
	nodesDesc   = prometheus.NewDesc("ringhook_cluster_nodes", "Ringhooks that serve from the same PostgreSQL, this one included.", nil, nil)
	differsDesc = prometheus.NewDesc("ringhook_cluster_config_differs", "1 if another node has a different configuration: the log says in what.", nil, nil)
	leasesDesc  = prometheus.NewDesc("ringhook_leases", "1 if this node delivers for the hook, 0 if another one does.", []string{"hook"}, nil)
	lostDesc    = prometheus.NewDesc("ringhook_lease_lost_total", "Leases that ended because this node did not renew them in time.", nil, nil)
	movedDesc   = prometheus.NewDesc("ringhook_moved_total", "Points that were applied again because another node had changed the call.", nil, nil)
	offsetDesc  = prometheus.NewDesc("ringhook_clock_offset_seconds", "How far this node's clock is ahead of PostgreSQL's.", nil, nil)
)

// collector reads at each scrape what the engine holds.
type collector struct{ s *Store }

// Describe is part of prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upDesc, nodesDesc, differsDesc, leasesDesc, lostDesc, movedDesc, offsetDesc} {
		ch <- d
	}
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
	ch <- prometheus.MustNewConstMetric(movedDesc, prometheus.CounterValue, float64(c.s.w.moved.Load()))
	facts := c.s.member.Facts()
	ch <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(facts.Nodes))
	ch <- prometheus.MustNewConstMetric(differsDesc, prometheus.GaugeValue, number(facts.Differs))
	ch <- prometheus.MustNewConstMetric(lostDesc, prometheus.CounterValue, float64(facts.Lost))
	ch <- prometheus.MustNewConstMetric(offsetDesc, prometheus.GaugeValue, facts.Ahead.Seconds())
	for name, holds := range facts.Holds {
		if node.OfHook(name) {
			ch <- prometheus.MustNewConstMetric(leasesDesc, prometheus.GaugeValue, number(holds), name)
		}
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
