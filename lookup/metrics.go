package lookup

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The outcomes of a question to one source, beside those of an answer.
const (
	outcomeHit  = "hit"  // fresh from the cache
	outcomeOpen = "open" // not asked: the circuit breaker is open
)

// How a shadow's answer compares with the one that the call got.
const (
	shadowAgrees  = "agree"
	shadowDiffers = "differ"
	shadowMissing = "missing" // it does not know a caller whom the other knows
	shadowUnknown = "error"   // one of the two failed
)

// metrics are those of every lookup.
type metrics struct {
	duration *prometheus.HistogramVec
	errors   *prometheus.CounterVec
	inFlight *prometheus.GaugeVec
	shadow   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{
		duration: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "ringhook_lookup_duration_seconds",
			Help:    "Time that a call waited for a lookup, by how it ended.",
			Buckets: []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"lookup", "outcome"})),
		errors: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_lookup_errors_total",
			Help: "Requests of a lookup without an answer, by reason.",
		}, []string{"lookup", "reason"})),
		inFlight: register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ringhook_lookup_requests_in_flight",
			Help: "Requests of a lookup in flight, including those that no call waits for any more.",
		}, []string{"lookup"})),
		shadow: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ringhook_lookup_shadow_total",
			Help: "Answers of a shadow lookup, by how they compare with what the call got.",
		}, []string{"lookup", "verdict"})),
	}
}

// register registers a collector, or returns the one that an earlier Service
// registered: a reload makes a new Service, and its counters continue.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if existing, ok := already.ExistingCollector.(C); ok {
			return existing
		}
	}
	if err != nil {
		panic(err)
	}
	return c
}

// gauges are the metrics of one lookup. Every value of a label exists from the
// start.
type gauges struct {
	duration map[string]prometheus.Observer
	errors   map[string]prometheus.Counter
	inFlight prometheus.Gauge
	shadow   map[string]prometheus.Counter // of a shadow only
}

func (m *metrics) of(lookup string, shadow bool) gauges {
	g := gauges{
		duration: make(map[string]prometheus.Observer),
		errors:   make(map[string]prometheus.Counter),
		inFlight: m.inFlight.WithLabelValues(lookup),
	}
	for _, outcome := range []string{
		outcomeHit, string(Stale), string(Found), string(Missing), string(Timeout), string(Failed), outcomeOpen,
	} {
		g.duration[outcome] = m.duration.WithLabelValues(lookup, outcome)
	}
	for _, reason := range reasons() {
		g.errors[reason] = m.errors.WithLabelValues(lookup, reason)
	}
	if shadow {
		g.shadow = make(map[string]prometheus.Counter)
		for _, verdict := range []string{shadowAgrees, shadowDiffers, shadowMissing, shadowUnknown} {
			g.shadow[verdict] = m.shadow.WithLabelValues(lookup, verdict)
		}
	}
	return g
}

func (g *gauges) observe(outcome string, took time.Duration) {
	g.duration[outcome].Observe(took.Seconds())
}
