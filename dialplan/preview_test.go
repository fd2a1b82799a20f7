package dialplan

import (
	"reflect"
	"testing"

	"ringhook/lookup"
	"ringhook/lookup/number"
)

// TestPreview checks the part of an answer that a call gets.
func TestPreview(t *testing.T) {
	s := Settings{Dialplan: Config{Variables: map[string]any{"customer_id": "int"}}}
	got := s.Preview(lookup.Answer{Outcome: lookup.Stale, Vars: []lookup.Var{
		{Name: "CALLERID(name)", Value: "Anna\n"}, {Name: "call_info", Value: "VIP"}, {Name: "customer_id", Value: "x"},
		{Name: "SHELL(id)", Value: "1"}, {Name: "tier", Value: "gold"}, {Name: "match", Value: "exact"},
	}})
	want := Preview{
		Set:        []lookup.Var{{Name: "CALLERID(name)", Value: "Anna"}, {Name: "call_info", Value: "VIP"}, {Name: "RINGHOOK_STATUS", Value: "STALE"}},
		Parameters: []string{"tier", "match"},
		Refused:    []Refusal{{Name: "customer_id", Reason: "value"}, {Name: "SHELL(id)", Reason: "name"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestPreviewQuestion checks the question of a point.
func TestPreviewQuestion(t *testing.T) {
	s := Settings{Queues: []Queue{{ID: "500", Name: "Sales"}}, Agents: []Agent{{ID: "7", Phone: "101", Info: "anna@example.com"}}}
	numbers := number.NewReader(number.Config{Country: "GB", Language: "en"})
	args := map[string]string{"queue_id": "500", "agent_phone": "PJSIP/101", "tier": "gold"}
	for _, tc := range []struct{ point, want string }{
		{"queue-dial", "queue-dial +442079460142 020 7946 0142 Sales anna@example.com gold incoming"},
		{"agent-custom", "agent-custom +442079460142 020 7946 0142 Sales anna@example.com gold outgoing"},
		{"", " +442079460142 020 7946 0142 Sales anna@example.com gold "},
	} {
		q := s.Question(tc.point, "020 7946 0142", args, numbers)
		got := q.Point + " " + q.Number
		for _, name := range []string{"callerid_raw", "queue_name", "agent_info", "tier", "direction"} {
			got += " " + q.Param(name)
		}
		if got != tc.want {
			t.Errorf("question %q, want %q", got, tc.want)
		}
	}
}
