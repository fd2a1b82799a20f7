package switching

import (
	"slices"
	"strings"
	"testing"

	"ringhook/ami"
	"ringhook/ami/amitest"
	"ringhook/lookup/number"
)

// event is one of the first channel, whose id is ID.
func event(name string, fields ...string) string {
	return amitest.Text(append([]string{"Event: " + name, "Channel: PJSIP/101-00000001", "Uniqueid: ID", "Linkedid: ID"}, fields...)...)
}

// lost stands for the end of the connection among events.
const lost = "lost"

// TestCourse plays the events of a call, and looks at its outcome.
func TestCourse(t *testing.T) {
	f := func(want Outcome, events ...string) {
		t.Helper()
		s, c, _ := newPBX(t)
		course, err := Start(t.Context(), c, Dial{ID: "ID", Channel: "PJSIP/101", To: Place{"desk", "7999"}, Number: "101", Name: `A "b" <c>`})
		if err != nil {
			t.Fatal(err)
		}
		defer course.Close()
		for _, e := range events {
			if e == lost {
				s.Drop()
				continue
			}
			s.Send(e)
		}
		for {
			got, final := course.Next(t.Context())
			if !final {
				continue
			}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			return
		}
	}
	newchannel := event("Newchannel")
	ringing := event("Newstate", "ChannelStateDesc: Ringing")
	answered := event("OriginateResponse", "Response: Success", "Reason: 4")
	failed := event("OriginateResponse", "Response: Failure", "Reason: 0")
	hangup := func(cause, text string) string { return event("Hangup", "Cause: "+cause, "Cause-txt: "+text) }

	f(Outcome{StagePhone, Unreachable, 0, "", 0}, failed)
	f(Outcome{StagePhone, Busy, 17, "User busy", 0}, newchannel, hangup("17", "User busy"), failed)
	f(Outcome{StagePhone, Busy, 17, "User busy", 0}, newchannel, failed, hangup("17", "User busy"))
	f(Outcome{StagePhone, Busy, 17, "User busy", 0}, failed, newchannel, hangup("17", "User busy")) // a busy Asterisk
	f(Outcome{StagePhone, Rejected, 21, "Call Rejected", 603}, newchannel, ringing, event("Hangup", "Cause: 21", "Cause-txt: Call Rejected", "TechCause: 603"), failed)
	f(Outcome{StagePhone, NoAnswer, 0, "Unknown", 0}, newchannel, ringing, event("OriginateResponse", "Response: Failure", "Reason: 3"), hangup("0", "Unknown"))
	f(Outcome{StagePhone, Busy, 0, "", 0}, newchannel, event("OriginateResponse", "Response: Failure", "Reason: 5"), hangup("0", ""))
	f(Outcome{StagePhone, Failed, 0, "", 0}, newchannel, failed) // the Hangup does not come
	f(Outcome{StageNumber, Answered, 0, "", 0}, newchannel, ringing, answered, event("DialBegin"), event("DialEnd", "DialStatus: ANSWER"))
	f(Outcome{StageNumber, Busy, 17, "User busy", 0}, newchannel, answered, event("DialBegin"), event("DialEnd", "DialStatus: BUSY"), hangup("17", "User busy"))
	f(Outcome{StageNumber, NoAnswer, 16, "Normal Clearing", 0}, newchannel, answered, event("DialBegin"), hangup("16", "Normal Clearing"))
	f(Outcome{StageNumber, Answered, 0, "", 0}, newchannel, answered, event("DialBegin"), event("DialEnd", "DialStatus: CHANUNAVAIL"),
		event("DialBegin"), event("DialEnd", "DialStatus: ANSWER")) // a second trunk
	f(Outcome{StagePhone, Answered, 16, "Normal Clearing", 0}, newchannel, answered, hangup("16", "Normal Clearing"))
	f(Outcome{StagePhone, Lost, 0, "", 0}, newchannel, lost)
}

// What reaches Asterisk for a call, and what does not.
func TestStart(t *testing.T) {
	s, c, _ := newPBX(t)
	start := func(d Dial) error {
		course, err := Start(t.Context(), c, d)
		if err == nil {
			course.Close()
		}
		return err
	}
	good := Dial{ID: "ID", Channel: "PJSIP/101", To: Place{"desk", "7999"}, Number: "101", Name: "A\"b\\ <c>\r\nAction: x"}
	if err := start(good); err != nil {
		t.Fatal(err)
	}
	expect(t, s, `Originate Channel=PJSIP/101 Context=desk Exten=7999 Priority=1 Timeout=1000 Async=true ChannelId=ID CallerID="Ab c  Action: x" <101>`)
	for _, change := range []func(*Dial){
		func(d *Dial) { d.Channel = "Local/1@x/n,y" },
		func(d *Dial) { d.Channel = "PJSIP/101\r\nAction: x" },
		func(d *Dial) { d.Channel = "" },
		func(d *Dial) { d.Number = "1>\n" },
		func(d *Dial) { d.Number = "Anna" },
		func(d *Dial) { d.ID = "" },
		func(d *Dial) { d.To = Place{} },
	} {
		d := good
		change(&d)
		code(t, start(d), BadRequest)
	}
	if n := len(s.Requests("Originate")); n != 1 {
		t.Errorf("%d calls were begun", n)
	}
	if a, b := NewID(), NewID(); len(a) != 32 || len(b) != 32 || a == b {
		t.Error(a, b)
	}
}

func TestNumbers(t *testing.T) {
	n := NewNumbers([]Rule{{`^\+49(\d+)$`, "0$1"}, {`^00`, "bad"}, {`^(\d{3})$`, "${1}"}}, []string{"0*", "1??", "+7*", "4*"}, number.NewReader(number.Config{Country: "DE", Language: "en"}))
	f := func(number, want string) {
		t.Helper()
		got, why := n.Dialled(number)
		if got != want || (why == "") != (want != "") {
			t.Errorf("%q: got %q, %q; want %q", number, got, why, want)
		}
	}
	f("+49 (30) 123-456", "030123456")
	f("101", "101")
	f("+79161234567", "+79161234567")
	f("+1 212", "")
	f("201", "")
	f("00", "")
	f("", "")
	f("0\r\nAction: x", "")
	// Numbers as web pages, spreadsheets and address books have them.
	f("\u202a+49 30 123456\u202c", "030123456")
	f("+49\u00a030\u2011123456", "030123456")
	f("tel: ٠٣٠ ١٢٣٤٥٦", "030123456")
	f("+49 (0)30 123456", "030123456")
	f("030 234567 ext. 12", "030234567")
	f("030 234567,,12#", "030234567")
	f("030 234567 (office)", "030234567")
	f("'030234567", "030234567")
	f("49302345670.0", "49302345670")
	f("030 23456701/02", "")
	f("030 23456705-06", "")
	f("030 12345 030 67890", "")
	f("030 12345\t030 67890", "")
	f("1795738317.4", "") // the linkedid of a call
	f("030 23456701, 030 23456702", "")
	f("030 23456701\n030 23456702", "")
	f("030 234567-01", "03023456701")
	f("0*43", "0*43")
	f(strings.Repeat("0", 65), "")
	for _, bad := range []Rule{{"(", "1"}, {"", "1"}, {"1", ""}} {
		wrong := 0
		bad.Check(func(string, string) { wrong++ })
		if wrong != 1 {
			t.Errorf("%+v: %d problems", bad, wrong)
		}
	}
}

// TestTwoNumbers checks that what may be two numbers is not dialled, also if one or both of them have no area code, and that
// one number is, however it is written.
func TestTwoNumbers(t *testing.T) {
	for country, numbers := range map[string]struct{ one, two []string }{
		"US": {
			[]string{"212-555-0123", "(212) 555-0123", "1 212 555 0123", "+1 212 555 0123", "555-0123", "011 49 30 2345 6701", "011 49 1512 3456789", "49 1512 3456789", "9 1 212 555 0123", "*72 212-555-0123"},
			[]string{"212-555-0123 555-0124", "212-555-0123 212-555-0124", "555-0123 555-0124", "555-0123 212-555-0124", "+1 212 555 0123 555 0124", "*72 212-555-0123 555-0124", "*72 555-0123 555-0124#", "212-555-0123\t555-0124"},
		},
		"GB": {
			[]string{"07400 123456", "01224 123456", "447400 123456", "00 44 20 7946 0142", "960123"},
			[]string{"01224 123456 123457", "960123 960124", "020 7946 0142 7946 0143", "960123 01224 123456"},
		},
		"DE": {
			[]string{"030 23456701", "030 2345 0678", "0221 1234 056789", "0049 1512 3456789", "49 1512 3456789", "030 234567-01", "0043 664 1234567", "*21*030 23456701#", "30 2345 67890", "33051 12345", "1512 3456789", "15123 456789", "234567"},
			[]string{"23456701 23456702", "2345670 2345671", "234567 345678", "23456 34567", "234567 2345671", "2345671 234567", "23456701 34567", "*21*234567 345678#", "030 23456701 23456702", "030 234567 2345671", "+49 30 23456701 23456702", "030 12345 030 67890", "*21*030 23456701 030 23456702#"},
		},
		"RU": {
			[]string{"8 495 123-45-67", "+7 916 123-45-67", "8 10 49 1512 3456789", "123-45-67"},
			[]string{"8 (495) 123-45-67 123-45-68", "123-45-67 123-45-68", "8 4722 12-34-56 12-34-57", "+7 495 123-45-67 123-45-68"},
		},
		"IN": {[]string{"98765 43210", "+91 98765 43210"}, []string{"98765 43210 98765 43211"}},
		"":   {[]string{"+49 30 23456701", "212-555-0123"}, []string{"212-555-0123 555-0124", "555-0123 555-0124"}},
	} {
		n := NewNumbers(nil, []string{"*"}, number.NewReader(number.Config{Country: country, Language: "en"}))
		for _, one := range numbers.one {
			if _, why := n.Dialled(one); why != "" {
				t.Errorf("%q in %q is not dialled: it %s", one, country, why)
			}
		}
		for _, two := range numbers.two {
			if got, why := n.Dialled(two); !strings.Contains(why, "two numbers") {
				t.Errorf("%q in %q: dialled as %q, %q", two, country, got, why)
			}
		}
	}
}

func FuzzDialled(f *testing.F) {
	n := NewNumbers([]Rule{{`^\+49(.*)$`, "0$1"}, {`(.)`, "$1$1"}}, []string{"*"}, nil)
	f.Add("+49 30 1")
	f.Add("1\nAction: x")
	f.Fuzz(func(t *testing.T, number string) {
		if got, why := n.Dialled(number); why == "" && !Digits(got) {
			t.Errorf("%q is dialled as %q", number, got)
		}
	})
}

// FuzzCourse plays any events to the course of a call: whatever OriginateResponse, DialEnd and Hangup say, the outcome is one of
// its words, and a final one is a result.
func FuzzCourse(f *testing.F) {
	f.Add("Event: Newstate\nChannelStateDesc: Ringing\n\nEvent: Hangup\nCause: 17\nCause-txt: User busy\n\nEvent: OriginateResponse\nResponse: Failure\nReason: 5\n\n")
	f.Add("Event: Newchannel\n\nEvent: OriginateResponse\nResponse: Success\nReason: 4\n\nEvent: DialBegin\n\nEvent: DialEnd\nDialStatus: ANSWER\n\n")
	f.Add("Event: OriginateResponse\nResponse: Failure\nReason: 0\n\n")
	f.Add("Event: DialBegin\n\nEvent: OriginateResponse\nReason: x\n\nEvent: Hangup\nCause: -1\nTechCause: 99999999999999999999\nCause-txt: \xff\n\n")
	states := []string{"", Ringing, Answered, Busy, NoAnswer, Rejected, Unreachable, Failed}
	f.Fuzz(func(t *testing.T, text string) {
		k := &Course{outcome: Outcome{Stage: StagePhone}}
		for part := range strings.SplitSeq(text, "\n\n") {
			var m ami.Message
			for line := range strings.SplitSeq(part, "\n") {
				if key, value, ok := strings.Cut(line, ": "); ok {
					m = append(m, ami.Field{Key: key, Value: value})
				}
			}
			k.take(m)
			o := k.Outcome()
			switch {
			case !slices.Contains(states, o.State), o.Stage != StagePhone && o.Stage != StageNumber, len(o.Text) > 80:
				t.Fatalf("%q: %+v", text, o)
			case k.final && (o.State == "" || o.State == Ringing):
				t.Fatalf("%q: final, and %+v", text, o)
			}
			if k.final {
				break // nothing is taken after it
			}
		}
	})
}
