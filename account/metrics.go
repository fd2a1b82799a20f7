package account

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/httpclient"
)

// metrics count requests for tokens. The label is bounded by the configuration.
type metrics struct {
	requests *prometheus.CounterVec
	at       *prometheus.GaugeVec
	failing  *prometheus.GaugeVec
	held     *prometheus.CounterVec
}

// The outcomes of a request.
const (
	outcomeOK      = "ok"
	outcomeRefused = "refused" // by the server
	outcomeFailed  = "failed"  // no answer, or none that is a token
)

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_account_requests_total", Help: "Requests for a token or session, by outcome: ok, refused or failed.",
		}, []string{"account", "outcome"}),
		at: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringhook_account_refreshed_timestamp_seconds", Help: "Time of the last token that the account got; 0 for none since the start.",
		}, []string{"account"}),
		failing: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringhook_account_failing", Help: "1 if the last request for a token failed, else 0.",
		}, []string{"account"}),
		held: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_account_rate_held_total", Help: "Requests that the account's rate held up, by outcome: waited, or late for lookups that were not made.",
		}, []string{"account", "outcome"}),
	}
	reg.MustRegister(m.requests, m.at, m.failing, m.held)
	return m
}

func (m *metrics) create(name string) {
	for _, outcome := range []string{outcomeOK, outcomeRefused, outcomeFailed} {
		m.requests.WithLabelValues(name, outcome)
	}
	for _, outcome := range httpclient.QuotaOutcomes() {
		m.held.WithLabelValues(name, string(outcome))
	}
	m.failing.WithLabelValues(name)
	m.at.WithLabelValues(name)
}

func (m *metrics) forget(name string) {
	m.requests.DeletePartialMatch(prometheus.Labels{"account": name})
	m.held.DeletePartialMatch(prometheus.Labels{"account": name})
	m.at.DeleteLabelValues(name)
	m.failing.DeleteLabelValues(name)
}

// fail sets whether the last request for a token failed.
func (m *metrics) fail(name string, failing bool) {
	value := 0.0
	if failing {
		value = 1
	}
	m.failing.WithLabelValues(name).Set(value)
}

// count counts a request.
func (m *metrics) count(name string, err error, now time.Time) {
	outcome := outcomeOK
	var refused *httpclient.RefusedToken
	switch {
	case errors.As(err, &refused):
		outcome = outcomeRefused
	case err != nil:
		outcome = outcomeFailed
	default:
		m.at.WithLabelValues(name).Set(float64(now.Unix()))
	}
	m.requests.WithLabelValues(name, outcome).Inc()
}
