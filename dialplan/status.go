package dialplan

import "strings"

// The statuses with which a call, a visit or a ring ends, as in the contract.
const (
	statusAnswer      = "answer"
	statusNoAnswer    = "noanswer"
	statusBusy        = "busy"
	statusCancel      = "cancel"
	statusUnavailable = "unavailable"
	statusOther       = "other"
)

// dialStatuses maps DIALSTATUS (app_dial.c) and the statuses of the contract, which a dialplan may also
// pass, to statuses of the contract.
var dialStatuses = map[string]string{
	"ANSWER": statusAnswer, "ANSWERED": statusAnswer,
	"NOANSWER": statusNoAnswer, "NO ANSWER": statusNoAnswer,
	"BUSY":        statusBusy,
	"CANCEL":      statusCancel,
	"CHANUNAVAIL": statusUnavailable, "CONGESTION": statusUnavailable, "INVALIDARGS": statusUnavailable,
	"UNAVAILABLE": statusUnavailable,
	"DONTCALL":    statusOther, "TORTURE": statusOther, "OTHER": statusOther, "FAILED": statusUnavailable,
}

// dialStatus returns the status of the contract with which a Dial ended, empty if the channel does not
// report it.
func dialStatus(word string) string {
	if word == "" {
		return ""
	}
	if s, ok := dialStatuses[strings.ToUpper(word)]; ok {
		return s
	}
	return statusOther
}

// queueStatuses maps QUEUESTATUS (app_queue.c, queue_results) of a visit that no agent answered to
// statuses of the contract.
var queueStatuses = map[string]string{
	"TIMEOUT": statusNoAnswer, "FULL": statusBusy,
	"JOINEMPTY": statusUnavailable, "LEAVEEMPTY": statusUnavailable,
	"JOINUNAVAIL": statusUnavailable, "LEAVEUNAVAIL": statusUnavailable,
}

func queueStatus(word string) string {
	if s, ok := queueStatuses[strings.ToUpper(word)]; ok {
		return s
	}
	return statusOther
}
