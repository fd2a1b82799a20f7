package app

import (
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
)

// heapFloor is the size up to which the heap grows before it is collected, in bytes, while little of it is in use. A
// collection marks what is in use; without the floor there is one for each 30 MiB that sessions allocate, which takes a
// twentieth of their processor time. A higher one exceeds the resident memory of docs/performance.md.
const heapFloor = 88 << 20

// The percentage of the garbage collector without GOGC, and with a small heap. It stands until the next collection, in
// which more may be in use: with a higher one the heap would then pass the floor by far.
const (
	goPercent    = 100
	smallPercent = 200
)

// raiseHeap lets a small heap grow to heapFloor before it is collected, until stop is called. A large one is collected as
// usual. GOMEMLIMIT is obeyed: a heap that reaches it is collected, whatever the percentage. With GOGC set, the
// administrator has decided, and nothing is changed. Nor is it in a small container without GOMEMLIMIT, which the kernel
// would end for its memory.
func raiseHeap() (stop func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") == "" && smallContainer(os.DirFS("/sys/fs/cgroup")) {
		return func() {}
	}
	k := &heapKeeper{percent: goPercent}
	k.adjust()
	return k.stop
}

// heapKeeper adjusts the percentage after each collection.
type heapKeeper struct {
	mu      sync.Mutex
	percent int
	stopped bool
}

func (k *heapKeeper) adjust() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return
	}
	// Setting it stops the world, so small changes wait.
	if want := heapPercent(heapUse()); want*10 > k.percent*11 || want*11 < k.percent*10 {
		k.percent = want
		debug.SetGCPercent(want)
	}
	// The next collection frees this object, and then adjust is called again.
	runtime.AddCleanup(new([64]byte), (*heapKeeper).adjust, k)
}

func (k *heapKeeper) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	debug.SetGCPercent(goPercent)
}

// heapPercent returns the percentage with which a heap is next collected at heapFloor, at least goPercent and at most
// smallPercent. live is the number of bytes in use, and roots that of stacks and globals, to which the percentage applies
// too.
func heapPercent(live, roots uint64) int {
	if live >= heapFloor {
		return goPercent
	}
	return int(min(smallPercent, max(goPercent, (heapFloor-live)*100/(live+roots+1)))) // never by zero
}

// heapUse returns what the last collection found in use.
func heapUse() (live, roots uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64() + samples[2].Value.Uint64()
}

// smallMemory is the memory of a container below which the heap is not raised, in bytes.
const smallMemory = 4 * heapFloor

// smallContainer reports whether the control group has a limit of memory below smallMemory. Only in a container is it that
// of the process: elsewhere the folder is that of the whole machine.
func smallContainer(cgroup fs.FS) bool {
	for _, name := range []string{"memory.max", "memory/memory.limit_in_bytes"} { // of version 2 and 1
		text, err := fs.ReadFile(cgroup, name)
		if err != nil {
			continue
		}
		limit, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		return err == nil && limit < smallMemory
	}
	return false
}
