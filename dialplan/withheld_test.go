package dialplan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ringhook/fastagi"
)

// withheldCaller is the number of the caller in the tests of withheld numbers.
const withheldCaller = "02079460142"

// TestWithheldArguments checks that arguments of the dialplan bring number and name of a caller who withholds them into no
// event, whatever they are called.
func TestWithheldArguments(t *testing.T) {
	for _, events := range []bool{false, true} {
		p := newPBX(t)
		p.settings.withheldEvents, p.pres, p.name = events, 32, "Anna Berg"
		p.settings.variables = parseVariables(map[string]any{"customer_phone": "text"}, func(string, string) {})
		secret := []string{"callerid=+442079460142", "callerid_name=A", "callerid_raw=020", "phone=+44 20 7946 0142", "short=2079460142", "from=sip:02079460142@pbx"}
		p.at(0, "caller", CustomEvent, append([]string{"name=survey", "score=4", "agent_phone=101"}, secret...)...)
		p.at(1, "caller", QueueDial, "queue_id=500", "call_info="+withheldCaller, "recording_file=/rec/500-"+withheldCaller+".wav", "customer_phone="+withheldCaller)
		for _, ev := range p.events {
			for _, name := range []string{"callerid", "callerid_name", "callerid_raw", "phone", "short", "from", "call_info", "customer_phone", "recording_file"} {
				if value, shown := ev.Params[name]; shown && !events {
					t.Errorf("%s has %s = %v", ev.Name, name, value)
				}
			}
		}
		ev := p.events[0]
		if events && (ev.Params["callerid"] != "+442079460142" || ev.Params["phone"] != "+44 20 7946 0142") || ev.Params["score"] != "4" || ev.Params["agent_phone"] != "101" {
			t.Errorf("events %t: got %v", events, ev.Params)
		}
	}
}

// TestWithheldTrace checks that a trace shows nothing of such a caller in the arguments of a point, also of one that is
// rejected, nor in what is read of a called phone's channel.
func TestWithheldTrace(t *testing.T) {
	caller := fastagi.Env{
		Point: "queue-dial", UniqueID: "1.1", CallerNum: withheldCaller, CallerName: "Anna Berg", CallingPres: 32, Query: "phone=%2B442079460142&queue_id=500",
		Args: []string{"callerid=x", "from=+44 20 7946 0142", "who=Anna Berg", "agent_phone=101"},
	}
	malformed := fastagi.Env{Point: "queue-dial", UniqueID: "1.1", CallerNum: withheldCaller, CallingPres: 32, Query: "phone=" + withheldCaller + "%&queue_id=500"}
	phone := fastagi.Env{Point: "agent-answer", UniqueID: "1.2", CallerNum: "101", CallerName: "Boris", Args: []string{"agent_phone=101"}}
	for name, tc := range map[string]struct {
		env    fastagi.Env
		read   string // connected
		reject bool
		want   string
	}{
		"caller":          {caller, "", false, "withheld  phone=withheld&queue_id=500 [callerid=withheld from=withheld who=withheld agent_phone=101] []"},
		"rejected":        {caller, "", true, "withheld  phone=withheld&queue_id=500 [callerid=withheld from=withheld who=withheld agent_phone=101] []"},
		"malformed":       {malformed, "", true, "withheld  phone=withheld&queue_id=500 [] []"},
		"called phone":    {phone, withheldCaller, false, "101 Boris  [agent_phone=101] [{connected withheld}]"},
		"nothing to hide": {phone, "", false, "101 Boris  [agent_phone=101] [{connected }]"},
	} {
		p := &pointSession{session: &fastagi.Session{}, current: &current{settings: newSettings(Settings{})}}
		*p.session.Env() = tc.env
		if !tc.reject {
			p.request = &request{env: p.session.Env(), args: map[string]string{"connected": tc.read}}
			if tc.env.Point == "agent-answer" {
				p.request.asked = []string{"connected"}
			}
			p.transition = &transition{request: p.request, hidden: true}
		}
		b := traceBuffer{traceVersion}
		p.encode(&b, "OK", time.Second)
		got, err := DecodeTrace(b)
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.TrimSpace(fmt.Sprint(got.Caller, " ", got.CallerName, " ", got.Query, " ", got.Given, " ", got.Read)); text != tc.want {
			t.Errorf("%s: got %s, want %s", name, text, tc.want)
		}
	}
}
