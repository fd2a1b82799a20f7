package hooks

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the dispatcher counts itself; what waits in the outbox is
// counted there.
type metrics struct {
	duration *prometheus.HistogramVec
	retries  *prometheus.CounterVec
	disabled *prometheus.GaugeVec
	skew     *prometheus.GaugeVec
	expiry   *prometheus.GaugeVec
}

// newMetrics registers the metrics, or takes over those of the dispatcher that
// was there before a reload.
func newMetrics(reg prometheus.Registerer, names []string) (*metrics, error) {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "ringhook_hook_duration_seconds",
			Help:    "Time that one attempt of a delivery took, by how it ended.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"hook", "outcome"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_hook_retries_total",
			Help: "Attempts of deliveries after their first.",
		}, []string{"hook"}),
		disabled: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringhook_hook_disabled",
			Help: "Whether nothing is sent to the hook until somebody enables it: ringhook hook list says why.",
		}, []string{"hook"}),
		skew: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringhook_hook_clock_skew_seconds",
			Help: "How far the receiver's clock is ahead of ours, by the Date of its last answer.",
		}, []string{"hook"}),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringhook_hook_certificate_expiry_timestamp_seconds",
			Help: "When the receiver's certificate ends, as it was last shown; 0 where none was.",
		}, []string{"hook"}),
	}
	var err error
	if m.duration, err = register(reg, m.duration); err != nil {
		return nil, err
	}
	if m.retries, err = register(reg, m.retries); err != nil {
		return nil, err
	}
	if m.disabled, err = register(reg, m.disabled); err != nil {
		return nil, err
	}
	if m.skew, err = register(reg, m.skew); err != nil {
		return nil, err
	}
	if m.expiry, err = register(reg, m.expiry); err != nil {
		return nil, err
	}
	for _, name := range names {
		m.skew.WithLabelValues(name)
		m.expiry.WithLabelValues(name)
		m.disabled.WithLabelValues(name)
		m.retries.WithLabelValues(name)
		for _, outcome := range []string{"delivered", "rejected", "failed", "timeout"} {
			m.duration.WithLabelValues(name, outcome)
		}
	}
	return m, nil
}

func register[C prometheus.Collector](reg prometheus.Registerer, c C) (C, error) {
	err := reg.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if old, ok := already.ExistingCollector.(C); ok {
			return old, nil
		}
	}
	return c, err
}
