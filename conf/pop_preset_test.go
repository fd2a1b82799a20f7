package conf

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/pops"
)

// TestVoipePopup is row V1: the popup of VOIPE carries its seven names.
func TestVoipePopup(t *testing.T) {
	c, err := Parse("ringhook.toml", []byte(`
[number]
country = "DE"
[[agent]]
id = "7"
phone = "101"
[desk]
listen = "127.0.0.1:4581"
url = "http://127.0.0.1:4581"
[[pop]]
name = "popup"
preset = "voipe-popup"
url = "https://crm.example/popup"
`), environment)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := pops.Compile(c.Pops)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := dialplan.Sample(c.Pops[0].Events[0], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ev.Params["agent_phone"] = "101"
	d := rules.Decide(ev, &pops.Agent{ID: "7", Phone: "101"}, pops.Situation{Now: ev.Time, Result: pops.Found, Desks: 1})
	u, err := url.Parse(d.URL)
	if err != nil || !d.Pops() {
		t.Fatalf("%+v: %v", d, err)
	}
	var names []string
	for name, values := range u.Query() {
		names = append(names, name)
		if values[0] == "" {
			t.Errorf("%s is empty in %s", name, d.URL)
		}
	}
	slices.Sort(names)
	if want := []string{"Calltime", "Callerid", "Did", "Extension", "Queuename", "Queuenumber", "callid"}; !slices.Equal(names, slices.Sorted(slices.Values(want))) {
		t.Errorf("got %q, want %q", names, want)
	}
}
