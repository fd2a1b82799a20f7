//go:build failpoints

package failpoint

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// On reports whether this program has failpoints.
const On = true

// soonest is the maximum time from the point to a kill of the kind "soon".
const soonest = 3 * time.Millisecond

type trap struct {
	action string
	left   atomic.Int64 // hits until the action
}

var traps = parse(os.Getenv("RINGHOOK_FAILPOINTS"))

func parse(text string) map[Point]*trap {
	traps := map[Point]*trap{}
	for part := range strings.SplitSeq(text, ";") {
		if part == "" {
			continue
		}
		name, what, _ := strings.Cut(part, "=")
		action, count, _ := strings.Cut(what, "@")
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n < 1 || !known(Point(name)) || !slices.Contains([]string{"kill", "soon", "error", "panic", "fatal"}, action) {
			panic(fmt.Sprintf("RINGHOOK_FAILPOINTS: %q is not POINT=ACTION@COUNT", part))
		}
		t := &trap{action: action}
		t.left.Store(n)
		traps[Point(name)] = t
	}
	return traps
}

func known(p Point) bool {
	return slices.Contains(All, p) || p == AccountAfterAnswer || strings.HasPrefix(string(p), attemptOf)
}

// Hit marks a point of the program, and performs the action for it, once.
func Hit(p Point) error {
	t := traps[p]
	if t == nil || t.left.Add(-1) != 0 {
		return nil
	}
	fmt.Fprintf(os.Stderr, "failpoint %s: %s\n", p, t.action)
	switch t.action {
	case "kill":
		kill()
	case "soon":
		time.AfterFunc(rand.N(soonest), kill)
	case "panic":
		panic(fmt.Sprintf("fail point %s", p))
	case "fatal":
		debug.SetMaxStack(1 << 16)
		deeper(0)
	case "error":
		return fmt.Errorf("%s: %w", p, ErrInjected)
	}
	return nil
}

// deeper recurses until the stack overflows.
func deeper(n int) int {
	if n < 0 {
		return 0
	}
	return deeper(n+1) + n
}

// kill ends the process as kill -9 does: nothing is deferred, flushed or closed.
func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
