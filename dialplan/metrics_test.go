package dialplan

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestEventsMetric checks that all events named by the dialplan share one label.
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
