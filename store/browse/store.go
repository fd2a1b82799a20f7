package browse

import (
	"context"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
)

// Store is what people and programs see and change of a store, whatever kind it is.
type Store struct {
	Operator
	CallReader
	PointReader
}

// Operator lists, shows and changes deliveries.
type Operator interface {
	// List returns the newest deliveries that match the filter, the newest first.
	List(f Filter) ([]Item, error)
	// IDs returns the numbers of all deliveries that match the filter, or up to its limit if it has one, the oldest first.
	IDs(f Filter) ([]int64, error)
	// Changeable is IDs, but delivered and dropped deliveries are left out if the filter names no state.
	Changeable(f Filter) ([]int64, error)
	// Show returns one delivery and its stored attempts, the oldest first, or ErrNotFound.
	Show(id int64) (Item, []hooks.Attempt, error)
	// Retry makes pending, dead and dropped deliveries due now, and returns their number.
	Retry(ctx context.Context, ids ...int64) (int, error)
	// Drop marks pending and dead deliveries as dropped, and returns their number.
	Drop(ctx context.Context, ids ...int64) (int, error)
	// Replay makes new deliveries of events, and returns their number.
	Replay(ctx context.Context, r Replay) (int, error)
	// Replayable returns the number of deliveries that Replay would make.
	Replayable(r Replay) (int, error)
	// HookCounts returns the counts of every hook that is known or has deliveries.
	HookCounts() ([]HookCounts, error)
	// States lists the states of the hooks that fail or are disabled.
	States() ([]hooks.HookState, error)
	// Enable enables a disabled hook, and reports whether it was disabled.
	Enable(ctx context.Context, hook string) (was bool, err error)
	// Failing returns the last attempt of a hook's pending deliveries and when that delivery is attempted again.
	Failing(hook string) (last hooks.Attempt, next time.Time, failing bool, err error)
}

// CallReader reads the stored calls.
type CallReader interface {
	// Calls returns the calls of a linkedid on all Asterisks, the longest idle first.
	Calls(linkedid string) ([]HeldCall, error)
	// EventCalls returns the calls of the stored events of a linkedid, as hooks.Event.Call names them, each once.
	EventCalls(linkedid string) ([]string, error)
	// LinkedIDOf returns the linkedid of the call with a call_uuid, and any other text as it is.
	LinkedIDOf(call string) (string, error)
	// CallsSince calls f with every call that has a record since a time, the longest idle first, until f returns false.
	CallsSince(since time.Time, f func(HeldCall) (more bool)) error
	// CallsAfter returns at most limit calls that come after a place in the list, and the place after them.
	CallsAfter(at Place, limit int) (list []HeldCall, next Place, err error)
}

// PointReader reads the trace records of points. Some may be missing.
type PointReader interface {
	// CallPoints returns the records of a call that began after a time, the earliest first.
	CallPoints(linkedid string, since time.Time) ([]dialplan.PointTrace, error)
	// PointsSince calls f with every record since a time, in the order in which they were added.
	PointsSince(since time.Time, f func(*dialplan.PointTrace)) error
}
