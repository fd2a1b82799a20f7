package lookup

import (
	"errors"
	"slices"
	"testing"
)

// numbersInUse are the uses of called numbers in memory.
type numbersInUse struct {
	uses map[string][2]string
	err  error
}

func (n *numbersInUse) DIDTarget(did string) (kind, target string, found bool, err error) {
	use, found := n.uses[did]
	return use[0], use[1], found, n.err
}

func did() Config {
	cfg := DefaultConfig()
	cfg.Name, cfg.Type, cfg.URL = "numbers", typeDID, ""
	return cfg
}

// TestDID checks the answers by the called number, also for a caller who withholds the number.
// Row Y13.
func TestDID(t *testing.T) {
	b := start(t, did())
	for _, c := range []struct {
		called, caller, target string
		want                   Outcome
	}{
		{"0771234567", "+4930123456", "101", Found},
		{"+0771234567", "", "101", Found},
		{"077 1234-567", "anonymous", "101", Found},
		{"0770000000", "+4930123456", "", Missing},
		{"", "+4930123456", "", Missing},
		{"s", "+4930123456", "", Missing},
	} {
		b.dids.uses = map[string][2]string{"0771234567": {"sip", "101"}}
		p := b.Ask(Question{Point: "p", Number: c.caller, Param: func(name string) string {
			if name != "directid" {
				t.Errorf("asked for %s", name)
			}
			return c.called
		}})
		if !p.Done() {
			t.Fatal("the lookup makes the call wait")
		}
		a := p.Answer()
		if slices.ContainsFunc(a.Vars, func(v Var) bool { return v.Name == "match" }) {
			t.Errorf("%q: an answer without a customer has a match", c.called)
		}
		target := ""
		if i := slices.IndexFunc(a.Vars, func(v Var) bool { return v.Name == "did_target" }); i >= 0 {
			target = a.Vars[i].Value
		}
		if a.Outcome != c.want || target != c.target {
			t.Errorf("%q called by %q: %s %q, want %s %q", c.called, c.caller, a.Outcome, target, c.want, c.target)
		}
	}
	b.dids.err = errors.New("damaged")
	if a := await(b.Ask(Question{Point: "p", Param: func(string) string { return "1" }})); a.Outcome != Failed {
		t.Errorf("uses that cannot be read: %s, want an error", a.Outcome)
	}
}

// TestDIDOfOthers checks that no other source can say where the dialplan goes.
func TestDIDOfOthers(t *testing.T) {
	b := start(t, crm(t, answers("did_type=sip&did_target=900&call_info=x")))
	a := await(b.Ask(ask("+4930123456")))
	for _, v := range a.Vars {
		if v.Name == "did_type" || v.Name == "did_target" {
			t.Errorf("a CRM set %s", v.Name)
		}
	}
	if a.Outcome != Found {
		t.Errorf("got %s, want the rest of the answer", a.Outcome)
	}
}
