package dialplan

import "strings"

// The statuses of the contract: how a call, a visit or a ring ended.
const (
	statusAnswer      = "answer"
	statusNoAnswer    = "noanswer"
	statusBusy        = "busy"
	statusCancel      = "cancel"
	statusUnavailable = "unavailable"
	statusOther       = "other"
)

// dialStatuses translates DIALSTATUS (app_dial.c) and the contract's own
// words, which a dialplan may give as well.
var dialStatuses = map[string]string{
	"ANSWER": statusAnswer, "ANSWERED": statusAnswer,
	"NOANSWER": statusNoAnswer, "NO ANSWER": statusNoAnswer,
	"BUSY":        statusBusy,
	"CANCEL":      statusCancel,
	"CHANUNAVAIL": statusUnavailable, "CONGESTION": statusUnavailable, "INVALIDARGS": statusUnavailable,
	"UNAVAILABLE": statusUnavailable,
	"DONTCALL":    statusOther, "TORTURE": statusOther, "OTHER": statusOther, "FAILED": statusUnavailable,
}

// dialStatus returns the contract's word for how a Dial ended, empty where the
// channel does not say.
func dialStatus(word string) string {
	if word == "" {
		return ""
	}
	if s, ok := dialStatuses[strings.ToUpper(word)]; ok {
		return s
	}
	return statusOther
}

// queueStatuses translates QUEUESTATUS (app_queue.c, queue_results) of a visit
// that no agent answered.
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
