package pops

// Reason says why an event pops or not. It is a label of metrics.
type Reason string

// The reasons, in the order in which they are checked.
const (
	NoRule    Reason = "no-rule"   // no rule has this event for the agent, or its condition does not hold
	Internal  Reason = "internal"  // the call is between two phones
	Late      Reason = "late"      // the event is too old, or was reported after the call's end
	Moment    Reason = "moment"    // the agent chose another moment
	Repeat    Reason = "repeat"    // this call already popped for this agent by this rule
	Off       Reason = "off"       // the agent switched pops off
	Anonymous Reason = "anonymous" // the number is withheld, and the rule needs one
	Short     Reason = "short"     // the number has fewer digits than min_length
	Exception Reason = "exception" // the number is on the list of exceptions
	Busy      Reason = "busy"      // the agent is on another call
	Waiting   Reason = "pending"   // the lookup is still under way
	Unknown   Reason = "not-found" // the caller is not known
	Weak      Reason = "weak"      // only the last digits of the number fit
	BadURL    Reason = "url"       // the URL would be too long or not the rule's own
	SignedOut Reason = "signed-out"
	Popped    Reason = "popped"
)

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{NoRule, Internal, Late, Moment, Repeat, Off, Anonymous, Short, Exception, Busy, Waiting, Unknown, Weak, BadURL, SignedOut, Popped}
}
