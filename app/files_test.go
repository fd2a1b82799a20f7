package app

import (
	"log/slog"
	"math"
	"testing"

	"ringhook/api"
	"ringhook/conf"
	"ringhook/hooks"
	"ringhook/lookup"
)

// F22: max_sessions is lowered to what the limit of open files allows, and leaves
// room for ringhook's own files whatever the limit is.
func TestFiles(t *testing.T) {
	cfg := conf.Default()
	cfg.Lookups = []lookup.Config{{Concurrency: 64}}
	cfg.Hooks = []hooks.Config{{Concurrency: 8}}
	own := ownFiles(cfg, api.MaxConnections)
	if want := uint64(api.MaxConnections + spareFiles + 64 + 16); own != want {
		t.Errorf("got %d files of ringhook's own, want %d", own, want)
	}
	for _, c := range []struct {
		sessions              int
		files                 uint64
		wantSessions, wantWeb int
	}{
		{10000, 1 << 20, 10000, 256},
		{10000, math.MaxUint64, 10000, 256},          // no limit
		{10000, own + 10000 + 2500 + 16, 10000, 256}, // a quarter and 16 get FAILURE
		{10000, own + 10000 + 2500 + 15, 9999, 256},  // 9999 need 2499 and 16 more
		{10000, 440, 127, 85},                        // 100 + 64 + 16, 85 for HTTP, 127 sessions, 31 + 16 that get FAILURE; one is left
		{10000, 256, 18, 39},
		{10000, 3, 1, minConnections},
		{1, 3, 1, minConnections},
	} {
		cfg.FastAGI.MaxSessions = c.sessions
		if sessions, web := fit(*cfg, c.files); sessions != c.wantSessions || web != c.wantWeb {
			t.Errorf("%d sessions, %d files: %d and %d HTTP connections fit, want %d and %d", c.sessions, c.files, sessions, web, c.wantSessions, c.wantWeb)
		}
	}
	for files := uint64(220); files < 3000; files++ {
		cfg.FastAGI.MaxSessions = 10000
		sessions, web := fit(*cfg, files)
		cfg.FastAGI.MaxSessions = sessions
		if needed := filesNeeded(cfg, web); needed > files {
			t.Fatalf("%d files: %d sessions and %d HTTP connections need %d", files, sessions, web, needed)
		}
	}
}

// TestDeskFiles checks that the desk gets what the sessions leave of the open files, and a quarter of them at least.
func TestDeskFiles(t *testing.T) {
	for _, c := range []struct {
		sessions, streams int
		files             uint64
		want              int
	}{
		{1000, 5000, 20000, 5000},
		{1000, 20000, 20000, 9181}, // 356 of ringhook's own, 1266 of sessions, 16 of the desk
		{10000, 5000, 20000, 3556}, // 12516 of sessions
		{10000, 5000, 16000, 1992}, // a quarter, which sessions have to leave
		{10000, 5000, 1 << 20, 5000},
		{10000, 5000, math.MaxUint64, 5000},
		{10000, 5000, 3, 1},
	} {
		cfg := conf.Default()
		cfg.FastAGI.MaxSessions, cfg.Desk.Listen, cfg.Desk.MaxStreams = c.sessions, "127.0.0.1:0", c.streams
		fitDesk(cfg, c.files, slog.New(slog.DiscardHandler))
		if cfg.Desk.MaxStreams != c.want {
			t.Errorf("%d streams beside %d sessions, %d files: %d fit, want %d", c.streams, c.sessions, c.files, cfg.Desk.MaxStreams, c.want)
		}
	}
}
