package app

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"

	"ringhook/test/wait"
)

func TestHeapPercent(t *testing.T) {
	for _, test := range []struct {
		live, roots uint64
		want        int
	}{
		{0, 0, 200}, {20 << 20, 3 << 20, 200}, {29 << 20, 0, 200}, {40 << 20, 0, 119}, {38 << 20, 2 << 20, 124},
		{heapFloor / 2, 0, 100}, {heapFloor, 0, 100}, {4 << 30, 1 << 20, 100},
	} {
		if got := heapPercent(test.live, test.roots); got != test.want {
			t.Errorf("heapPercent(%d MiB, %d MiB) = %d, want %d", test.live>>20, test.roots>>20, got, test.want)
		}
	}
}

// TestRaiseHeap follows the goal of the collector over several collections.
func TestRaiseHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(goPercent)
	defer debug.SetGCPercent(before)
	stop := raiseHeap()
	used := make([]byte, 40<<20)
	wait.Until(t, func() bool {
		runtime.GC()
		goal := heapGoal()
		return goal > heapFloor*8/10 && goal < heapFloor*12/10
	}, "the goal of the collector is not the floor")
	runtime.KeepAlive(used)
	stop()
	if got := debug.SetGCPercent(goPercent); got != goPercent {
		t.Errorf("percentage after stop = %d, want %d", got, goPercent)
	}
}

func TestRaiseHeapObeysGOGC(t *testing.T) {
	t.Setenv("GOGC", "70")
	before := debug.SetGCPercent(70)
	defer debug.SetGCPercent(before)
	defer raiseHeap()()
	runtime.GC()
	if got := debug.SetGCPercent(70); got != 70 {
		t.Errorf("percentage = %d, want that of GOGC", got)
	}
}

func heapGoal() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
