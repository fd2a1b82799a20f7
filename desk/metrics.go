package desk

import (
	"github.com/prometheus/client_golang/prometheus"

	"ringhook/pops"
)

type metrics struct {
	receipts *prometheus.HistogramVec
	signIns  *prometheus.CounterVec
	dropped  *prometheus.CounterVec
}

// The outcomes of sign-ins.
const (
	signedIn  = "ok"
	wrong     = "wrong"
	throttled = "throttled"
	failed    = "error"
	away      = "database" // the engine of the store cannot be used
)

// The reasons why a stream was not opened or was closed early.
const (
	dropFull  = "full"  // max_streams
	dropAgent = "agent" // too many tabs of one agent
	dropSlow  = "slow"  // the browser did not read
)

func newMetrics(reg prometheus.Registerer, streams func() float64) *metrics {
	m := &metrics{
		receipts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ringhook_desk_receipt_duration_seconds", Help: "From a pop that was sent to a tab to the tab's confirmation.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"way"}),
		signIns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_desk_signins_total", Help: "Sign-ins at the desk by outcome.", //nolint:misspell // a word of the dashboards
		}, []string{"outcome"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_desk_streams_dropped_total", Help: "Event streams of browsers that were refused or closed early.",
		}, []string{"reason"}),
	}
	reg.MustRegister(m.receipts, m.signIns, m.dropped, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ringhook_desk_streams", Help: "Open event streams of browsers.",
	}, streams))
	for _, w := range []pops.Way{pops.Frame, pops.Window, pops.Scheme, pops.Card, pops.Notice} {
		m.receipts.WithLabelValues(string(w))
	}
	for _, o := range []string{signedIn, wrong, throttled, failed, away} {
		m.signIns.WithLabelValues(o)
	}
	for _, r := range []string{dropFull, dropAgent, dropSlow} {
		m.dropped.WithLabelValues(r)
	}
	return m
}
