package cluster

import (
	"fmt"
	"testing"

	"ringhook/pgstore/pgtest"
	"ringhook/test/wait"
)

// BenchmarkForward forwards calls of six events each.
func BenchmarkForward(b *testing.B) {
	n := newNode(b, Config{}).begin()
	n.proxy.Set(pgtest.Cut)
	n.call("0.0").accept(1)
	n.opens(true)
	events := 0
	for i := 0; events < b.N; i++ {
		c := n.call(fmt.Sprint("1.", i))
		c.accept(6)
		events += 6
	}
	b.ResetTimer()
	n.proxy.Set(pgtest.Well)
	wait.Until(b, func() bool {
		left, _, err := n.spool.Waiting()
		return err == nil && left == 0
	}, "the spool is not emptied")
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
