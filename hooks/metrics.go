package hooks

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the dispatcher counts. The store counts what is in the outbox.
type metrics struct {
	duration *prometheus.HistogramVec
	retries  *prometheus.CounterVec
	disabled *prometheus.GaugeVec
	skew     *prometheus.GaugeVec
	expiry   *prometheus.GaugeVec
}

// newMetrics registers the metrics, or reuses those of the dispatcher before a
// reload.
func newMetrics(reg prometheus.Registerer, names []string) (*metrics, error) {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "ringhook_hook_duration_seconds",
			Help:    "Duration of one attempt of a delivery, by outcome.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"hook", "outcome"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_hook_retries_total",
			Help: "Attempts of deliveries after their first.",
		}, []string{"hook"}),
		disabled: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringhook_hook_disabled",
			Help: "1 if nothing is sent to the hook until an operator enables it: ringhook hook list says why.",
		}, []string{"hook"}),
		skew: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringhook_hook_clock_skew_seconds",
			Help: "How far the receiver's clock is ahead of ours, by the Date of its last answer.",
		}, []string{"hook"}),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringhook_hook_certificate_expiry_timestamp_seconds",
			Help: "End of validity of the receiver's certificate as last seen; 0 if none was seen.",
		}, []string{"hook"}),
	}
	var errs [5]error
	m.duration, errs[0] = register(reg, m.duration)
	m.retries, errs[1] = register(reg, m.retries)
	m.disabled, errs[2] = register(reg, m.disabled)
	m.skew, errs[3] = register(reg, m.skew)
	m.expiry, errs[4] = register(reg, m.expiry)
	if err := errors.Join(errs[:]...); err != nil {
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
