//go:build e2e

package lab

import (
	"errors"
	"fmt"
	"strings"
)

// Calls by these numbers go through the sample dialplan with the variable REPORTED, with which ask asks
// only at queue-dial, of one server or of two, or at every point but of the server that also listens to the manager
// interface.
const reportExtensions = `
[ringhook](+)
exten => reported,1,ExecIf($["${REPORTED}" = "both" | "${ARG1}" = "queue-dial"]?AGI(agi://127.0.0.1:4575/${ARG1},linkedid=${CHANNEL(linkedid)},server=${ENTITYID},${ARG2},${ARG3}))
 same => n,ExecIf($["${REPORTED}" = "twice" & "${ARG1}" = "queue-dial"]?AGI(agi://127.0.0.1:4576/${ARG1},linkedid=${CHANNEL(linkedid)},server=${ENTITYID},${ARG2},${ARG3}))
 same => n,Return()
[ringhook-incoming](+)
exten => _7494XXXXXXX,1,Set(__REPORTED=twice)
 same => n,Goto(report,${EXTEN:4},1)
exten => _7497XXXXXXX,1,Set(__REPORTED=queue)
 same => n,Goto(report,${EXTEN:4},1)
exten => _7498XXXXXXX,1,Set(__REPORTED=both)
 same => n,Goto(report,${EXTEN:4},1)
exten => _7499XXXXXXX,1,Goto(report,${EXTEN:4},1)
[report]
exten => _XXXXXXX,1,Set(CHANNEL(hangup_handler_push)=ringhook-call,hangup,1)
 same => n,Gosub(ringhook,ask,1(call-dial))
 same => n,Goto(report-${EXTEN:0:4},${EXTEN:-3},1)
; a queue
[report-0000]
exten => _5XX,1,Goto(ringhook-queues,${EXTEN},1)
; another queue after 15 s
[report-0001]
exten => _5XX,1,Gosub(ringhook,ask,1(queue-dial,queue_id=${EXTEN}))
 same => n,Queue(${EXTEN},,,,15)
 same => n,Gosub(ringhook,ask,1(queue-hangup))
 same => n,Goto(ringhook-queues,${IF($["${EXTEN}" = "593"]?598:599)},1)
exten => h,1,Gosub(ringhook,ask,1(queue-hangup))
; two phones at once, without a queue: to be asked at each point, a phone needs a Local channel
[report-0002]
exten => _XXX,1,GotoIf($["${REPORTED}" = "queue"]?plain)
 same => n,Dial(Local/${EXTEN}@ringhook-direct/n&Local/$[${EXTEN} + 1]@ringhook-direct/n,30)
 same => n,Hangup()
 same => n(plain),Dial(PJSIP/${EXTEN}&PJSIP/$[${EXTEN} + 1],30)
 same => n,Hangup()
[report-0003]
exten => _XXX,1,Goto(ringhook-direct,${EXTEN},1)
; an agent calls out
[ringhook-phones](+)
exten => _97.,1,Set(__REPORTED=queue)
 same => n,Goto(${EXTEN:2},1)
exten => _98.,1,Set(__REPORTED=both)
 same => n,Goto(${EXTEN:2},1)
`

// The queues of calls that the manager interface reports, and their phones.
const (
	localMembers = "589" // three members by Local channels, on the phones of the next one
	plainMembers = "590" // three members without a Local channel
	ringAll      = "591" // two phones at once
	optimized    = "592" // Local channels that leave the call
	full         = "593" // takes no caller
	lastQueue    = "599" // after another one
	ringAgain    = "594" // left for another one after 15 seconds
	afterFull    = "598" // after one that takes no caller
)

func reportPhone(n int) string { return fmt.Sprint(200 + n) }

func reportQueues() string {
	var b strings.Builder
	local := func(n int, more string) string {
		return fmt.Sprintf("member => Local/%[1]s@ringhook-agents%[2]s,0,Agent %[1]s,PJSIP/%[1]s\n", reportPhone(n), more)
	}
	plain := func(n int) string { return fmt.Sprintf("member => PJSIP/%[1]s,0,Agent %[1]s\n", reportPhone(n)) }
	fmt.Fprintf(&b, "[%s](ringhook)\nstrategy=linear\n%s%s%s", localMembers, local(0, "/n"), local(1, "/n"), local(2, "/n"))
	fmt.Fprintf(&b, "[%s](ringhook)\nstrategy=linear\n%s%s%s", plainMembers, plain(0), plain(1), plain(2))
	fmt.Fprintf(&b, "[%s](ringhook)\nstrategy=ringall\n%s%s", ringAll, local(3, "/n"), local(4, "/n"))
	fmt.Fprintf(&b, "[%s](ringhook)\nstrategy=linear\n%s", optimized, local(5, ""))
	fmt.Fprintf(&b, "[%s](ringhook)\nstrategy=linear\njoinempty=paused,unavailable,invalid\nmaxlen=1\n", full)
	fmt.Fprintf(&b, "[%s](ringhook)\nstrategy=linear\n%s", lastQueue, local(6, "/n"))
	fmt.Fprintf(&b, "[%s](ringhook)\nstrategy=linear\n%s", afterFull, local(7, "/n"))
	fmt.Fprintf(&b, "[%s](ringhook)\nstrategy=linear\n%s", ringAgain, local(12, "/n"))
	return b.String()
}

// reportable returns the sample with the lines of calls with REPORTED.
func reportable(sample string) (string, error) {
	changed := strings.Replace(sample, "exten => ask,1,Set(RINGHOOK_STATUS=)", "exten => ask,1,GotoIf($[\"${REPORTED}\" != \"\"]?reported,1)\n same => n,Set(RINGHOOK_STATUS=)", 1)
	// The phones of these queues are 200 to 219.
	changed = strings.ReplaceAll(changed, "exten => _1XX,1,Set(", "exten => _[12]XX,1,Set(")
	if changed == sample {
		return "", errors.New("the sample dialplan does not begin its questions as expected")
	}
	return changed, nil
}
