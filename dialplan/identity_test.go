package dialplan

import (
	"testing"
	"time"
)

var oneDay = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// TestIdentity checks the identity and the key of a call.
func TestIdentity(t *testing.T) {
	for _, c := range []struct{ linkedid, server, entity, asterisk, key string }{
		{"1768469400.17", "", "", "", "1768469400.17"},
		{"1768469400.17", "", "02:fc:00:00:00:01", "02:fc:00:00:00:01", "1768469400.17 @02:fc:00:00:00:01"},
		{"1768469400.17", "left", "02:fc:00:00:00:01", "left", "1768469400.17 @left"},
		{"pbx-1768469400.17", "left", "02:fc:00:00:00:01", "pbx", "pbx-1768469400.17"},
		{"pbx-1768469400.0", "left", "", "pbx", "pbx-1768469400.0"}, // the first channel after a start
		{"1768469400.0", "", "e", "e", "1768469400.0 @e"},
		{"pbx/1-2-1768469400.17", "", "", "pbx/1-2", "pbx/1-2-1768469400.17"},
		{"-1768469400.17", "", "e", "e", "-1768469400.17 @e"},
		{"campaign-a", "", "e", "e", "campaign-a @e"},
		{"pbx @1-1768469400.17", "left", "", "pbx @1", "pbx @1-1768469400.17"}, // a system name with the separator
		{"1768469400.17", "pbx-1.2", "", "pbx-1.2", "1768469400.17 @pbx-1.2"},
		{"campaign-1.", "", "e", "e", "campaign-1. @e"},
	} {
		id := NewIdentity(c.linkedid, c.server, c.entity)
		if id.Asterisk != c.asterisk || id.Key() != c.key {
			t.Errorf("%s %s %s: got %+v, key %s", c.linkedid, c.server, c.entity, id, id.Key())
		}
		if got := IdentityOf(id.Key()); got != id {
			t.Errorf("%s comes back as %+v, want %+v", id.Key(), got, id)
		}
	}
}

// TestCallUUID checks UUIDs that other programs compute too: Python's
// uuid.uuid5(uuid.UUID("8f0b1c5e-6d0a-4c57-9d3e-52494e47484b"), "pbx/pbx-1768469400.17") returns the
// first.
func TestCallUUID(t *testing.T) {
	for id, want := range map[Identity]string{
		NewIdentity("pbx-1768469400.17", "", ""): "45c20a96-174b-5949-91b4-47cc1657669c",
		NewIdentity("1768469400.17", "left", ""): "7fa1d026-6ba5-5ca3-a320-72a28a09e8e4",
	} {
		if got := id.UUID(); got != want {
			t.Errorf("%+v: got %s, want %s", id, got, want)
		}
	}
}

// TestBigIntegers checks that an integer above 2^53 survives a restart.
func TestBigIntegers(t *testing.T) {
	c := newCall(Identity{LinkedID: "1.1"}, oneDay)
	c.keep("customer_id", int64(9007199254740993))
	state, err := c.encode()
	if err != nil {
		t.Fatal(err)
	}
	if c, err = decodeCall(state); err != nil || c.Known["customer_id"] != int64(9007199254740993) {
		t.Errorf("got %v, %v", c.Known, err)
	}
}

// TestContradicts checks which differences prove that a channel is that of another Asterisk.
func TestContradicts(t *testing.T) {
	first := channel{UniqueID: "1.1", Name: "PJSIP/t-1", Caller: "101", Peer: "10.0.0.1"}
	for _, c := range []struct {
		name string
		ch   channel
		want bool
	}{
		{"the same", first, false},
		{"a rewritten number", channel{"1.1", "PJSIP/t-1", "102", "10.0.0.1", ""}, false},
		{"a renamed channel", channel{"1.1", "PJSIP/t-2", "101", "10.0.0.1", ""}, false},
		{"another address", channel{"1.1", "PJSIP/t-1", "101", "10.0.0.2", ""}, false},
		{"no address", channel{"1.1", "PJSIP/t-1", "102", "", ""}, false},
		{"another channel and caller", channel{"1.1", "PJSIP/t-2", "102", "10.0.0.1", ""}, true},
		{"another address and caller", channel{"1.1", "PJSIP/t-1", "102", "10.0.0.2", ""}, true},
		{"a report of another channel and caller", channel{"1.1", "PJSIP/t-2", "102", "", "pbx1"}, true},
		{"a report of a renamed channel", channel{"1.1", "", "102", "", "pbx1"}, false},
		{"a report without a number", channel{"1.1", "PJSIP/t-2", "", "", "pbx1"}, false},
		{"a phone", channel{"1.2", "PJSIP/t-2", "102", "10.0.0.2", ""}, false},
	} {
		call := newCall(Identity{LinkedID: "1.1"}, oneDay)
		call.First = first
		if got := call.contradicts(c.ch); got != c.want {
			t.Errorf("%s: contradicts is %v", c.name, got)
		}
		if !c.want || c.ch.Server != "" {
			continue
		}
		// The phones of the other Asterisk follow, by its address or by their caller.
		if got := call.separate(c.ch); got != "~"+c.ch.Name {
			t.Errorf("%s: kept as %q", c.name, got)
		}
		for _, p := range []struct {
			ch        channel
			connected string
			want      bool
		}{
			{c.ch, "", true},
			{first, "", false},
			{channel{"1.2", "Local/101-1;2", "102", c.ch.Peer, ""}, "", true},
			{channel{"1.2", "Local/101-1;2", "101", "10.0.0.1", ""}, "", false},
			{channel{"1.3", "PJSIP/101-1", "7", c.ch.Peer, ""}, "102", true},
			{channel{"1.3", "PJSIP/101-1", "7", "10.0.0.1", ""}, "101", false},
		} {
			if got := call.twinOf(p.ch, p.connected); got != "" != p.want {
				t.Errorf("%s: %+v connected to %q belongs to %q", c.name, p.ch, p.connected, got)
			}
		}
	}
}
