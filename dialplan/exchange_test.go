package dialplan_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/test/wait"
)

// TestExchangeDuringLookup checks that a call that waits for a lookup during Exchange uses the old
// lookups until its end, also for later requests.
func TestExchangeDuringLookup(t *testing.T) {
	h := build(t, wait.Limit, nil, nil)
	asked, release := make(chan struct{}), make(chan struct{})
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		w.WriteHeader(http.StatusNotFound)
	}))
	defer first.Close()
	second := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "CALLERID(name)=Anna")
	}))
	defer second.Close()
	log := slog.New(slog.NewTextHandler(h.log, nil))
	newParts := func(urls ...string) dialplan.Parts {
		parts := dialplan.Parts{Numbers: number.NewReader(number.Config{Country: "GB", Language: "en"})}
		var cfgs []lookup.Config
		for i, url := range urls {
			c := lookup.DefaultConfig()
			c.Name, c.Points, c.URL, c.Rank, c.Timeout = "rank"+string(rune('0'+i)), []string{"queue-dial"}, url+"/?phone=%callerid%", i, 20*time.Second
			cfgs = append(cfgs, c)
		}
		reg := prometheus.NewRegistry()
		var err error
		if parts.Lookups, err = lookup.New(cfgs, h.st.Cache(), lookup.Own{Phonebook: h.st.Phonebook(), DIDs: h.st.Desk()}, log, reg); err != nil {
			t.Fatal(err)
		}
		if parts.Hooks, err = hooks.New(nil, h.st.Outbox(), log, reg); err != nil {
			t.Fatal(err)
		}
		return parts
	}
	settings := dialplan.Settings{Budget: wait.Limit}
	old, next := newParts(first.URL, second.URL), newParts()
	h.d.Exchange(settings, old)

	result := make(chan string)
	go func() { result <- h.ask("queue-dial", nil, "queue_id=500") }()
	<-asked
	sessions := h.d.Exchange(settings, next)
	closing := make(chan error)
	go func() {
		sessions()
		closing <- old.Lookups.Close(wait.Context(t))
	}()
	close(release)
	if got := <-result; !strings.Contains(got, "CALLERID(name)=Anna") || !strings.HasSuffix(got, "RINGHOOK_STATUS=FOUND") {
		t.Errorf("the call got %s, want the second rank's answer", got)
	}
	if err := <-closing; err != nil {
		t.Error(err)
	}
	if err := next.Lookups.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
