package dialplan

import (
	"slices"
	"testing"
)

// TestPhone checks that the phone of an agent is the same in all its names.
func TestPhone(t *testing.T) {
	isAgent := func(phone string) bool { return slices.Contains([]string{"101", "bob", "reception-1"}, phone) }
	for text, want := range map[string]string{
		"101": "101", " 101 ": "101", "PJSIP/101": "101", "SIP/101": "101", "IAX2/101": "101", "Agent/101": "101", "Local/101@agents/n": "101",
		"Local/101@agents": "101", "101@agents": "101", "PJSIP/101/sip:101@host": "101", "PJSIP/101/sip:201@host:5060": "101", "SIP/101/xyz": "101",
		"PJSIP/ext/101": "101", "SIP/gateway/101": "101", "DAHDI/g1/101": "101", "PJSIP/trunk/sip:101@host;transport=tcp": "101", "PJSIP/101@trunk": "101",
		"sip:101@host": "101", "SIPS:101@host;transport=tls": "101", "PJSIP/bob": "bob", "PJSIP/reception-1": "reception-1", "101/xyz": "101",
		"SIP/gateway/555": "gateway", "PJSIP/205/x": "205", "PJSIP//101": "101", "": "", "PJSIP/": "", "/": "", "PJSIP/101@": "101",
	} {
		if got := Phone(text, isAgent); got != want {
			t.Errorf("Phone(%q) = %q, want %q", text, got, want)
		}
		if got := Phone(want, isAgent); got != want {
			t.Errorf("Phone(%q) = %q, want itself", want, got)
		}
	}
	if got := Phone("SIP/gateway/101", nil); got != "gateway" {
		t.Errorf("without agents: %q", got)
	}
}
