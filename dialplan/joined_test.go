package dialplan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
	"ringhook/test/wait"
)

// TestJoinedByThePhone plays an attended transfer by REFER with Replaces: Asterisk joins the consultation with the caller's call, so
// that the colleague's channel ends with the linkedid of the caller. The end is that of the ring in the consultation, also if
// ringhook was restarted meanwhile. A ring that nothing reported is the call's that the end names.
func TestJoinedByThePhone(t *testing.T) {
	for _, c := range []struct{ memory, rang bool }{{true, true}, {false, true}, {true, false}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			h := build(t, time.Second, nil, nil)
			channels := map[string]map[string]string{}
			at := func(channel, linkedid, point string, args ...string) {
				t.Helper()
				if channels[channel] == nil {
					channels[channel] = map[string]string{}
				}
				vars := map[string]string{"CHANNEL(linkedid)": linkedid, "DIALSTATUS": "ANSWER"}
				for name, value := range channels[channel] {
					vars[strings.TrimLeft(name, "_")] = value
				}
				result, err := asterisk.Call(wait.Context(t), h.addr, asterisk.CallRequest{
					Env:       fastagi.Env{Point: point, Channel: "PJSIP/" + channel, UniqueID: channel, CallerNum: "02079460142", Args: append(args, "server=pbx")},
					Variables: vars,
				})
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range result.Set {
					channels[channel][v.Name] = v.Value
				}
			}
			at("1.1", "1.1", "queue-dial", "queue_id=500")
			at("1.2", "1.1", "agent-dial", "agent_phone=101")
			at("1.2", "1.1", "agent-answer", "agent_phone=101")
			at("2.1", "2.1", "agent-custom", "dialed=102", "agent_phone=101")
			if c.rang {
				at("2.1", "2.1", "agent-dial", "agent_phone=102")
				channels["2.2"] = channels["2.1"] // inherited
				at("2.2", "2.1", "agent-answer", "agent_phone=102")
			} else { // the ring was not reported
				channels["2.2"] = map[string]string{"RINGHOOK_RING": "2.1/1/102"}
			}
			if !c.memory {
				h.d.Forget()
			}
			at("1.2", "1.1", "agent-hangup", "agent_phone=101")
			at("2.2", "1.1", "agent-hangup", "agent_phone=102")
			at("1.1", "1.1", "call-hangup")

			var got []string
			for _, ev := range h.kept() {
				if strings.HasPrefix(ev.Name, "agent-") {
					got = append(got, fmt.Sprint(ev.LinkedID, " ", ev.Name, " ", ev.Params["agent_phone"], " ", ev.Params["status"]))
				}
			}
			want := []string{
				"1.1 agent-dial 101 <nil>", "1.1 agent-answer 101 <nil>", "2.1 agent-custom 101 <nil>", "2.1 agent-dial 102 <nil>", "2.1 agent-answer 102 <nil>",
				"1.1 agent-hangup 101 answer", "2.1 agent-hangup 102 answer",
			}
			if !c.rang {
				want = append(want[:3], "1.1 agent-hangup 101 answer", "1.1 agent-cancel 102 cancel")
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}
