// Package failpoint is where a test ends or disturbs ringhook at a named step,
// to prove what a crash there leaves behind.
//
// Only a program built with the tag failpoints has them; in every other they
// are an empty function, which costs nothing. With the tag, the environment
// variable RINGHOOK_FAILPOINTS says what happens where:
//
//	RINGHOOK_FAILPOINTS="result.before_commit=error@2;accept.before_commit=kill@7"
//
// fails the second commit of results and kills the process at the seventh of
// acceptances. What can be done: kill (as kill -9), soon (kill, but a moment
// after, somewhere in what follows), error (where the step can fail), panic, and
// fatal (a crash that no recover stops).
package failpoint

import "errors"

// Point is a step at which ringhook can be disturbed.
type Point string

// The points, in the order of an event's way.
const (
	AcceptBeforeCommit Point = "accept.before_commit"             // events applied, not committed
	AcceptAfterCommit  Point = "accept.after_commit_before_ack"   // committed, nobody told
	AttemptBeforeSend  Point = "attempt.before_send"              // rendered, not sent
	AttemptAfterSend   Point = "attempt.after_send_before_result" // answered, not noted
	ResultBeforeCommit Point = "result.before_commit"
	ResultAfterCommit  Point = "result.after_commit"
	CheckpointMid      Point = "checkpoint.mid" // before it; soon is in the midst of it
	RetentionMid       Point = "retention.mid"  // deliveries removed, their events not yet
	ReplayMid          Point = "replay.mid"     // between two deliveries that are sent again
	MigrateMid         Point = "migrate.mid"    // a step taken, not committed
)

// AttemptOf is the point at which an event of that name is about to be rendered. It is not among All.
func AttemptOf(event string) Point { return attemptOf + Point(event) }

const attemptOf = "attempt.of_"

// All are the points.
var All = []Point{
	AcceptBeforeCommit, AcceptAfterCommit, AttemptBeforeSend, AttemptAfterSend, ResultBeforeCommit, ResultAfterCommit,
	CheckpointMid, RetentionMid, ReplayMid, MigrateMid,
}

// ErrInjected is what a point returns where an error was asked for. To the
// store it is one of the disk.
var ErrInjected = errors.New("injected at a fail point")
