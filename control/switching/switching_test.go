package switching

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/ami"
	"ringhook/ami/amitest"
)

// silent is a user of events that needs none.
type silent struct{}

func (silent) Connected(context.Context) error    { return nil }
func (silent) Event(context.Context, ami.Message) {}
func (silent) Tick(context.Context)               {}
func (silent) Disconnected()                      {}

// newPBX returns a fake Asterisk with these channels, and a client that is connected to it. A channel is
// name, uniqueid, context, extension, application, bridge and, unless it is Up, state, separated by blanks. Redirect moves
// channels, but the list shows it only the second time it is asked for, as that of a real Asterisk does.
func newPBX(t *testing.T, channels ...string) (*amitest.Server, *ami.Client, map[string]string) {
	t.Helper()
	s := amitest.New()
	variables := map[string]string{} // by channel and name
	ok := func(*amitest.Request) string {
		return amitest.Text("Response: Success", "ActionID: {id}", "Message: done")
	}
	for _, action := range []string{"BlindTransfer", "Hangup", "PJSIPNotify", "Originate"} {
		s.AnswerFunc(action, ok)
	}
	s.AnswerFunc("Getvar", func(r *amitest.Request) string {
		value := variables[r.Get("Channel")+" "+r.Get("Variable")]
		if strings.HasPrefix(r.Get("Variable"), "DIALPLAN_EXISTS(") && !strings.Contains(r.Get("Variable"), "8888") {
			value = "1"
		}
		return amitest.Text("Response: Success", "ActionID: {id}", "Variable: "+r.Get("Variable"), "Value: "+value)
	})
	s.AnswerFunc("Setvar", ok)
	var lock sync.Mutex
	var moved []*amitest.Request
	fields := make([][]string, len(channels))
	for i, c := range channels {
		fields[i] = strings.Split(c, " ")
	}
	s.AnswerFunc("Redirect", func(r *amitest.Request) string {
		lock.Lock()
		defer lock.Unlock()
		moved = append(moved, r)
		return ok(r)
	})
	s.AnswerFunc("CoreShowChannels", func(*amitest.Request) string {
		lock.Lock()
		defer lock.Unlock()
		var items []string
		for _, f := range fields {
			state := "Up"
			if len(f) > 6 {
				state = f[6]
			}
			items = append(items, amitest.Text("Event: CoreShowChannel", "Channel: "+f[0], "Uniqueid: "+f[1], "Linkedid: L", "Context: "+f[2],
				"Exten: "+f[3], "ChannelStateDesc: "+state, "Application: "+f[4], "BridgeId: "+f[5]))
		}
		for _, r := range moved {
			for _, extra := range []string{"", "Extra"} {
				for _, f := range fields {
					if f[1] == r.Get(extra+"Channel") {
						f[2], f[3], f[5] = r.Get(extra+"Context"), r.Get(extra+"Exten"), ""
					}
				}
			}
		}
		moved = nil
		return amitest.List("CoreShowChannels", items...)
	})
	address, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ami.New(ami.Config{Name: "pbx", Address: address, Username: amitest.Username, Secret: amitest.Secret}, nil, slog.New(slog.DiscardHandler), ami.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := c.Start(ctx, silent{})
	t.Cleanup(func() {
		cancel()
		<-done
		s.Close()
	})
	for end := time.Now().Add(20 * time.Second); !c.Connected(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not connected")
		}
	}
	return s, c, variables
}

// sent lists what reached Asterisk and may change it.
func sent(s *amitest.Server) (lines []string) {
	for _, r := range s.Requests("") {
		switch r.Action {
		case "Ping", "CoreShowChannels", "Getvar":
			continue
		}
		line := r.Action
		for _, f := range r.Fields {
			line += fmt.Sprintf(" %s=%s", f[0], f[1])
		}
		lines = append(lines, line)
	}
	return lines
}

func expect(t *testing.T, s *amitest.Server, want ...string) {
	t.Helper()
	if got := sent(s); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func code(t *testing.T, err error, want string) {
	t.Helper()
	var refused *Error
	if !errors.As(err, &refused) || refused.Code != want {
		t.Errorf("got %v, want the code %s", err, want)
	}
}

// queueCall is a caller who talks to a member of a queue that is a Local channel.
var queueCall = []string{
	"PJSIP/trunk-00000001 1.1 queues 500 Queue b1",
	"Local/101@agents-00000001;1 1.2 agents 500 AppQueue b1",
	"Local/101@agents-00000001;2 1.3 agents 101 Dial b2",
	"PJSIP/101-00000002 1.4 phones  AppDial b2",
	"PJSIP/1012-00000009 1.9 phones 1 Dial b9",
}

var phone101 = ID{LinkedID: "L", Device: "PJSIP/101"}

func TestHold(t *testing.T) {
	s, c, variables := newPBX(t, queueCall...)
	variables["1.4 RINGHOOK_PARTNER"] = "PJSIP/trunk-00000001"
	if err := Hold(t.Context(), c, phone101, ByPBX); err != nil {
		t.Fatal(err)
	}
	code(t, Hold(t.Context(), c, phone101, ByPBX), State) // it is on hold when Hold returns
	expect(t, s,
		"Setvar Channel=1.1 Variable=RINGHOOK_CONTEXT Value=queues",
		"Setvar Channel=1.4 Variable=RINGHOOK_PARTNER Value=PJSIP/trunk-00000001",
		"Setvar Channel=1.1 Variable=SHARED(RINGHOOK_PARTNER) Value=PJSIP/101-00000002",
		"Setvar Channel=1.4 Variable=RINGHOOK_TRANSFER Value=",
		"Setvar Channel=1.1 Variable=SHARED(RINGHOOK_TRANSFER) Value=",
		"Setvar Channel=1.3 Variable=RINGHOOK_HELD Value=1",
		"Setvar Channel=1.2 Variable=RINGHOOK_HELD Value=1",
		"Redirect Channel=1.1 Context=ringhook-hold Exten=caller Priority=1 ExtraChannel=1.4 ExtraContext=ringhook-hold-agent ExtraExten=wait ExtraPriority=1")
}

// A Redirect that Asterisk rejects leaves no mark that would hide the end of the agent's part.
func TestHoldRejected(t *testing.T) {
	s, c, _ := newPBX(t, queueCall...)
	s.Answer("Redirect", amitest.Text("Response: Error", "ActionID: {id}", "Message: Channel does not exist: 1.1"))
	code(t, Hold(t.Context(), c, phone101, ByPBX), State)
	got := sent(s)
	if n := len(got); n < 2 || got[n-1] != "Setvar Channel=1.2 Variable=RINGHOOK_HELD Value=" || got[n-2] != "Setvar Channel=1.3 Variable=RINGHOOK_HELD Value=" {
		t.Errorf("sent %q", got)
	}
}

// TestHoldUnclear checks that the marks stay if Asterisk may have carried out a Redirect whose answer is missing: the end of
// a Local channel would be taken for the end of the agent's part.
func TestHoldUnclear(t *testing.T) {
	s, c, _ := newPBX(t, queueCall...)
	ctx, cancel := context.WithCancel(t.Context())
	s.AnswerFunc("Redirect", func(*amitest.Request) string { cancel(); return "" })
	if err := Hold(ctx, c, phone101, ByPBX); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := c.SetVariable(t.Context(), "1.1", ami.HeldRing, "last"); err != nil { // Asterisk has read all that came before
		t.Fatal(err)
	}
	for _, line := range sent(s) {
		if strings.HasSuffix(line, "Variable=RINGHOOK_HELD Value=") {
			t.Errorf("sent %s", line)
		}
	}
}

// What cannot be held is refused before anything is changed.
func TestHoldRefused(t *testing.T) {
	f := func(want string, id ID, channels ...string) {
		t.Helper()
		s, c, _ := newPBX(t, channels...)
		code(t, Hold(t.Context(), c, id, ByPBX), want)
		expect(t, s)
	}
	f(State, ID{LinkedID: "L", Device: "PJSIP/102"}, queueCall...)
	f(BadRequest, ID{LinkedID: "L"}, queueCall...)
	f(State, ID{LinkedID: "other", Device: "PJSIP/101"}, queueCall...)
	f(State, phone101, "PJSIP/101-00000002 1.4 phones  AppDial ")
	f(State, phone101, append(queueCall, "PJSIP/103-00000003 1.5 x y Dial b2")...)
	f(State, phone101, queueCall[0], queueCall[2], queueCall[3]) // half of a Local pair
	f(Unclear, phone101, append(queueCall, "PJSIP/101-00000004 1.6 phones  AppDial b2")...)
	f(State, phone101, "PJSIP/101-00000002 1.4 ringhook-hold-agent wait Wait ") // the other end is gone
	f(State, phone101, "Local/1@a-0001;1 2.1 a 1 AppDial b", "Local/1@a-0001;2 2.2 a 1 Dial b", "PJSIP/101-00000002 1.4 phones  AppDial b")
}

// TestRinging checks that what needs a conversation is refused by the first look at a phone that has not answered, or whose
// own call is not answered.
func TestRinging(t *testing.T) {
	for _, phone := range []string{"PJSIP/101-00000002 1.4 phones  AppDial  Ringing", "PJSIP/101-00000002 1.4 phones 102 Dial  Ring"} {
		s, c, _ := newPBX(t, queueCall[0], phone)
		looked := 0
		looks := func(what string, err error) {
			t.Helper()
			code(t, err, State)
			if n := len(s.Requests("CoreShowChannels")) - looked; n != 1 {
				t.Errorf("%s of %s: %d looks, want 1", what, phone, n)
			}
			looked = len(s.Requests("CoreShowChannels"))
		}
		for _, way := range []Way{ByPBX, ByNotify} {
			looks("hold", Hold(t.Context(), c, phone101, way))
			looks("resume", Resume(t.Context(), c, phone101, way))
		}
		looks("transfer", Blind(t.Context(), c, phone101, Place{"desk", "102"}))
		_, err := Attend(t.Context(), c, phone101, Place{"desk", "102"})
		looks("attended transfer", err)
		expect(t, s)
	}
}

func TestResume(t *testing.T) {
	s, c, variables := newPBX(t, "PJSIP/trunk-00000001 1.1 ringhook-hold caller MusicOnHold ", "PJSIP/101-00000002 1.4 ringhook-hold-agent wait Wait ")
	variables["1.4 RINGHOOK_PARTNER"] = "PJSIP/trunk-00000001"
	code(t, Hold(t.Context(), c, phone101, ByPBX), State)
	if err := Resume(t.Context(), c, phone101, ByPBX); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "Redirect Channel=1.1 Context=ringhook-hold Exten=resume Priority=1")
	_, c, _ = newPBX(t, queueCall...)
	code(t, Resume(t.Context(), c, phone101, ByPBX), State)
}

func TestTransfers(t *testing.T) {
	s, c, _ := newPBX(t, queueCall...)
	for _, bad := range []string{"", "s", "h", "1,1", "1\r\nAction: Originate", "1\n\nAction: x", "1\x00", "${EXTEN}", "1)", strings.Repeat("1", 33), "8888@x", "+", " 1"} {
		_, err := Check(t.Context(), c, "desk", bad)
		code(t, err, BadRequest)
	}
	_, err := Check(t.Context(), c, "desk", "8888")
	code(t, err, Unknown)
	for _, bad := range []string{"", "a b", "a,b", "a\nb", "${X}"} {
		if _, err := CheckExtension(t.Context(), c, bad, "1"); !errors.Is(err, ami.ErrInvalid) {
			t.Errorf("context %q: %v", bad, err)
		}
		if _, err := CheckExtension(t.Context(), c, "desk", bad); !errors.Is(err, ami.ErrInvalid) {
			t.Errorf("extension %q: %v", bad, err)
		}
	}
	to, err := Check(t.Context(), c, "desk", "102")
	if err != nil {
		t.Fatal(err)
	}
	if err := Blind(t.Context(), c, phone101, to); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "BlindTransfer Channel=1.4 Context=desk Exten=102")
	transfer, err := Attend(t.Context(), c, phone101, to)
	if err != nil || PhoneOf(transfer) != "1.4" {
		t.Fatal(transfer, err)
	}
	secret := strings.TrimPrefix(transfer, "1.4-")
	got := sent(s)[1:]
	if got[0] != "Setvar Channel=1.4 Variable=RINGHOOK_TRANSFER Value="+secret || got[3] != "Setvar Channel=1.1 Variable=SHARED(RINGHOOK_TRANSFER) Value="+secret ||
		!strings.HasSuffix(got[len(got)-1], "ExtraContext=ringhook-hold-agent ExtraExten=consult ExtraPriority=1") {
		t.Errorf("sent %q", got)
	}
}

func TestTransferEnds(t *testing.T) {
	consult := []string{
		"PJSIP/trunk-00000001 1.1 ringhook-hold caller MusicOnHold ", "PJSIP/101-00000002 1.4 ringhook-hold-agent consult Dial b3",
		"Local/102@desk-00000003;1 1.5 desk 102 AppDial b3",
	}
	s, c, variables := newPBX(t, consult...)
	variables["1.4 RINGHOOK_PARTNER"], variables["1.4 RINGHOOK_TRANSFER"] = "PJSIP/trunk-00000001", "abc"
	code(t, Complete(t.Context(), c, "PJSIP/101", "1.4-other"), State)
	code(t, Complete(t.Context(), c, "PJSIP/102", "1.4-abc"), Unknown)
	code(t, Complete(t.Context(), c, "PJSIP/101", "9.9-abc"), Unknown)
	code(t, Complete(t.Context(), c, "PJSIP/101", "x"), Unknown)
	code(t, Cancel(t.Context(), c, "PJSIP/101", ""), Unknown)
	code(t, Hold(t.Context(), c, phone101, ByPBX), State)
	code(t, Resume(t.Context(), c, phone101, ByPBX), State)
	code(t, Blind(t.Context(), c, phone101, Place{"desk", "1"}), State)
	expect(t, s)
	if err := Cancel(t.Context(), c, "PJSIP/101", "1.4-abc"); err != nil {
		t.Fatal(err)
	}
	if err := Complete(t.Context(), c, "PJSIP/101", "1.4-abc"); err != nil {
		t.Fatal(err)
	}
	expect(t, s,
		"Setvar Channel=1.1 Variable=SHARED(RINGHOOK_TRANSFER) Value=", "Setvar Channel=1.4 Variable=RINGHOOK_TRANSFER Value=",
		"Redirect Channel=1.4 Context=ringhook-hold-agent Exten=back Priority=1", "Hangup Channel=1.4")
}

// A phone that does what NOTIFY asks sends an event; without the right the answer says what is missing.
func TestNotify(t *testing.T) {
	s, c, _ := newPBX(t, queueCall...)
	s.AnswerFunc("PJSIPNotify", func(*amitest.Request) string {
		go s.Send(amitest.Text("Event: Hold", "Channel: PJSIP/101-00000002", "Uniqueid: 1.4", "Linkedid: L"))
		return amitest.Text("Response: Success", "ActionID: {id}", "Message: NOTIFY sent")
	})
	if err := Hold(t.Context(), c, phone101, ByNotify); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "PJSIPNotify Channel=1.4 Variable=Event=hold")
	s.Answer("PJSIPNotify", amitest.Text("Response: Error", "ActionID: {id}", "Message: Permission denied"))
	code(t, Hold(t.Context(), c, phone101, ByNotify), Phone)
	s.Answer("PJSIPNotify", amitest.Text("Response: Success", "ActionID: {id}", "Message: NOTIFY sent"))
	code(t, Hold(t.Context(), c, phone101, ByNotify), Phone) // the phone does nothing
}
