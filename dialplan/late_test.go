package dialplan_test

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/fastagi"
	"ringhook/test/wait"
)

// waiting records the changes of a late answer.
type waiting struct {
	asked   chan []fastagi.Variable
	outcome dialplan.LateOutcome
}

func (w *waiting) Update(_ context.Context, _ dialplan.Identity, uniqueID string, vars []fastagi.Variable) ([]fastagi.Variable, dialplan.LateOutcome) {
	w.asked <- append([]fastagi.Variable{{Name: "uniqueid", Value: uniqueID}}, vars...)
	return vars, w.outcome
}

// TestLateAnswer checks that an answer after the budget reaches the waiting caller, the later events of
// the call, the trace and a metric.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	const budget = 2 * time.Second // enough for the points that are not late
	answered := make(chan struct{})
	release := sync.OnceFunc(func() { close(answered) })
	defer release() // the server's end waits for the answer
	h := build(t, budget, func(w http.ResponseWriter, r *http.Request) {
		<-answered
		io.WriteString(w, "CALLERID(name)=Anna%0aSmith&call_info=https://crm.example/1&QUEUE_PRIO=9&customer=7&EVIL(x)=y\n")
	}, nil)
	w := &waiting{asked: make(chan []fastagi.Variable, 1), outcome: dialplan.LateApplied}
	h.parts.Waiting = w
	h.d.Exchange(dialplan.Settings{Budget: budget}, h.parts)

	// The commit has the rest of the budget alone. On a busy machine that is over before, and there is no status.
	if got := h.ask("queue-dial", nil, "queue_id=500"); strings.Contains(got, "call_info") {
		t.Fatalf("queue-dial: %s", got)
	}
	release()
	got := <-w.asked
	want := []fastagi.Variable{
		{Name: "uniqueid", Value: "1.1"}, {Name: "CALLERID(name)", Value: "Anna Smith"},
		{Name: "__call_info", Value: "https://crm.example/1"}, {Name: "QUEUE_PRIO", Value: "9"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the channel was given %v, want %v", got, want)
	}
	h.ask("agent-dial", nil, "agent_phone=101")
	events := h.kept()
	for name, want := range map[string]any{"call_info": "https://crm.example/1", "queue_prio": int64(9), "customer": "7"} {
		if got := events[len(events)-1].Params[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("agent-dial has %s %v (%T), want %v", name, got, got, want)
		}
		if got := events[0].Params[name]; got != nil {
			t.Errorf("queue-dial has %s %v, want none", name, got)
		}
	}
	eventually(t, "the late answer is counted", func() bool { return h.late(t, "applied") == 1 })
	for _, p := range h.points(3) {
		if p.Point != "late-answer" {
			continue
		}
		if p.Status != "applied" || p.UniqueID != "1.1" || len(p.Lookups) != 1 || p.Lookups[0].Lookup != "crm" || p.Lookups[0].Took < budget/2 || len(p.Set) != 3 {
			t.Errorf("traced as %+v", p)
		}
		return
	}
	t.Error("not traced")
}

// late returns the number of late answers with an outcome.
func (h *house) late(t *testing.T, outcome string) float64 {
	t.Helper()
	families, err := h.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "ringhook_late_answers_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "outcome" && l.GetValue() == outcome {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	wait.Until(t, holds, "timed out waiting until %s", what)
}

// TestNotLate checks that an answer in time and one of another point are not late.
func TestNotLate(t *testing.T) {
	t.Parallel()
	const budget = 2 * time.Second // enough for the points that are not late
	release := make(chan struct{})
	h := build(t, budget, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.FormValue("phone"), "0142") {
			io.WriteString(w, "call_info=in time\n")
			return
		}
		<-release
		io.WriteString(w, "call_info=late\n")
	}, nil)
	w := &waiting{asked: make(chan []fastagi.Variable, 1)}
	h.parts.Waiting = w
	h.d.Exchange(dialplan.Settings{Budget: budget}, h.parts)
	if got := h.ask("queue-dial", nil, "queue_id=500"); !strings.Contains(got, "RINGHOOK_STATUS=FOUND") {
		t.Errorf("queue-dial: %s", got)
	}
	if got := h.ask("lookup", nil, "callerid=02079460999"); !strings.Contains(got, "RINGHOOK_STATUS=TIMEOUT") {
		t.Errorf("lookup: %s", got)
	}
	close(release)
	if err := h.parts.Lookups.Close(wait.Context(t)); err != nil { // the answer has arrived
		t.Fatal(err)
	}
	select {
	case got := <-w.asked:
		t.Errorf("the channel was given %v", got)
	default:
	}
}
