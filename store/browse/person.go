package browse

import (
	"maps"

	"ringhook/dialplan"
)

// Person holds the stored data about the holder of a number, without the cache and the phonebook.
type Person struct {
	Calls      []HeldCall
	Deliveries []Item // of every state
	Points     []dialplan.PointTrace
}

// Erased counts what was erased about the holder of a number.
type Erased struct {
	Calls, Events, Deliveries int
	Pending                   int // of the deliveries: they are never sent
	Points                    int // trace records
}

// OwnCall is a call of a person, named as hooks.Event.Call does.
type OwnCall struct{ LinkedID, Call string }

// OwnCalls returns the names of stored calls.
func OwnCalls(held []HeldCall) (own []OwnCall) {
	for _, c := range held {
		own = append(own, OwnCall{c.LinkedID, c.UUID()})
	}
	return own
}

// Sole returns the linkedids of a person's calls that no call of another person has, neither a stored one nor one of a stored
// event. Events without a call_uuid are of a ringhook that knew one call of each linkedid.
func Sole(own []OwnCall, stored CallReader) (map[string]bool, error) {
	mine := make(map[OwnCall]bool, len(own))
	for _, o := range own {
		mine[o] = true
	}
	sole := map[string]bool{}
	for _, o := range own {
		if _, known := sole[o.LinkedID]; known {
			continue
		}
		held, err := stored.Calls(o.LinkedID)
		if err != nil {
			return nil, err
		}
		calls, err := stored.EventCalls(o.LinkedID)
		if err != nil {
			return nil, err
		}
		for _, c := range OwnCalls(held) {
			calls = append(calls, c.Call)
		}
		shared := false
		for _, call := range calls {
			shared = shared || call != o.LinkedID && !mine[OwnCall{o.LinkedID, call}]
		}
		sole[o.LinkedID] = !shared
	}
	maps.DeleteFunc(sole, func(_ string, alone bool) bool { return !alone })
	return sole, nil
}
