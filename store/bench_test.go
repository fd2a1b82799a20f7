package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/hooks"
	"ringhook/store/eventbody"
	"ringhook/store/sqlite"
)

func BenchmarkKeep(b *testing.B) {
	for _, synchronous := range []string{"full", "normal"} {
		for _, waiters := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("%s/%d", synchronous, waiters), func(b *testing.B) {
				cfg := testConfig(b)
				cfg.Synchronous = synchronous
				s := mustOpen(b, cfg, time.Now)
				defer mustClose(b, s)
				benchKeep(b, s, waiters)
			})
		}
	}
}

func benchKeep(b *testing.B, s *Store, waiters int) {
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism((waiters + 1) / 2) // of two processors
	b.ResetTimer()
	if waiters == 1 {
		for range b.N {
			keep(b, s.Journal(), testRecord(fmt.Sprintf("17%08d.1", n.Add(1)), 1, "a"))
		}
		return
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			keep(b, s.Journal(), testRecord(fmt.Sprintf("17%08d.1", n.Add(1)), 1, "a"))
		}
	})
}

// fillPending adds n pending deliveries for a hook, each with a call of its own.
func fillPending(b testing.TB, s *Store, n int) {
	ctx := context.Background()
	for from := 0; from < n; from += 1000 {
		err := s.w.do(ctx, acceptance, 0, func(c *sqlite.Conn) error {
			for i := from; i < min(n, from+1000); i++ {
				rec, err := s.journal.encode(testRecord(fmt.Sprintf("16%08d.1", i), 1, "dead"))
				if err != nil {
					return err
				}
				if err := rec.apply(c); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPending is issued beside a million deliveries that wait for a dead hook.
func BenchmarkPending(b *testing.B) {
	for _, pending := range []int{0, 1_000_000} {
		cfg := testConfig(b)
		cfg.Synchronous = "full"
		s := mustOpen(b, cfg, time.Now)
		fillPending(b, s, pending)
		mustClose(b, s)
		start := time.Now()
		s = mustOpen(b, cfg, time.Now)
		b.Logf("%d pending: open in %v, %d MiB", pending, time.Since(start), fileSize(s.outboxOptions().Path)>>20)
		name := func(what string) string { return fmt.Sprintf("%s/%d", what, pending) }
		b.Run(name("keep128"), func(b *testing.B) { benchKeep(b, s, 128) })
		b.Run(name("due"), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, err := s.Outbox().Due("dead", time.Now(), 64); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name("tallies"), func(b *testing.B) {
			for range b.N {
				if _, err := s.Operator().HookCounts(); err != nil {
					b.Fatal(err)
				}
			}
		})
		mustClose(b, s)
	}
}

// BenchmarkDue is a look for what is to be delivered, a handful of many.
func BenchmarkDue(b *testing.B) {
	s := testStore(b, time.Now)
	fillPending(b, s, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if list, err := s.Outbox().Due("dead", time.Now(), 8); err != nil || len(list) != 8 {
			b.Fatal(len(list), err)
		}
	}
}

func BenchmarkSettle(b *testing.B) {
	s := testStore(b, time.Now)
	fillPending(b, s, b.N)
	b.ResetTimer()
	for done := 0; done < b.N; {
		list, err := s.Outbox().Due("dead", time.Now(), 64)
		if err != nil {
			b.Fatal(err)
		}
		results := make([]hooks.Result, len(list))
		for i, d := range list {
			results[i] = hooks.Result{Delivery: d.ID, State: hooks.Delivered, Attempt: hooks.Attempt{Started: time.Now(), Class: "delivered", Status: 200}}
		}
		if _, err := s.Outbox().Settle(context.Background(), results); err != nil {
			b.Fatal(err)
		}
		done += len(list)
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	r := testRecord("1.1", 1, "a")
	text, err := eventbody.Encode(&r.Events[0].Event)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := eventbody.Decode("msg_1", "1.1", text); err != nil {
			b.Fatal(err)
		}
	}
}
