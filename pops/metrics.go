package pops

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	pops    *prometheus.CounterVec
	fates   *prometheus.CounterVec
	dropped *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		pops: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_desk_pops_total", Help: "Decisions about screen pops, by rule and reason; popped is a pop.",
		}, []string{"rule", "reason"}),
		fates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_desk_pop_fates_total", Help: "What became of screen pops, by the way in which they are shown.",
		}, []string{"way", "fate"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_desk_dropped_total", Help: "Events and calls that screen pops did not follow, because there were too many.",
		}, []string{"what"}),
	}
	reg.MustRegister(m.pops, m.fates, m.dropped)
	for _, what := range []string{"event", "call", "hook"} {
		m.dropped.WithLabelValues(what)
	}
	for _, w := range append(slices.Clone(ways), hookPrefix+"x") {
		for _, f := range Fates() {
			m.fates.WithLabelValues(w.label(), string(f))
		}
	}
	return m
}

// prepare creates the series of rules.
func (m *metrics) prepare(rules []string) {
	for _, rule := range append([]string{""}, rules...) {
		for _, reason := range Reasons() {
			m.pops.WithLabelValues(rule, string(reason))
		}
	}
}
