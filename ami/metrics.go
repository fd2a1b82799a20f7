package ami

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are those of every client.
type Metrics struct {
	connected *prometheus.GaugeVec
	events    *prometheus.CounterVec
	dropped   prometheus.Counter
	actions   *prometheus.CounterVec
	duration  prometheus.Histogram
}

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		connected: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringhook_ami_connected", Help: "1 while connected to this Asterisk's manager interface.",
		}, []string{"server"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_ami_events_total", Help: "Manager events received, of those that ringhook uses.",
		}, []string{"server", "event"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ringhook_ami_dropped_total", Help: "Manager events dropped because they arrived faster than they were processed, or were too large.",
		}),
		actions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_ami_actions_total", Help: "Manager actions, by outcome.",
		}, []string{"action", "outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ringhook_ami_action_duration_seconds", Help: "Time from a manager action to its response.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	for _, outcome := range []string{"ok", "rejected", "invalid", "away", "timeout", "lost"} {
		m.actions.WithLabelValues("Ping", outcome) // the action of every client
	}
	reg.MustRegister(m.connected, m.events, m.dropped, m.actions, m.duration)
	for _, action := range []string{"CoreShowChannels", "QueueStatus", "ParkedCalls", "DeviceStateList", "Getvar", "Setvar", "QueueChangePriorityCaller"} {
		for _, outcome := range []string{"ok", "rejected", "invalid", "away", "timeout", "lost"} {
			m.actions.WithLabelValues(action, outcome)
		}
	}
	return m
}

// metrics are those of one client. The series of its server are there once it connects.
type metrics struct {
	*Metrics
	connected prometheus.Gauge
	events    map[string]prometheus.Counter
}

// connecting creates the series of a client that begins to connect. One that is only prepared has none: an
// alert would take it for a lost connection.
func (m *metrics) connecting(server string, events map[string]bool) {
	m.connected = m.Metrics.connected.WithLabelValues(server)
	m.connected.Set(0)
	m.events = make(map[string]prometheus.Counter, len(events))
	for name := range events {
		m.events[name] = m.Metrics.events.WithLabelValues(server, name)
	}
}

// Forget removes the series of a server that is no longer in the configuration.
func (m *Metrics) Forget(server string) {
	m.connected.DeleteLabelValues(server)
	m.events.DeletePartialMatch(prometheus.Labels{"server": server})
}

// action counts an action. Its name comes from the program.
func (m *metrics) action(name string, err error, took time.Duration) {
	var rejected *RejectedError
	outcome := "ok"
	switch {
	case err == nil:
	case errors.As(err, &rejected):
		outcome = "rejected"
	case errors.Is(err, ErrAway):
		outcome = "away"
	case errors.Is(err, ErrInvalid):
		outcome = "invalid"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		outcome = "timeout"
	default:
		outcome = "lost"
	}
	m.actions.WithLabelValues(name, outcome).Inc()
	if outcome == "ok" || outcome == "rejected" {
		m.duration.Observe(took.Seconds())
	}
}
