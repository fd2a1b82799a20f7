package fastagi

import (
	"log/slog"
	"net/netip"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// T-FAGI-02: where several may connect, one address gets half of the places at
// most; the only one there is gets all, and so does this machine.
func TestShareOfOneAddress(t *testing.T) {
	for _, c := range []struct {
		allow []string
		peer  string
		want  int
	}{
		{[]string{"192.0.2.1", "192.0.2.2"}, "192.0.2.1", 5},
		{[]string{"192.0.2.0/24"}, "192.0.2.1", 5},
		{[]string{"192.0.2.1"}, "192.0.2.1", 9},
		{[]string{"127.0.0.0/8", "192.0.2.1"}, "127.0.0.1", 9},
	} {
		cfg := DefaultConfig()
		cfg.Allow, cfg.MaxSessions = c.allow, 9
		s, err := New(cfg, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		set, peer, other := s.settings.Load(), netip.MustParseAddr(c.peer), netip.MustParseAddr("192.0.2.2")
		got := 0
		for range 20 {
			if s.take(peer, set) == nil {
				got++
			}
		}
		if got != c.want {
			t.Errorf("allow %q: %s got %d of 9 places, want %d", c.allow, c.peer, got, c.want)
		}
		if err := s.take(other, set); (err == nil) != (c.want < 9) {
			t.Errorf("allow %q: another address beside it: %v", c.allow, err)
		} else if err == nil {
			s.quit(other)
		}
		for range got {
			s.quit(peer)
		}
		if s.active.Load() != 0 || len(s.peers) != 0 {
			t.Errorf("allow %q: %d sessions and %v are left", c.allow, s.active.Load(), s.peers)
		}
	}
}
