package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// note reports progress.
func note(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }

// hookLines returns a [[hook]] that posts JSON to a URL.
func hookLines(name, event, url, more string) string {
	return fmt.Sprintf("[[hook]]\nname = %q\nevents = [%q]\nurl = %q\nmethod = \"POST\"\nformat = \"json\"\n%s\n", name, event, url, more)
}

// hookConcurrency is the default number of concurrent attempts of a hook.
const hookConcurrency = 8

// deliveries measures the rate at which an outbox full of pending events empties: from the
// first request until all results are on the disk. Each round has a copy of the same outbox.
func deliveries(ctx context.Context, b *bench) error {
	receiver, err := b.peer(ctx)
	if err != nil {
		return err
	}
	full := filepath.Join(b.folder, "full")
	if err := fillOutbox(ctx, full, "journal", b.n); err != nil {
		return err
	}
	var bare, ours, figure []float64
	for round := range b.rounds {
		rate, seen, err := b.emptied(ctx, receiver, full, round)
		if err != nil {
			return err
		}
		beside, err := postBare(receiver, seen, b.each)
		if err != nil {
			return err
		}
		note("round %d: %.0f deliveries/s, bare client %.0f/s", round+1, rate, beside)
		bare, ours, figure = append(bare, beside), append(ours, rate), append(figure, rate/beside)
	}
	b.add(result{What: fmt.Sprintf("deliveries of JSON, %d pending, synchronous = full, beside a bare client", b.n), AtOnce: fmt.Sprint(hookConcurrency),
		Baseline: middle(bare), Ringhook: middle(ours), Unit: "/s", Figure: middle(figure), AtLeast: .6})
	return b.report()
}

// emptied lets ringhook deliver all pending events, and returns the rate and what the
// receiver saw.
func (b *bench) emptied(ctx context.Context, receiver *server, full string, round int) (rate float64, seen peerStats, err error) {
	folder := filepath.Join(b.folder, fmt.Sprint("round-", round))
	if err := copyStore(full, folder); err != nil {
		return 0, seen, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := receiver.reset(); err != nil {
		return 0, seen, err
	}
	s, err := b.ringhook(ctx, "delivers", folder, hookLines("journal", "call-hangup", receiver.url("/event"), ""))
	if err != nil {
		return 0, seen, err
	}
	defer func() { err = errors.Join(err, b.end(s)) }()
	// The receiver's counter is cheap; reading ringhook's metrics costs it processor time.
	if err := receiver.awaitTaken(ctx, b.n); err != nil {
		return 0, seen, err
	}
	if err := s.delivered(ctx, "journal"); err != nil {
		return 0, seen, err
	}
	done := time.Now()
	if seen, err = receiver.seen(); err != nil {
		return 0, seen, err
	}
	return float64(b.n) / done.Sub(seen.First).Seconds(), seen, nil
}

// postBare posts the event that a receiver saw, repeatedly, with the concurrency of a
// hook.
func postBare(receiver *server, seen peerStats, each time.Duration) (rate float64, err error) {
	if err := receiver.reset(); err != nil {
		return 0, err
	}
	url := receiver.url("/event")
	client := fasthttp.Client{MaxConnsPerHost: hookConcurrency}
	defer client.CloseIdleConnections()
	counts := make([]int, hookConcurrency)
	failed := make([]error, hookConcurrency)
	began := time.Now()
	end := began.Add(each)
	var all sync.WaitGroup
	for i := range hookConcurrency {
		all.Go(func() {
			var req fasthttp.Request
			var resp fasthttp.Response
			for time.Now().Before(end) {
				req.Reset()
				req.SetRequestURI(url)
				req.Header.SetMethod(fasthttp.MethodPost)
				for name, value := range seen.Header {
					req.Header.Set(name, value)
				}
				req.SetBodyRaw(seen.Body)
				if failed[i] = client.DoDeadline(&req, &resp, time.Now().Add(5*time.Second)); failed[i] != nil {
					return
				}
				if resp.StatusCode() != fasthttp.StatusOK {
					failed[i] = fmt.Errorf("the receiver answered %d", resp.StatusCode())
					return
				}
				counts[i]++
			}
		})
	}
	all.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	rate = float64(sum) / time.Since(began).Seconds()
	if err := errors.Join(failed...); err != nil {
		return 0, err
	}
	if seen, err = receiver.seen(); err != nil || seen.Taken != int64(sum) {
		return 0, errors.Join(err, fmt.Errorf("the receiver took %d requests of %d", seen.Taken, sum))
	}
	return rate, nil
}

// noListener is an address without a listener.
const noListener = "http://127.0.0.1:1/"

// fullOutbox measures the effect of many pending deliveries for a dead hook on calls,
// start and memory. The calls make events for another hook.
func fullOutbox(ctx context.Context, b *bench) error {
	receiver, err := b.peer(ctx)
	if err != nil {
		return err
	}
	null, err := b.null(ctx)
	if err != nil {
		return err
	}
	lines := "store.max_size = \"64GiB\"\n" + crmLines(receiver.url("/who"), `cache = "1h"`) +
		hookLines("journal", "agent-dial", receiver.url("/event"), "") + hookLines("dead", "call-hangup", noListener, "")
	folder := filepath.Join(b.folder, "full")
	began := time.Now()
	if err := fillOutbox(ctx, folder, "dead", b.n); err != nil {
		return err
	}
	note("%d deliveries put there in %v", b.n, time.Since(began).Round(time.Second))
	empty, err := b.ringhook(ctx, "empty", filepath.Join(b.folder, "empty"), lines)
	if err != nil {
		return err
	}
	full, took, err := b.startOften(ctx, "full", folder, lines)
	if err != nil {
		return err
	}
	all, err := b.compare(ctx, eventPoint, []*server{null, empty, full}, b.levelsOr("1,16,128"), func() error {
		return errors.Join(empty.delivered(ctx, "journal"), full.delivered(ctx, "journal"))
	}, warm(1000)...)
	if err != nil {
		return err
	}
	if pending, err := full.metric(`ringhook_hook_pending{hook="dead"}`); err != nil || pending != float64(b.n) {
		return errors.Join(err, fmt.Errorf("%.0f deliveries are pending, expected %d", pending, b.n))
	}
	for _, l := range all {
		b.add(result{What: fmt.Sprintf("sessions/s with an event, %d pending for a dead hook, beside none", b.n), AtOnce: l.level,
			Baseline: median(l.runs[1], perSecond), Ringhook: median(l.runs[2], perSecond), Unit: "/s", Figure: ratio(l.runs[2], l.runs[1], perSecond), AtLeast: .9})
	}
	b.add(result{What: "start with them", Baseline: empty.took.Seconds(), Ringhook: took, Unit: "s", Figure: took, Is: "s", AtMost: 3})
	base, _, err1 := empty.memory()
	now, most, err2 := full.memory()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	b.add(result{What: "resident memory with them, after the load", Baseline: base, Ringhook: now, Unit: "MiB", Figure: now, Is: "MiB", AtMost: 150})
	b.add(result{What: "the most it was", Baseline: base, Ringhook: most, Unit: "MiB", Figure: most, Is: "MiB"})
	return b.report()
}

// startOften starts a ringhook once per round, leaves the last one running, and returns the median time of a start, in
// seconds.
func (b *bench) startOften(ctx context.Context, name, folder, lines string) (*server, float64, error) {
	var took []float64
	for round := 1; ; round++ {
		s, err := b.ringhook(ctx, name, folder, lines)
		if err != nil {
			return nil, 0, err
		}
		took = append(took, s.took.Seconds())
		if round >= b.rounds {
			return s, middle(took), nil
		}
		if err := b.end(s); err != nil {
			return nil, 0, err
		}
	}
}

// upkeepBegins is the maximum time until ringhook begins to remove old deliveries.
const upkeepBegins = 3 * time.Minute

// retention measures calls while a day's deliveries expire, compared with a ringhook that
// has nothing to remove.
func retention(ctx context.Context, b *bench) error {
	receiver, err := b.peer(ctx)
	if err != nil {
		return err
	}
	lines := "store.max_size = \"64GiB\"\n" + crmLines(receiver.url("/who"), `cache = "1h"`) +
		hookLines("journal", "agent-dial", receiver.url("/event"), "")
	folder := filepath.Join(b.folder, "day")
	if err := errors.Join(fillOutbox(ctx, folder, "journal", b.n), expire(ctx, folder)); err != nil {
		return err
	}
	without, err := b.ringhook(ctx, "without", filepath.Join(b.folder, "without"), lines)
	if err != nil {
		return err
	}
	with, err := b.ringhook(ctx, "with", folder, lines)
	if err != nil {
		return err
	}
	note("waiting until the first deliveries are removed")
	first, err := b.removing(ctx, folder)
	if err != nil {
		return err
	}
	began := time.Now()
	all, err := b.compare(ctx, eventPoint, []*server{without, with}, b.levelsOr("16,128"), func() error {
		return errors.Join(without.delivered(ctx, "journal"), with.delivered(ctx, "journal"))
	}, warm(1000)...)
	if err != nil {
		return err
	}
	left, err := expired(ctx, folder)
	if err != nil {
		return err
	}
	if left == 0 || left >= first {
		return fmt.Errorf("of %d expired deliveries %d were left at the end: they were not removed all the time; change -n, -d or -rounds", first, left)
	}
	note("%d deliveries a second were removed, %d are left", int(float64(first-left)/time.Since(began).Seconds()), left)
	for _, l := range all {
		b.add(result{What: fmt.Sprintf("sessions/s with an event while %d deliveries expire, beside none", b.n), AtOnce: l.level,
			Baseline: median(l.runs[0], perSecond), Ringhook: median(l.runs[1], perSecond), Unit: "/s", Figure: ratio(l.runs[1], l.runs[0], perSecond), AtLeast: .9})
	}
	return b.report()
}

// removing waits until the number of expired deliveries decreases, and returns it.
func (b *bench) removing(ctx context.Context, folder string) (int, error) {
	late := time.After(upkeepBegins)
	for tick := time.NewTicker(time.Second); ; {
		n, err := expired(ctx, folder)
		if err != nil || n < b.n {
			return n, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-late:
			return 0, fmt.Errorf("nothing was removed within %v", upkeepBegins)
		}
	}
}

// blackHole measures the time from a call to its delivery, alone and beside a hook with
// many pending events whose receiver accepts connections and never answers.
func blackHole(ctx context.Context, b *bench) error {
	const rate = 200 // events a second
	hole, err := b.peer(ctx)
	if err != nil {
		return err
	}
	full := filepath.Join(b.folder, "full")
	if err := fillOutbox(ctx, full, "hole", b.n); err != nil {
		return err
	}
	healthy, err := newReceiver()
	if err != nil {
		return err
	}
	lines := hookLines("crm", "agent-dial", healthy.url, "")
	alone, err := b.ringhook(ctx, "alone", filepath.Join(b.folder, "alone"), lines)
	if err != nil {
		return err
	}
	beside, err := b.ringhook(ctx, "beside", full, lines+hookLines("hole", "call-hangup", hole.url("/never"), `timeout = "100ms"`))
	if err != nil {
		return err
	}
	var p50s, p99s [2][]float64
	for range b.rounds {
		for i, s := range []*server{alone, beside} {
			took, err := healthy.deliveries(ctx, s, rate, b.each)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			slices.Sort(took)
			p50s[i], p99s[i] = append(p50s[i], took[len(took)/2]), append(p99s[i], took[len(took)*99/100])
			note("%s: p50 %.0f us, p99 %.0f us of %d", s.name, p50s[i][len(p50s[i])-1], p99s[i][len(p99s[i])-1], len(took))
		}
	}
	for _, of := range []struct {
		name   string
		values [2][]float64
		most   float64
	}{{"p99", p99s, 1.2}, {"p50", p50s, 0}} {
		b.add(result{What: fmt.Sprintf("%s from call to delivery, beside a black hole with %d pending, and alone", of.name, b.n), AtOnce: fmt.Sprint(rate, "/s"),
			Baseline: middle(of.values[0]), Ringhook: middle(of.values[1]), Unit: "us", Figure: ratioOfEach(of.values[1], of.values[0]), AtMost: of.most})
	}
	return b.report()
}

// ratioOfEach returns the median of the ratios of the rounds.
func ratioOfEach(a, b []float64) float64 {
	values := make([]float64, len(a))
	for i := range values {
		values[i] = a[i] / b[i]
	}
	return middle(values)
}
