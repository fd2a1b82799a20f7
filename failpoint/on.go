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

// On tells whether this program has fail points.
const On = true

// soonest is how long after its point a kill of the kind "soon" comes at most.
const soonest = 3 * time.Millisecond

type trap struct {
	action string
	left   atomic.Int64 // hits until it springs
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

func known(p Point) bool { return slices.Contains(All, p) || strings.HasPrefix(string(p), attemptOf) }

// Hit says that the program has come to a point, and does there, once, what
// was asked for.
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

// deeper goes on until the stack is at its end.
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
