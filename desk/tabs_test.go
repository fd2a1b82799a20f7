package desk

import (
	"net/http"
	"testing"
)

// TestManyTabsAtOnce opens more tabs of an agent than are allowed before the first of them can leave.
func TestManyTabsAtOnce(t *testing.T) {
	h := serve(t)
	var tabs []*stream
	for range 5 * maxTabs {
		s, status := h.tab("7")
		if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		tabs = append(tabs, s)
	}
	if got := h.Desks("7"); got != maxTabs {
		t.Errorf("%d tabs, want %d", got, maxTabs)
	}
	for _, s := range tabs[:len(tabs)-maxTabs] {
		if len(s.gone) != 1 {
			t.Error("a tab that is not counted was not ended")
		}
	}
	for _, s := range tabs {
		h.leave("7", s)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams != 0 || len(h.hubs["7"].streams) != 0 {
		t.Errorf("after all have left: %d streams, %d of the agent", h.streams, len(h.hubs["7"].streams))
	}
}
