package app

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"testing/fstest"

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
	t.Setenv("GOMEMLIMIT", "off") // as if this were no small container
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

// TestRaiseHeapObeysMemoryLimit checks that a limit below the floor, as GOMEMLIMIT sets it, is the goal of the collector.
func TestRaiseHeapObeysMemoryLimit(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "off") // as if this were no small container
	before := debug.SetGCPercent(goPercent)
	defer debug.SetGCPercent(before)
	const limit = 64 << 20
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
	defer raiseHeap()()
	used := make([]byte, 32<<20) // which the floor would let grow to 88 MiB
	runtime.GC()
	if goal := heapGoal(); goal > limit {
		t.Errorf("goal of the collector = %d MiB, above the limit of %d MiB", goal>>20, limit>>20)
	}
	runtime.KeepAlive(used)
}

func TestSmallContainer(t *testing.T) {
	for text, want := range map[string]bool{"268435456\n": true, "2147483648\n": false, "max\n": false, "9223372036854771712\n": false, "": false, "x": false} {
		for _, name := range []string{"memory.max", "memory/memory.limit_in_bytes"} {
			if got := smallContainer(fstest.MapFS{name: {Data: []byte(text)}}); got != want {
				t.Errorf("%s %q: got %t, want %t", name, text, got, want)
			}
		}
	}
	if smallContainer(fstest.MapFS{}) {
		t.Error("without a limit: got true")
	}
}

func TestRaiseHeapObeysGOGC(t *testing.T) {
	for value, percent := range map[string]int{"70": 70, "off": -1} {
		t.Setenv("GOGC", value)
		before := debug.SetGCPercent(percent)
		stop := raiseHeap()
		runtime.GC()
		if got := debug.SetGCPercent(percent); got != percent {
			t.Errorf("percentage = %d, want that of GOGC=%s", got, value)
		}
		if stop(); debug.SetGCPercent(before) != percent {
			t.Errorf("percentage after stop is not that of GOGC=%s", value)
		}
	}
}

func heapGoal() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
