package main

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/lookup"
	"ringhook/store"
)

func open(t *testing.T, folder string) *store.Store {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.Folder, cfg.KeepDelivered = folder, 365*24*time.Hour // what is expired here is to stay
	s, err := store.Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The store takes what was filled for what it had kept itself.
func TestFillOutbox(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "store")
	if err := fillOutbox(t.Context(), folder, "dead", 500); err != nil {
		t.Fatal(err)
	}
	s := open(t, folder)
	due, err := s.Outbox().Due("dead", time.Now(), 1000)
	if err != nil || len(due) != 500 {
		t.Errorf("%d deliveries are due, %v; want 500", len(due), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := expire(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	s = open(t, folder)
	n, err := expired(t.Context(), folder)
	if err != nil || n != 500 {
		t.Errorf("%d deliveries are expired, %v; want 500", n, err)
	}
	if due, err := s.Outbox().Due("dead", time.Now(), 1000); err != nil || len(due) != 0 {
		t.Errorf("%d deliveries are due, %v; want none", len(due), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFillCache(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "store")
	s := open(t, folder)
	now := time.Now()
	s.Cache().Put(lookup.Entry{Key: "one", Lookup: "crm", Number: "+49301000000", Vars: []byte("vars"), Stored: now, Expires: now.Add(time.Hour)})
	if err := s.Close(); err != nil { // which writes it
		t.Fatal(err)
	}
	if err := fillCache(t.Context(), folder, 1000); err != nil {
		t.Fatal(err)
	}
	s = open(t, folder)
	defer s.Close()
	if e, ok := s.Cache().Get("one"); !ok || !bytes.Equal(e.Vars, []byte("vars")) {
		t.Errorf("the first entry is %+v, %v", e, ok)
	}
	if n := s.Cache().Len(); n != 1001 {
		t.Errorf("the cache counts %d entries, want 1001", n)
	}
	if err := s.Cache().Clear(t.Context()); err != nil || s.Cache().Len() != 0 {
		t.Errorf("cleared, the cache counts %d entries, %v", s.Cache().Len(), err)
	}
}

func TestResults(t *testing.T) {
	var out bytes.Buffer
	printResults(&out, []result{
		{What: "a", AtOnce: "16", Baseline: 1000, Ringhook: 899.6, Unit: "/s", Figure: .8996, AtLeast: .9},
		{What: "b", Ringhook: 4.251, Unit: "ms", Figure: 4.251, Is: "ms", AtMost: 5},
		{What: "c", Baseline: 12.34, Ringhook: 60, Figure: 60},
	})
	want := `| measure | at once | baseline | ringhook | figure | to reach | reached |
| --- | --- | --- | --- | --- | --- | --- |
| a | 16 | 1000 /s | 900 /s | 0.90 | at least 0.90 | no |
| b |  | 0 ms | 4.25 ms | 4.25 ms | at most 5.00 ms | yes |
| c |  | 12.3  | 60  | 60 |  |  |
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
