package dialplan_test

import (
	"net/http"
	"strings"
	"testing"

	"ringhook/dialplan"
	"ringhook/test/wait"
)

// points waits until a number of points of the call are stored, and returns them.
func (h *house) points(want int) []dialplan.PointTrace {
	h.t.Helper()
	var got []dialplan.PointTrace
	wait.Until(h.t, func() bool {
		var err error
		if got, err = h.st.Points("1.1"); err != nil {
			h.t.Fatal(err)
		}
		return len(got) >= want
	}, "fewer than %d points are kept", want)
	return got
}

// TestPointsAreTraced checks the stored traces of some points.
func TestPointsAreTraced(t *testing.T) {
	h := build(t, wait.Limit, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("queue") == "501" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("call_info=gold&SHELL(id)=x"))
	}, nil)
	h.ask("queue-dial", nil, "queue_id=500")
	h.ask("lookup", nil, "queue_id=500")
	h.ask("queue-dial", nil, "queue_id=501")
	h.ask("queue-dail", nil)
	h.ask("call-hangup", nil)
	h.ask("call-hangup", nil)
	p := h.points(6)
	for i, want := range []struct {
		point, status, outcome, why, failed string
		events                              int
	}{
		{"queue-dial", "FOUND", "found", "", "", 1},
		{"lookup", "FOUND", "hit", "", "", 0},
		{"queue-dial", "ERROR", "error", "status: status 500", "", 3}, // with the first visit's end
		{"queue-dail", "ERROR", "", "", `unknown point "queue-dail"`, 0},
		{"call-hangup", "OK", "", "", "", 2},
		{"call-hangup", "OK", "", "", "", 0},
	} {
		got := p[i]
		if got.Point != want.point || got.Status != want.status || len(got.Events) != want.events || !strings.HasPrefix(got.Error, want.failed) || got.Error != "" && want.failed == "" {
			t.Errorf("point %d: %+v", i, got)
		}
		if want.outcome == "" {
			if len(got.Lookups) > 0 {
				t.Errorf("point %d: lookups %+v", i, got.Lookups)
			}
		} else if len(got.Lookups) != 1 || got.Lookups[0].Lookup != "crm" || got.Lookups[0].Outcome != want.outcome || got.Lookups[0].Why != want.why {
			t.Errorf("point %d: lookups %+v", i, got.Lookups)
		}
	}
	first := p[0]
	if len(first.Refused) != 1 || first.Refused[0] != (dialplan.TracedValue{Name: "SHELL(id)", Value: "name"}) || first.Caller != "02079460142" || first.CallerName != "as it was" ||
		len(first.Read) == 0 || first.Read[0] != (dialplan.TracedValue{Name: "linkedid", Value: "1.1"}) || first.Given[0] != "queue_id=500" || first.Events[0] != (dialplan.TracedEvent{Name: "queue-dial", Hooks: 1}) {
		t.Errorf("the first: %+v", first)
	}
	if last := first.Set[len(first.Set)-1]; last.Name != "RINGHOOK_STATUS" || first.Set[0] != (dialplan.TracedValue{Name: "__call_info", Value: "gold"}) {
		t.Errorf("set: %+v", first.Set)
	}
}
