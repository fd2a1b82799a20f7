package command

import (
	"crypto/rand"
	"maps"
	"strings"
	"time"

	"ringhook/hooks"
)

// sampleEventOf returns an event as a call makes it, between fictitious people. Each has
// an id of its own, so that no receiver takes it for a repeat.
func sampleEventOf(name string) *hooks.Event {
	now := time.Now().Truncate(time.Second)
	ev := &hooks.Event{
		ID: "msg_" + rand.Text(), Name: name, LinkedID: "sample." + now.Format("150405"), Seq: 1, Final: name == "call-hangup", Time: now,
		Params: map[string]any{
			"agent_id": "7", "agent_phone": "101", "agent_name": "Anna", "agent_info": "anna@crm.example", "call_info": "a sample, not a call",
		},
	}
	outgoing := name == "agent-custom" || strings.HasPrefix(name, "agent-dialout-")
	if outgoing {
		maps.Copy(ev.Params, map[string]any{"direction": "outgoing", "dialed": demoCaller})
	} else {
		maps.Copy(ev.Params, map[string]any{
			"direction": "incoming", "callerid": demoCaller, "callerid_raw": "02079460142", "callerid_name": "Zoë Müller", "directid": demoDID,
			"queue_id": "500", "queue_name": "Sales", "wait_time": int64(14), "ring_time": int64(5), "region_name": "London",
			"region_time": now.UTC().Format("15:04"),
		})
	}
	switch name {
	case hooks.HookDisabled:
		maps.Copy(ev.Params, map[string]any{"hook": "journal", "reason": hooks.Gone})
	case "call-dial", "queue-dial":
	case "queue-abandon", "ivr-hangup":
		ev.Seq = 3
		ev.Params["status"] = "cancel"
	case "queue-failover":
		ev.Seq = 3
		ev.Params["status"] = "noanswer"
	case "agent-cancel":
		ev.Seq = 3
		ev.Params["status"] = "busy"
	case "call-hangup", "agent-hangup", "agent-dialout-hangup":
		ev.Seq = 6
		maps.Copy(ev.Params, map[string]any{
			"status": "answer", "duration": int64(102), "billsec": int64(83), "talk_time": int64(83), "cause": int64(16),
			"recording_file": "/var/spool/asterisk/monitor/sample.wav", "recording_url": "https://pbx.example/rec/sample.wav",
		})
	default:
		ev.Seq = 2
		ev.Params["status"] = "answer"
	}
	maps.Copy(ev.Params, map[string]any{
		"event": name, "event_id": ev.ID, "seq": int64(ev.Seq), "final": ev.Final, "time": ev.Time.Format(time.RFC3339),
		"linkedid": ev.LinkedID, "uniqueid": ev.LinkedID, "started": now.Add(-2 * time.Minute).Format(time.RFC3339),
	})
	return ev
}
