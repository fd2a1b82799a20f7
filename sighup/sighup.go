// Package sighup catches SIGHUP from the first milliseconds of the process on, while the other packages are
// initialized: until a handler is installed, the signal ends the process. It imports almost nothing, because a package is
// initialized after its imports.
package sighup

import (
	"os"
	"os/signal"
	"syscall"
)

var early = make(chan os.Signal, 1)

func init() { signal.Notify(early, syscall.SIGHUP) }

// Take ends the early handler, and passes on to c a signal that came before. The caller has had c notified already.
func Take(c chan<- os.Signal) {
	signal.Stop(early)
	select {
	case s := <-early:
		select {
		case c <- s:
		default: // it has one
		}
	default:
	}
}
