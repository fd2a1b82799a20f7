package directory

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics show how old the lists are. The label is bounded by the configuration.
type metrics struct {
	fetches *prometheus.CounterVec
	users   *prometheus.GaugeVec
	at      *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_agents_fetches_total", Help: "Fetches of lists of agents' ids, by outcome: ok or failed.",
		}, []string{"agents", "outcome"}),
		users: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringhook_agents_ids", Help: "Ids in the list that was fetched last.",
		}, []string{"agents"}),
		at: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringhook_agents_fetched_timestamp_seconds", Help: "Time of the last successful fetch; 0 for none since the start.",
		}, []string{"agents"}),
	}
	reg.MustRegister(m.fetches, m.users, m.at)
	return m
}

func (m *metrics) create(name string) {
	m.fetches.WithLabelValues(name, "ok")
	m.fetches.WithLabelValues(name, "failed")
	m.users.WithLabelValues(name)
	m.at.WithLabelValues(name)
}

func (m *metrics) forget(name string) {
	m.fetches.DeletePartialMatch(prometheus.Labels{"agents": name})
	m.users.DeleteLabelValues(name)
	m.at.DeleteLabelValues(name)
}

func (m *metrics) note(name string, users int, err error) {
	if err != nil {
		m.fetches.WithLabelValues(name, "failed").Inc()
		return
	}
	m.fetches.WithLabelValues(name, "ok").Inc()
	m.users.WithLabelValues(name).Set(float64(users))
	m.at.WithLabelValues(name).SetToCurrentTime()
}
