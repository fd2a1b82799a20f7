package desk

import (
	"fmt"
	"testing"
)

// TestStolenStream checks that the id of another agent's stream is of no use: it changes neither which tab shows pops nor a pop.
func TestStolenStream(t *testing.T) {
	h := serve(t)
	anna, boris := h.signedIn("7"), h.signedIn("8")
	first, second := h.listen(anna), h.listen(anna)
	stolen, led := first.next("hello")["stream"].(string), second.next("hello")["stream"].(string)
	if got := second.next("lead")["stream"]; got != led {
		t.Fatalf("the tab that was opened last does not show pops: %v", got)
	}
	if status, text := h.json(boris, "POST", "/v1/me/focus", fmt.Sprintf(`{"stream": %q}`, stolen)); status != 404 {
		t.Errorf("focus: %d %s", status, text)
	}
	h.say("1.1", "agent-dial", "101", nil)
	pop := second.next("pop")
	if pop["lead"] != true {
		t.Errorf("another tab shows the pop: %v", pop)
	}
	for _, fate := range []string{"shown", "by-agent"} {
		if status, text := h.json(boris, "POST", "/v1/me/pops/"+pop["pop"].(string)+"/receipt", fmt.Sprintf(`{"stream": %q, "fate": %q}`, stolen, fate)); status != 409 {
			t.Errorf("%s of another agent: %d %s", fate, status, text)
		}
	}
	if status, text := h.json(anna, "POST", "/v1/me/pops/"+pop["pop"].(string)+"/receipt", fmt.Sprintf(`{"stream": %q, "fate": "shown"}`, led)); status != 204 {
		t.Errorf("the own receipt: %d %s", status, text)
	}
}
