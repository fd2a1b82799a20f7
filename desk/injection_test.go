package desk

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"ringhook/api/apitest"
	"ringhook/api/yemot"
	"ringhook/pops"
	"ringhook/test/wait"
)

const yemotToken = "fedcba9876543210"

// serveHouse serves a desk at an Asterisk that records what reaches it.
func serveHouse(t *testing.T, change func(*Settings)) (h *apitest.House, base string) {
	t.Helper()
	h = apitest.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base = "http://" + l.Addr().String()
	log := slog.New(slog.DiscardHandler)
	live := pops.NewLive(pops.Setup{Rules: testRules(t, nil)}, noTrace{}, log, h.Registry)
	s := Settings{Config: DefaultConfig(), Agents: h.Agents, PBX: true, Yemot: yemot.Config{Path: "/ym/api/", Token: yemotToken}}
	s.Config.Listen, s.Config.URL = l.Addr().String(), base
	if change != nil {
		change(&s)
	}
	d, err := New(s, Parts{Live: live, Control: h.Control, API: newAPI(t, h.Store, h.Control, live), Accounts: h.Store.Desk(), Store: h.Store.Browse(), Clicks: h.Clicks()}, log, h.Registry)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait.Limit)
		defer cancel()
		for _, err := range []error{d.Shutdown(ctx), <-ended, live.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return h, base
}

// TestInjection puts hostile values into every parameter of every route of the desk's port.
func TestInjection(t *testing.T) {
	t.Parallel()
	h, base := serveHouse(t, nil)
	h.Inject(base)
}

// TestYemotInjection does the same with every command of the Yemot dialect.
func TestYemotInjection(t *testing.T) {
	t.Parallel()
	h, base := serveHouse(t, nil)
	h.InjectYemot(base+"/ym/api/", yemotToken)
}

// TestClickInjection does the same with click-to-call of other products.
func TestClickInjection(t *testing.T) {
	t.Parallel()
	h, base := serveHouse(t, nil)
	h.InjectClicks(base)
}

// TestMaskedQueues checks that a supervisor does not see the last digits of the numbers of those who wait.
func TestMaskedQueues(t *testing.T) {
	h, base := serveHouse(t, func(s *Settings) { s.Config.MaskNumbers = true })
	wait.Until(t, func() bool { // until Asterisk has said that the number may be shown
		_, text := h.Send("administrator", "GET", base+"/v1/queues", "", "")
		return strings.Contains(text, "442079460142")
	}, "no number is shown")
	for token, want := range map[string]string{"supervisor": "442079460•••", "administrator": "442079460142"} {
		for _, path := range []string{"/v1/queues", "/v1/queues/500"} {
			if resp, text := h.Send(token, "GET", base+path, "", ""); resp.StatusCode != 200 || !strings.Contains(text, `"caller":"`+want+`"`) {
				t.Errorf("%s as %s: %d %s", path, token, resp.StatusCode, text)
			}
		}
	}
}
