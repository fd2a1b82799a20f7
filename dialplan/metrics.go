package dialplan

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The values of RINGHOOK_STATUS.
const (
	replyOK       = "OK"
	replyFound    = "FOUND"
	replyNotFound = "NOTFOUND"
	replyStale    = "STALE"
	replyTimeout  = "TIMEOUT"
	replyError    = "ERROR"
)

// replyNone is the metric label of a session without a RINGHOOK_STATUS: its event may be lost, and
// the dialplan may ask another server.
const replyNone = "NONE"

// otherVariable is the label of all names that are not in the contract or the configuration.
const otherVariable = "other"

// label returns the metric label of a variable.
func (s *settings) label(name string) string {
	name = strings.TrimLeft(name, "_")
	if _, ours := contract[name]; ours {
		return name
	}
	if _, listed := s.variables[name]; listed {
		return name
	}
	return otherVariable
}

type metrics struct {
	sessions *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	events   *prometheus.CounterVec
	late     *prometheus.CounterVec
	reports  *prometheus.CounterVec
	byPoint  map[Point]prometheus.Observer
	byStatus map[Point]map[string]prometheus.Counter
}

// unknownPoint is the label of paths that are not a point.
const unknownPoint Point = "unknown"

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_agi_sessions_total", Help: "Sessions by point and RINGHOOK_STATUS; NONE where none was set.",
		}, []string{"point", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ringhook_agi_session_duration_seconds", Help: "From the accepted connection to the answer: what the call waited.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 1.5, 2, 5},
		}, []string{"point"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_variables_refused_total", Help: "Variables of an answer that did not pass to the channel.",
		}, []string{"variable", "reason"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_events_total", Help: "Events of calls, with or without a hook that takes them. Events of /event are \"custom\".",
		}, []string{"event"}),
		late: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_late_answers_total", Help: "Answers that came after the call had stopped waiting for them, by what became of them.",
		}, []string{"lookup", "outcome"}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_ami_points_total", Help: "Points reported by the manager interface, by what became of them.",
		}, []string{"point", "outcome"}),
		byPoint:  map[Point]prometheus.Observer{},
		byStatus: map[Point]map[string]prometheus.Counter{},
	}
	reg.MustRegister(m.sessions, m.duration, m.refused, m.events, m.late, m.reports)
	for _, p := range reportable {
		for _, outcome := range reportOutcomes {
			m.reports.WithLabelValues(string(p), string(outcome))
		}
	}
	for _, name := range append(Events(), customLabel) {
		m.events.WithLabelValues(name)
	}
	for _, reason := range []string{"name", "value", "repeated", "cut"} {
		for name := range contract {
			m.refused.WithLabelValues(name, reason)
		}
		m.refused.WithLabelValues(otherVariable, reason)
	}
	for _, name := range append(Points(), string(unknownPoint)) {
		point := Point(name)
		m.byPoint[point] = m.duration.WithLabelValues(name)
		m.byStatus[point] = map[string]prometheus.Counter{}
		for _, status := range []string{replyOK, replyFound, replyNotFound, replyStale, replyTimeout, replyError, replyNone} {
			m.byStatus[point][status] = m.sessions.WithLabelValues(name, status)
		}
	}
	return m
}

// customLabel is the label of all events that the dialplan names.
const customLabel = "custom"

// emitted counts events.
func (m *metrics) emitted(events []TracedEvent) {
	for _, e := range events {
		name := e.Name
		if !slices.Contains(knownEvents, name) {
			name = customLabel
		}
		m.events.WithLabelValues(name).Inc()
	}
}

// knownEvents are the labels of events other than customLabel.
var knownEvents = Events()

func (m *metrics) session(point Point, status string, took time.Duration) {
	if _, known := specs[point]; !known {
		point = unknownPoint
	}
	m.byStatus[point][status].Inc()
	m.byPoint[point].Observe(took.Seconds())
}

func (m *metrics) report(point Point, outcome ReportOutcome) {
	m.reports.WithLabelValues(string(point), string(outcome)).Inc()
}
