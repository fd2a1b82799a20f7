package dialplan

import (
	"fmt"
	"net/netip"
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

// TestWithheldLater checks that the number and the name of a caller who withholds them come into no event and no trace of the
// call, on whichever channel a point is asked or reported: the agent's channel, the manager interface, which does not know who
// calls, and the caller's own, in another spelling or inside a longer text.
func TestWithheldLater(t *testing.T) {
	const file = "/monitor/q-500-%s-20261128-101523-1768469402.77.wav"
	for name, begin := range map[string]func(p *pbx){
		"by the first point": func(p *pbx) {
			p.pres = 32
			p.at(1, "call-1", QueueDial, "queue_id=500")
		},
		"by a later point": func(p *pbx) {
			p.at(1, "call-1", QueueDial, "queue_id=500", "call_info="+withheldCaller, "recording_file="+fmt.Sprintf(file, withheldCaller))
			p.events, p.pres = nil, 32
			p.at(2, "call-1", CallDial)
		},
		"by the agent's channel": func(p *pbx) {
			p.caller, p.name = "101", "Boris"
			p.set("phone", "CONNECTEDLINE(num)", "+442079460142")
			p.set("phone", "CONNECTEDLINE(num-pres)", "prohib_not_screened")
			p.at(1, "phone", AgentAnswer, "agent_phone=101")
		},
	} {
		for _, number := range []string{"+442079460142", "02079460142", "2079460142", "79460142"} {
			p := newPBX(t)
			p.settings.variables = parseVariables(map[string]any{"customer_phone": "text"}, func(string, string) {})
			p.caller, p.name = "+442079460142", "Anna Berg"
			begin(p)
			file := fmt.Sprintf(file, number)
			p.caller, p.name, p.pres = "101", "Boris", 0 // the agent's channel
			p.at(3, "phone", AgentDial, "agent_phone=101", "call_info="+number, "customer_phone="+number)
			p.at(4, "phone", CustomEvent, "name=survey", "score=4", "phone="+number, "text=from "+number+".")
			p.set("phone", "MIXMONITOR_FILENAME", file)
			p.at(5, "phone", AgentHangup, "agent_phone=101")
			p.caller = "+442079460142"
			p.report(6, Report{Point: QueueHangup, Channel: "call-1", Stay: &Stay{Channel: "call-1", Queue: "500"}, Args: map[string]string{"recording_file": file}})
			p.at(7, "call-1", CustomEvent, "name=end", "file="+file)
			p.report(8, Report{Point: CallHangup, Channel: "call-1", Args: map[string]string{"recording_file": file}})
			for _, ev := range p.events {
				for name, value := range ev.Params {
					if strings.Contains(fmt.Sprint(value), "9460142") || name == "callerid_raw" || name == "callerid" || name == "callerid_name" {
						t.Errorf("%s, %s: %s has %s = %v", name, number, ev.Name, name, value)
					}
				}
				if ev.Params["callerid_withheld"] != true {
					t.Errorf("%s, %s: %s does not say that the number is withheld", name, number, ev.Name)
				}
			}
			if strings.Contains(string(p.kept), "9460142") {
				t.Errorf("%s: the store has the number: %s", name, p.kept)
			}
			if n := len(p.events); n < 5 || p.events[n-1].Name != string(CallHangup) {
				t.Errorf("%s: %d events", name, n)
			}
		}
	}
}

// TestNotWithheld checks what events of such a call have all the same.
func TestNotWithheld(t *testing.T) {
	p := newPBX(t)
	p.pres, p.name = 32, "Anna Berg"
	const file = "/monitor/q-500-20261128-101523-1768469402.77.wav"
	p.at(1, "call-1", QueueDial, "queue_id=500", "recording_file="+file)
	p.caller, p.name, p.pres = "4420794600", "Anna", 0
	p.at(2, "phone", CustomEvent, "name=survey", "agent_phone=101", "agent_name=Anna Berg", "phone=+442079460143", "who=Anna", "city=Bergen")
	p.report(3, Report{Point: CustomEvent, Channel: "call-1", Args: map[string]string{"name": AgentNote, "agent_phone": "101", "note": "call back: " + withheldCaller}})
	for event, params := range map[int]map[string]string{
		0: {"recording_file": file},
		1: {"recording_file": file, "agent_name": "Anna Berg", "phone": "+442079460143", "who": "Anna", "city": "Bergen"},
		2: {"note": "call back: " + withheldCaller},
	} {
		for name, want := range params {
			if got := p.events[event].Params[name]; got != want {
				t.Errorf("%s: %s is %v, want %s", p.events[event].Name, name, got, want)
			}
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
	agent := fastagi.Env{Point: "event", UniqueID: "1.2", CallerNum: "101", CallerName: "Boris", Args: []string{"phone=020 7946 0142", "who=anna berg", "agent_phone=101"}}
	shown := fastagi.Env{Point: "queue-hangup", UniqueID: "1.1", CallerNum: withheldCaller, CallerName: "Anna Berg"}
	for name, tc := range map[string]struct {
		env    fastagi.Env
		read   string // connected
		reject bool
		want   string
	}{
		"caller":          {caller, "", false, "withheld  phone=withheld&queue_id=500 [callerid=withheld from=withheld who=withheld agent_phone=101] []"},
		"rejected":        {caller, "", true, "withheld  phone=withheld&queue_id=500 [callerid=withheld from=withheld who=withheld agent_phone=101] []"},
		"malformed":       {malformed, "", true, "withheld  phone=withheld&queue_id=500 [] []"},
		"agent":           {agent, "", false, "101 Boris  [phone=withheld who=withheld agent_phone=101] []"},
		"caller shown":    {shown, "", false, "withheld   [] []"},
		"called phone":    {phone, withheldCaller, false, "101 Boris  [agent_phone=101] [{connected withheld}]"},
		"nothing to hide": {phone, "", false, "101 Boris  [agent_phone=101] [{connected }]"},
	} {
		p := &pointSession{session: &fastagi.Session{}, current: &current{settings: newSettings(Settings{})}}
		tc.env.Channel = "DAHDI/i1/" + withheldCaller + "-5"
		*p.session.Env() = tc.env
		if !tc.reject {
			p.request = &request{env: p.session.Env(), args: map[string]string{"connected": tc.read}}
			if tc.env.Point == "agent-answer" {
				p.request.asked = []string{"connected"}
			}
			p.transition = &transition{request: p.request, hidden: true, call: newCall(Identity{LinkedID: "1.1"}, time.Time{})}
			p.transition.call.mark(withheldCaller, "Anna Berg")
			p.transition.marks = p.transition.call.marks()
		}
		b := traceBuffer{traceVersion}
		p.encode(&b, "OK", time.Second)
		got, err := DecodeTrace(b)
		if err != nil {
			t.Fatal(err)
		}
		if got.Channel != "DAHDI/i1/withheld-5" {
			t.Errorf("%s: the channel is %s", name, got.Channel)
		}
		if text := strings.TrimSpace(fmt.Sprint(got.Caller, " ", got.CallerName, " ", got.Query, " ", got.Given, " ", got.Read)); text != tc.want {
			t.Errorf("%s: got %s, want %s", name, text, tc.want)
		}
	}
}

// TestWithheldFirst checks that the stored state of a call has no channel with the number of a caller who withholds it, and that
// the call continues under the hidden name.
func TestWithheldFirst(t *testing.T) {
	const raw = "DAHDI/i1/" + withheldCaller + "-5"
	shown := channel{UniqueID: "1.1", Name: raw, Caller: withheldCaller}
	env := &fastagi.Env{UniqueID: "1.1", Channel: raw, CallerNum: withheldCaller, CallingPres: 32}
	hidden := (&request{env: env}).channel(netip.Addr{})
	if hidden != (channel{UniqueID: "1.1", Name: "DAHDI/i1/withheld-5", Caller: hiddenCaller}) {
		t.Errorf("the channel is %+v", hidden)
	}
	report := &Report{Call: Identity{LinkedID: "1.1"}, First: &First{Name: raw, Number: withheldCaller, Withheld: true}}
	if got := report.channel(); *got != hidden {
		t.Errorf("the channel of a report is %+v", got)
	}
	other := channel{UniqueID: "1.1", Name: "DAHDI/i1/02079460143-6", Caller: "02079460143"}
	for _, first := range []channel{shown, hidden} {
		c := &call{LinkedID: "1.1", First: first}
		if c.contradicts(shown) || c.contradicts(hidden) || c.twinOf(shown, "") != "" || c.twinOf(hidden, "") != "" {
			t.Errorf("%+v is that of another call", first)
		}
		if !c.contradicts(other) {
			t.Errorf("%+v is not that of another call", other)
		}
	}

	// The number is withheld from the second point on.
	p := newPBX(t)
	p.caller, p.pres = withheldCaller, 0
	p.at(1, "call-1", QueueDial, "queue_id=500")
	p.kept = []byte(strings.Replace(string(p.kept), "{", fmt.Sprintf(`{"first":{"uniqueid":"call-1","name":%q,"caller":%q},`, raw, withheldCaller), 1))
	p.pres = 32
	p.at(2, "call-1", CallDial)
	c, err := decodeCall(p.kept)
	if err != nil {
		t.Fatal(err)
	}
	if c.First.Caller != hiddenCaller || c.First.Name != "DAHDI/i1/withheld-5" {
		t.Errorf("the first channel is %+v", c.First)
	}
}

// TestTraceOfStray checks what the trace of a refused point shows on an agent's channel: it is not known whose call that is.
func TestTraceOfStray(t *testing.T) {
	p := &pointSession{session: &fastagi.Session{}, current: &current{settings: newSettings(Settings{})}}
	*p.session.Env() = fastagi.Env{
		Point: "agent-answer", UniqueID: "1700000000.2", CallerNum: "02079460500", Query: "country=XX&phone=" + withheldCaller,
		Args: []string{"from=" + withheldCaller, "own=+442079460500", "agent_phone=02079460501", "linkedid=1700000000.1", "queue_id=500", "recording_url=https://u:p@pbx.example/rec/1.wav?key=s3cret"},
	}
	b := traceBuffer{traceVersion}
	p.encode(&b, "ERROR", time.Second)
	got, err := DecodeTrace(b)
	if err != nil {
		t.Fatal(err)
	}
	want := "country=XX&phone=withheld [from=withheld own=+442079460500 agent_phone=02079460501 linkedid=1700000000.1 queue_id=500 recording_url=https://***@pbx.example/rec/1.wav?***]"
	if text := fmt.Sprint(got.Query, " ", got.Given); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if got := withoutSecrets("recording_url=https%3A%2F%2Fu%3Ap%40pbx%2F1.wav%3Fkey%3Ds3cret&queue_id=500"); strings.Contains(got, "s3cret") || strings.Contains(got, "p%40") {
		t.Errorf("a query is shown as %s", got)
	}
}
