package api

import (
	"maps"
	"testing"

	"ringhook/dialplan"
	"ringhook/lookup"
)

// TestReportParameters checks that an answer changes no fact of the call of a pop on demand, such as its number.
func TestReportParameters(t *testing.T) {
	vars := []lookup.Var{
		{Name: "CALLERID(name)", Value: "Anna"}, {Name: "customer_id", Value: "7"}, {Name: "match_count", Value: "1"}, {Name: "callerid", Value: "+49301"},
		{Name: "linkedid", Value: "2.1"}, {Name: "agent_phone", Value: "102"}, {Name: "SHELL(id)", Value: "x"},
	}
	settings := dialplan.Settings{Dialplan: dialplan.Config{Variables: map[string]any{"agent_phone": "digits"}}}
	r := &LookupReport{
		Source: "crm", Channel: settings.Preview(lookup.Answer{Outcome: lookup.Found, Vars: vars}),
		Sources: []lookup.Report{{Lookup: "crm", Vars: vars}, {Lookup: "other", Vars: []lookup.Var{{Name: "customer_id", Value: "8"}}}},
	}
	want := map[string]string{"callerid_name": "Anna", "customer_id": "7", "match_count": "1"}
	if got := r.Parameters(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
