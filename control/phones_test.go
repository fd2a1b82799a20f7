package control

import (
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/ami"
	"ringhook/ami/amitest"
)

// Phones come from the list and follow the events; queues and other devices are not phones.
func TestPhones(t *testing.T) {
	c, s := newBench(t)
	device := func(name, state string) string {
		return amitest.Text("Event: DeviceStateChange", "Device: "+name, "State: "+state)
	}
	s.AnswerList("DeviceStateList", device("PJSIP/101", "NOT_INUSE"), device("Queue:500_avail", "INUSE"), device("PJSIP/102", "UNAVAILABLE"))
	s.Drop()
	until(t, c, "two phones", func(l Live) bool { return len(l.Phones) == 2 })
	s.Send(device("PJSIP/101", "RINGING") + device("PJSIP/103", "INVALID") + device("park:701@parkedcalls", "INUSE"))
	until(t, c, "three phones", func(l Live) bool { return len(l.Phones) == 3 })
	want := []Phone{
		{Server: "pbx", Phone: "101", Device: "PJSIP/101", State: "ringing", Registered: true},
		{Server: "pbx", Phone: "102", Device: "PJSIP/102", State: "unavailable"},
		{Server: "pbx", Phone: "103", Device: "PJSIP/103", State: "invalid"},
	}
	if got := c.Live().Phones; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Contacts are read by a fixed list of functions; what would end a function's argument is not sent.
// Rows Y11 and Y12.
func TestContacts(t *testing.T) {
	c, s := newBench(t)
	until(t, c, "connected", func(l Live) bool { return l.Servers[0].Connected })
	values := map[string]string{
		"PJSIP_AOR(101,contact)":                 "101;@a1,101@@b2",
		"PJSIP_CONTACT(101;@a1,uri)":             "sip:101@192.0.2.7:5060",
		"PJSIP_CONTACT(101;@a1,user_agent)":      "Desk Phone 4\x1b[2J",
		"PJSIP_CONTACT(101;@a1,via_addr)":        "192.0.2.7",
		"PJSIP_CONTACT(101;@a1,expiration_time)": "1795719720",
		"PJSIP_CONTACT(101;@a1,status)":          "Reachable",
		"PJSIP_CONTACT(101;@a1,rtt)":             "12500",
		"PJSIP_CONTACT(101@@b2,uri)":             "sip:101@127.0.0.101:5060",
		"PJSIP_CONTACT(101@@b2,status)":          "NonQualified",
		"PJSIP_CONTACT(101@@b2,rtt)":             "N/A",
		"PJSIP_CONTACT(101@@b2,expiration_time)": "0",
		"PJSIP_AOR(102,contact)":                 "",
		"PJSIP_AOR(103,contact)":                 "x),AST_CONFIG(manager.conf",
	}
	s.AnswerFunc("Getvar", func(r *amitest.Request) string {
		if strings.Contains(r.Get("Variable"), "AST_CONFIG") {
			t.Errorf("asked for %s", r.Get("Variable"))
		}
		return amitest.Text("Response: Success", "ActionID: {id}", "Variable: x", "Value: "+values[r.Get("Variable")])
	})
	expires := time.Unix(1795719720, 0)
	want := []Contact{
		{URI: "sip:101@192.0.2.7:5060", UserAgent: "Desk Phone 4 [2J", Via: "192.0.2.7", Expires: &expires, Status: "Reachable", RoundTrip: 12.5},
		{URI: "sip:101@127.0.0.101:5060", Status: "NonQualified"},
	}
	phone := func(device string) *Phone { return &Phone{Server: "pbx", Device: device} }
	if got, err := c.Contacts(t.Context(), phone("PJSIP/101")); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, device := range []string{"PJSIP/102", "SIP/101"} {
		if got, err := c.Contacts(t.Context(), phone(device)); err != nil || len(got) > 0 {
			t.Errorf("%s: got %+v, %v", device, got, err)
		}
	}
	for _, device := range []string{"PJSIP/103", "PJSIP/1,x)", "PJSIP/"} {
		if got, err := c.Contacts(t.Context(), phone(device)); !errors.Is(err, ami.ErrInvalid) {
			t.Errorf("%s: got %+v, %v", device, got, err)
		}
	}
}

// TestContactsOfFrozen checks that an Asterisk that stands still is away, and is not waited for.
func TestContactsOfFrozen(t *testing.T) {
	c, s := newBench(t)
	s.Answer("Getvar", amitest.Text("Response: Success", "ActionID: {id}", "Value: "))
	until(t, c, "connected", func(l Live) bool { return l.Servers[0].Connected })
	s.Freeze()
	until(t, c, "it does not answer", func(Live) bool { return c.clientOf("pbx").Alive(t.Context()) != nil })
	if _, err := c.Contacts(t.Context(), &Phone{Server: c.all()[0].config.Name, Device: "PJSIP/101"}); !errors.Is(err, ami.ErrAway) {
		t.Errorf("got %v", err)
	}
}

// The contacts of every phone are known, and read again when a phone registers.
func TestLiveContacts(t *testing.T) {
	c, s := newBench(t)
	var agent atomic.Value
	agent.Store("Desk Phone 4")
	s.AnswerFunc("Getvar", func(r *amitest.Request) string {
		value := ""
		switch name := r.Get("Variable"); {
		case name == "PJSIP_AOR(101,contact)":
			value = "101;@a1"
		case strings.HasSuffix(name, ",user_agent)"):
			value = agent.Load().(string)
		}
		return amitest.Text("Response: Success", "ActionID: {id}", "Value: "+value)
	})
	s.AnswerList("DeviceStateList", amitest.Text("Event: DeviceStateChange", "Device: PJSIP/101", "State: NOT_INUSE"))
	s.Drop()
	shows := func(want string) {
		t.Helper()
		until(t, c, want, func(l Live) bool {
			return len(l.Phones) == 1 && len(l.Phones[0].Contacts) == 1 && l.Phones[0].Contacts[0].UserAgent == want
		})
	}
	shows("Desk Phone 4")
	agent.Store("Soft Phone 2")
	s.Send(amitest.Text("Event: ContactStatus", "URI: sip:101@192.0.2.9", "ContactStatus: NonQualified", "AOR: 101", "EndpointName: 101"))
	shows("Soft Phone 2")
}
