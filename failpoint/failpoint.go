// Package failpoint lets a test end or disturb ringhook at a named step, to check the
// state that a crash leaves.
//
// Only a program built with the tag failpoints has them; otherwise they are an empty
// function. With the tag, the environment variable RINGHOOK_FAILPOINTS lists actions:
//
//	RINGHOOK_FAILPOINTS="result.before_commit=error@2;accept.before_commit=kill@7"
//
// fails the second commit of results and kills the process at the seventh commit of
// accepted events. The actions are kill (as kill -9), soon (kill a moment later, during
// the following steps), error (if the step can fail), panic, and fatal (a crash that no
// recover stops).
package failpoint

import "errors"

// Point is a step at which ringhook can be disturbed.
type Point string

// The points, in the order in which an event passes them.
const (
	AcceptBeforeCommit Point = "accept.before_commit"             // events applied, not committed
	AcceptAfterCommit  Point = "accept.after_commit_before_ack"   // committed, not acknowledged
	AttemptBeforeSend  Point = "attempt.before_send"              // rendered, not sent
	AttemptAfterSend   Point = "attempt.after_send_before_result" // answered, result not stored
	ResultBeforeCommit Point = "result.before_commit"
	ResultAfterCommit  Point = "result.after_commit"
	CheckpointMid      Point = "checkpoint.mid" // before the checkpoint; soon is during it
	RetentionMid       Point = "retention.mid"  // deliveries removed, their events not yet
	ReplayMid          Point = "replay.mid"     // between two deliveries that are sent again
	MigrateMid         Point = "migrate.mid"    // a step taken, not committed
)

// AttemptOf is the point at which an event of that name is about to be rendered. It is not among All.
func AttemptOf(event string) Point { return attemptOf + Point(event) }

const attemptOf = "attempt.of_"

// AccountAfterAnswer is the point at which a token was issued and is not stored. It is not among All, because the way of
// an event does not pass it.
const AccountAfterAnswer Point = "account.after_answer_before_save"

// All lists the points that an event passes, and those of the store's upkeep.
var All = []Point{
	AcceptBeforeCommit, AcceptAfterCommit, AttemptBeforeSend, AttemptAfterSend, ResultBeforeCommit, ResultAfterCommit,
	CheckpointMid, RetentionMid, ReplayMid, MigrateMid,
}

// ErrInjected is the error of a point with the action error. The store treats it as one
// of the disk.
var ErrInjected = errors.New("injected at a fail point")
