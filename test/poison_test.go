//go:build failpoints

package test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
	"ringhook/hooks/hooktest"
)

// TestPoisonCrash checks an event whose rendering crashes the process (F36). After the third crash it is
// dead, and ringhook stays up. All other acknowledged events arrive, also the next one of its call.
func TestPoisonCrash(t *testing.T) {
	receiver := hooktest.NewReceiver(t)
	file, agi, web := config(t, fmt.Sprintf("[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = %q\n", receiver.URL()))
	ctx, cancel := context.WithTimeout(context.Background(), crashWait)
	defer cancel()
	promised := map[string]bool{}
	ask := func(point, linkedid string) {
		result, _ := asterisk.Call(ctx, agi, asterisk.CallRequest{
			Env:       fastagi.Env{Point: point, Channel: "PJSIP/trunk", UniqueID: linkedid, CallerNum: "+442079460142", Args: []string{"agent_phone=101", "queue_id=500"}},
			Variables: map[string]string{"CHANNEL(linkedid)": linkedid, "DIALSTATUS": "ANSWER"},
		})
		for _, v := range result.Set {
			if v.Name == "RINGHOOK_STATUS" && v.Value == "OK" {
				promised[fmt.Sprintf(`"linkedid":%q,`, linkedid)] = true
			}
		}
	}
	const trap = "attempt.of_agent-answer=fatal@1"
	for n := range 3 {
		d := startKilled(t, file, "RINGHOOK_FAILPOINTS="+trap)
		defer d.kill()
		d.untilReady(ctx, web)
		for call := range 10 {
			ask("queue-dial", fmt.Sprintf("%d.%d", n+1, call))
		}
		if n == 0 {
			ask("agent-answer", "666.1")
		} else {
			ask("agent-hangup", "666.1")
			ringhook(t, "outbox", "retry", "--call", "666.1", "-c", file) // does not wait for the schedule
		}
		select {
		case <-d.ended:
		case <-ctx.Done():
			t.Fatalf("it does not crash for the %d. time:\n%s", n+1, d.log)
		}
		if !strings.Contains(d.log.String(), "fatal error: stack overflow") {
			t.Fatalf("it ended otherwise:\n%s", d.log)
		}
	}
	d := startKilled(t, file, "RINGHOOK_FAILPOINTS="+trap)
	defer d.kill()
	if !d.untilReady(ctx, web) {
		t.Fatalf("it does not come up again:\n%s", d.log)
	}
	d.untilMetric(web, `ringhook_hook_pending{hook="journal"} 0`)
	d.untilMetric(web, `ringhook_hook_dead{hook="journal"} 1`)
	d.stop()
	if list := ringhook(t, "outbox", "list", "--state", "dead", "-c", file); !strings.Contains(list, "agent-answer  666.1  dead   3         poison") {
		t.Errorf("dead is\n%s", list)
	}
	var came strings.Builder
	for _, r := range receiver.Requests() {
		came.WriteString(r.Body)
		if strings.Contains(r.Body, "agent-answer") {
			t.Errorf("it was sent: %s", r.Body)
		}
	}
	for key := range promised {
		if !strings.Contains(came.String(), key) {
			t.Errorf("%s was promised, and did not come", key)
		}
	}
	if len(promised) < 10 {
		t.Errorf("%d calls were promised", len(promised))
	}
}
