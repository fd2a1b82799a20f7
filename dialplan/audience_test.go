package dialplan_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
)

// audience records what it hears.
type audience struct {
	mu    sync.Mutex
	heard []string
}

func (a *audience) Heard(ev *hooks.Event, looked string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard = append(a.heard, fmt.Sprintf("%s %v %s", ev.Name, ev.Params["customer"], looked))
}

func (a *audience) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.heard)
}

// TestAudience checks that an audience hears of every event, also of those that no hook wants, with what
// the lookups found.
func TestAudience(t *testing.T) {
	for number, want := range map[string]string{"found": "7 found", "nobody": "<nil> not-found", "error": "<nil> error"} {
		h := build(t, time.Second, func(w http.ResponseWriter, r *http.Request) {
			switch number {
			case "found":
				io.WriteString(w, "customer=7\n")
			case "error":
				http.Error(w, "no", http.StatusInternalServerError)
			}
		}, nil)
		a := &audience{}
		h.parts.Audience = a
		h.d.Exchange(dialplan.Settings{Budget: time.Second}, h.parts)
		h.ask("call-dial", nil)
		h.ask("queue-dial", nil, "queue_id=500")
		h.ask("agent-dial", nil, "agent_phone=101")
		h.ask("agent-dial", nil, "agent_phone=101") // a repeat
		got := a.list()
		if expected := []string{"call-dial <nil> ", "queue-dial " + want, "agent-dial " + want}; !slices.Equal(got, expected) {
			t.Errorf("%s: got %q, want %q", number, got, expected)
		}
	}
}

// TestAudienceHearsOfLateAnswers checks that an answer after the budget counts for the later events of the
// call, also without a manager interface.
func TestAudienceHearsOfLateAnswers(t *testing.T) {
	const budget = 300 * time.Millisecond
	release := make(chan struct{})
	h := build(t, budget, func(w http.ResponseWriter, _ *http.Request) {
		<-release
		io.WriteString(w, "customer=7\n")
	}, nil)
	a := &audience{}
	h.parts.Audience = a
	h.d.Exchange(dialplan.Settings{Budget: budget}, h.parts)
	if got := h.ask("queue-dial", nil, "queue_id=500"); !strings.Contains(got, "RINGHOOK_STATUS=TIMEOUT") {
		t.Fatalf("queue-dial: %s", got)
	}
	close(release)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n := 0; ; n++ { // until the answer has arrived
		h.ask("agent-dial", nil, fmt.Sprintf("agent_phone=%d", 101+n))
		got := a.list()
		if got[0] != "queue-dial <nil> pending" {
			t.Fatalf("got %q", got)
		}
		if got[len(got)-1] == "agent-dial 7 found" {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("got %q", got)
		}
	}
}
