package browse

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	pendingDesc = prometheus.NewDesc("ringhook_hook_pending", "Deliveries waiting, by hook.", []string{"hook"}, nil)
	oldestDesc  = prometheus.NewDesc("ringhook_hook_oldest_pending_seconds", "Age of the oldest waiting delivery, 0 where none waits.", []string{"hook"}, nil)
	deadDesc    = prometheus.NewDesc("ringhook_hook_dead", "Deliveries that were given up and not yet removed.", []string{"hook"}, nil)
)

// Describe describes the metrics of Collect.
func Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{pendingDesc, oldestDesc, deadDesc} {
		ch <- d
	}
}

// Collect sends the metrics of hooks.
func Collect(ch chan<- prometheus.Metric, counts []HookCounts, now time.Time) {
	for _, c := range counts {
		age := time.Duration(0)
		if !c.Oldest.IsZero() {
			age = max(0, now.Sub(c.Oldest))
		}
		for _, m := range []struct {
			desc  *prometheus.Desc
			value float64
		}{{pendingDesc, float64(c.Pending)}, {oldestDesc, age.Seconds()}, {deadDesc, float64(c.Dead)}} {
			ch <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value, c.Hook)
		}
	}
}

// Failed sends that the metrics cannot be read.
func Failed(ch chan<- prometheus.Metric, err error) {
	ch <- prometheus.NewInvalidMetric(pendingDesc, err)
}
