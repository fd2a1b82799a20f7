package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// minuteOf is what a minute of the soak left.
type minuteOf struct {
	Minute     int     `json:"minute"`
	PerSecond  float64 `json:"sessions_per_s"`
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	RSS        float64 `json:"rss_mib"`
	Goroutines float64 `json:"goroutines"`
	FDs        float64 `json:"fds"`
	Pending    float64 `json:"pending"`
	Outbox     float64 `json:"outbox_mib"` // with its write-ahead log
}

// soakSettles is the number of minutes after which memory should be level: calls and
// deliveries are kept for two minutes, and removed once a minute.
const soakSettles = 5

// endPoint ends a call, because the soak lets ringhook forget calls soon.
var endPoint = asked{"call-hangup", []string{
	"linkedid={uniqueid}", "server=pbx", "visit=", "ring=", "status=ANSWER", "answered_time=31", "abandoned=", "connected=", "queue_status=", "wait_time=", "queue_position=",
	"agent_phone=", "billsec=31", "recording_file=", "cause=16",
}, "FOUND"}

// soak plays calls with a lookup and an event each, at half of the reachable rate, to a receiver that
// fails one request in ten, and records every minute what ringhook holds.
func soak(ctx context.Context, b *bench) error {
	receiver, err := b.peer(ctx)
	if err != nil {
		return err
	}
	folder := filepath.Join(b.folder, "soak")
	s, err := b.ringhook(ctx, "ringhook", folder, "dialplan.max_call = \"1m\"\nstore.keep_calls = \"2m\"\nstore.keep_delivered = \"2m\"\nstore.keep_dead = \"2m\"\n"+
		crmLines(receiver.url("/who"), `cache = "24h"`)+hookLines("journal", "call-hangup", receiver.url("/flaky"), ""))
	if err != nil {
		return err
	}
	first, err := b.load(ctx, endPoint, []*server{s}, "128", warm(5000)...)
	if err != nil {
		return err
	}
	rate := first[0].PerSecond / 2
	note("%.0f sessions/s can be reached; soaking at half of that for %d minutes", first[0].PerSecond, b.minutes)
	long := *b
	long.each = b.minute
	var all []minuteOf
	for minute := 1; minute <= b.minutes; minute++ {
		taken, err := long.load(ctx, endPoint, []*server{s}, "128", "-rate", fmt.Sprint(rate), "-warmup", "0")
		if err != nil {
			return err
		}
		m, err := s.look(folder)
		if err != nil {
			return err
		}
		m.Minute, m.PerSecond, m.P50, m.P99 = minute, taken[0].PerSecond, taken[0].Latency.P50, taken[0].Latency.P99
		all = append(all, m)
	}
	b.judge(all)
	if b.asJSON {
		if err := b.report(); err != nil {
			return err
		}
		enc := json.NewEncoder(os.Stdout)
		for _, m := range all {
			if err := enc.Encode(m); err != nil {
				return err
			}
		}
		return nil
	}
	if err := b.report(); err != nil {
		return err
	}
	fmt.Println("\n| minute | sessions/s | p50 us | p99 us | RSS MiB | goroutines | fds | pending | outbox.db MiB |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, m := range all {
		fmt.Printf("| %d | %.0f | %.0f | %.0f | %.1f | %.0f | %.0f | %.0f | %.0f |\n",
			m.Minute, m.PerSecond, m.P50, m.P99, m.RSS, m.Goroutines, m.FDs, m.Pending, m.Outbox)
	}
	return nil
}

// look measures what a ringhook holds now.
func (s *server) look(folder string) (m minuteOf, err error) {
	for name, value := range map[string]*float64{
		"go_goroutines": &m.Goroutines, "process_open_fds": &m.FDs, `ringhook_hook_pending{hook="journal"}`: &m.Pending,
	} {
		if *value, err = s.metric(name); err != nil {
			return m, err
		}
	}
	for _, name := range []string{"outbox.db", "outbox.db-wal"} {
		if info, err := os.Stat(filepath.Join(folder, name)); err == nil {
			m.Outbox += float64(info.Size()) / (1 << 20)
		}
	}
	m.RSS, _, err = s.memory()
	return m, err
}

// judge compares the last five minutes with minutes 5 to 10.
func (b *bench) judge(all []minuteOf) {
	if len(all) < 2*soakSettles+1 {
		note("a soak of less than %d minutes says nothing", 2*soakSettles+1)
		return
	}
	early, late := all[soakSettles-1:2*soakSettles], all[len(all)-soakSettles:]
	for _, of := range []struct {
		name, unit string
		most       float64
		value      func(minuteOf) float64
	}{
		{"resident memory", "MiB", 1.1, func(m minuteOf) float64 { return m.RSS }},
		{"goroutines", "", 1.1, func(m minuteOf) float64 { return m.Goroutines }},
		{"file descriptors", "", 1.1, func(m minuteOf) float64 { return m.FDs }},
		{"p99", "us", 1.25, func(m minuteOf) float64 { return m.P99 }}, // it differs more from minute to minute
	} {
		before, after := mean(early, of.value), mean(late, of.value)
		b.add(result{What: of.name + ", the last five minutes beside minutes 5 to 10", AtOnce: fmt.Sprintf("%.0f/s", mean(all, func(m minuteOf) float64 { return m.PerSecond })),
			Baseline: before, Ringhook: after, Unit: of.unit, Figure: after / before, AtMost: of.most})
	}
	flat := "flat from minute 5 on"
	for i := range b.lines {
		if !b.lines[i].reached() {
			flat = "not flat"
		}
	}
	note("%s, over %v", flat, time.Duration(len(all))*b.minute)
}

func mean(all []minuteOf, of func(minuteOf) float64) float64 {
	sum := 0.0
	for _, m := range all {
		sum += of(m)
	}
	return sum / float64(max(len(all), 1))
}
