package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// waitingBudget is the time that sessions wait in vain: long enough to open all of them
// before the first ends, and shorter than the ten seconds after which ringhook ends a
// request to the CRM.
const waitingBudget = 6 * time.Second

// waiting measures sessions that wait for a CRM that does not answer: the memory of each
// while all wait, and how long after its budget each is answered.
func waiting(ctx context.Context, b *bench) error {
	crm, err := b.peer(ctx)
	if err != nil {
		return err
	}
	lines := fmt.Sprintf("fastagi.budget = %q\nfastagi.max_sessions = %d\n", waitingBudget, b.n) +
		fmt.Sprintf("[[lookup]]\nname = \"crm\"\npoints = [\"queue-dial\"]\nurl = %q\ntimeout = %q\n", crm.url("/never")+"?phone=%callerid%", waitingBudget)
	rate := float64(b.n) / (waitingBudget.Seconds() / 2)
	var kib, nullKiB, late, nullLate []float64
	for round := range b.rounds {
		// A server does not return memory immediately: each round has its own server.
		null, err := b.null(ctx, "-hold", waitingBudget.String())
		if err != nil {
			return err
		}
		each, p99, err := b.wait(ctx, null, "", rate)
		if err = errors.Join(err, b.end(null)); err != nil {
			return err
		}
		nullKiB, nullLate = append(nullKiB, each), append(nullLate, p99)
		ours, err := b.ringhook(ctx, "waits", filepath.Join(b.folder, fmt.Sprint("waits-", round)), lines)
		if err != nil {
			return err
		}
		each, p99, err = b.wait(ctx, ours, "TIMEOUT", rate)
		if err = errors.Join(err, b.end(ours)); err != nil {
			return err
		}
		kib, late = append(kib, each), append(late, p99)
		note("round %d: null %.1f KiB, %.1f ms late; ringhook %.1f KiB, %.1f ms late", round+1, nullKiB[round], nullLate[round], each, p99)
	}
	b.add(result{What: "resident memory of a session that waits for a CRM", AtOnce: fmt.Sprint(b.n),
		Baseline: middle(nullKiB), Ringhook: middle(kib), Unit: "KiB", Figure: middle(kib), Is: "KiB", AtMost: 12})
	b.add(result{What: "p99 of how long past its budget it is answered", AtOnce: fmt.Sprint(b.n),
		Baseline: middle(nullLate), Ringhook: middle(late), Unit: "ms", Figure: middle(late), Is: "ms", AtMost: 20})
	return b.report()
}

// wait opens sessions at a rate, all of which wait, and returns the memory of each, in
// KiB, and the p99 of how late they are answered, in ms.
func (b *bench) wait(ctx context.Context, s *server, status string, rate float64) (kib, late float64, err error) {
	before, _, err := s.memory()
	if err != nil {
		return 0, 0, err
	}
	// Half way between the last session that begins and the first that ends.
	during := make(chan float64, 1)
	sample := time.AfterFunc(waitingBudget*3/4, func() {
		now, _, _ := s.memory() // 0 is checked below
		during <- now
	})
	defer sample.Stop()
	one := *b
	one.each = 0 // all of them, however long it takes
	taken, err := one.load(ctx, asked{lookupPoint.script, lookupPoint.args, status}, []*server{s}, strconv.Itoa(b.n), "-n", strconv.Itoa(b.n),
		"-rate", fmt.Sprint(rate), "-warmup", "0", "-callers", "50", "-timeout", (3 * waitingBudget).String(), "-expect", "")
	if err != nil {
		return 0, 0, err
	}
	now := <-during
	if now == 0 {
		return 0, 0, fmt.Errorf("memory of %s could not be read while the sessions waited", s.name)
	}
	late = taken[0].Latency.P99/1000 - float64(waitingBudget.Milliseconds())
	return (now - before) * 1024 / float64(b.n), late, nil
}

// overload measures ringhook at its limit. A slow CRM makes max_sessions the limit that is
// reached before the processors are busy, so that the load generator is not measured.
func overload(ctx context.Context, b *bench) error {
	const room, answers = 64, 100 * time.Millisecond
	crm, err := b.peer(ctx)
	if err != nil {
		return err
	}
	s, err := b.ringhook(ctx, "limited", filepath.Join(b.folder, "limited"), fmt.Sprintf("fastagi.max_sessions = %d\n", room)+
		crmLines(crm.url("/after/"+answers.String()), "cache = \"1ms\"\nstale = \"1ms\""))
	if err != nil {
		return err
	}
	// With all sessions in use, one that has just ended would still block the next one.
	taken, err := b.load(ctx, lookupPoint, []*server{s}, strconv.Itoa(room/2), manyCallers...)
	if err != nil {
		return err
	}
	reach := 2 * taken[0].PerSecond
	note("%d sessions at once reach %.0f/s", room, reach)
	var half, double, after, refusedP99, refusedMost, recovered, share []float64
	for range b.rounds {
		calm, err := play(ctx, s, "queue-dial", reach/2, b.each, nil)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(calm, func(o one) bool { return o.refused }); i >= 0 {
			return fmt.Errorf("a session was turned away at half of the rate that can be reached, %v after it began", calm[i].from)
		}
		crowd, err := play(ctx, s, "queue-dial", 2*reach, b.each, nil)
		if err != nil {
			return err
		}
		// play has waited for the last session of the overload. This checks that no effect
		// of it remains.
		again, err := play(ctx, s, "queue-dial", reach/2, b.each, nil)
		if err != nil {
			return err
		}
		turned := times(crowd, true)
		if len(turned) == 0 {
			return errors.New("no session was refused at twice the rate that can be reached")
		}
		half, double, after = append(half, at(times(calm, false), .99)), append(double, at(times(crowd, false), .99)), append(after, at(times(again, false), .99))
		refusedP99, refusedMost = append(refusedP99, at(turned, .99)), append(refusedMost, at(turned, 1))
		share = append(share, float64(len(turned))/float64(len(crowd)))
		last := 0.0
		for _, o := range again {
			if o.refused {
				last = float64(o.from.Microseconds()) / 1000
			}
		}
		recovered = append(recovered, last)
	}
	rates := fmt.Sprintf("%.0f/s", 2*reach)
	b.add(result{What: "p99 until a session beyond max_sessions has its FAILURE", AtOnce: rates, Ringhook: middle(refusedP99), Unit: "ms", Figure: middle(refusedP99), Is: "ms", AtMost: 5})
	b.add(result{What: "the longest of them", AtOnce: rates, Ringhook: middle(refusedMost), Unit: "ms", Figure: middle(refusedMost), Is: "ms"})
	b.add(result{What: "share of the sessions that was refused", AtOnce: rates, Baseline: .5, Ringhook: middle(share), Figure: middle(share)})
	b.add(result{What: "p99 of those admitted, beside half of the rate", AtOnce: rates, Baseline: middle(half), Ringhook: middle(double), Unit: "ms", Figure: ratioOfEach(double, half), AtMost: 1.2})
	b.add(result{What: "p99 when the load has fallen, beside before", AtOnce: fmt.Sprintf("%.0f/s", reach/2), Baseline: middle(half), Ringhook: middle(after), Unit: "ms", Figure: ratioOfEach(after, half), AtMost: 1.2})
	b.add(result{What: "time until no session is refused any more", AtOnce: fmt.Sprintf("%.0f/s", reach/2), Ringhook: middle(recovered), Unit: "ms", Figure: middle(recovered), Is: "ms"})
	return b.report()
}

// times returns the sorted times, in ms, of the sessions that were refused, or of the others.
func times(all []one, refused bool) []float64 {
	var took []float64
	for _, o := range all {
		if o.refused == refused {
			took = append(took, float64(o.took.Microseconds())/1000)
		}
	}
	slices.Sort(took)
	return took
}

// at returns a quantile of sorted values.
func at(sorted []float64, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}
