package dialplan

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Names that the dialplan makes up are one label, so that it cannot grow.
func TestEventsMetric(t *testing.T) {
	m := newMetrics(prometheus.NewRegistry())
	m.emitted([]TracedEvent{{Name: queueAbandon}, {Name: "survey"}, {Name: "sale"}})
	for name, want := range map[string]float64{queueAbandon: 1, customLabel: 2, string(CallHangup): 0} {
		if got := testutil.ToFloat64(m.events.WithLabelValues(name)); got != want {
			t.Errorf("%s: %v events, want %v", name, got, want)
		}
	}
	if n := testutil.CollectAndCount(m.events); n != len(Events())+1 {
		t.Errorf("%d labels, want %d", n, len(Events())+1)
	}
}
