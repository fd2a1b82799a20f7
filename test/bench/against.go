package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// missedLookup is a lookup whose answer is never in the cache. It is compared with
// -against only; the measure "lookup" holds it against a bare request.
var missedLookup = work{
	name: "lookup not cached", server: notCached, status: "FOUND", expect: constants,
	script: lookupPoint.script, args: lookupPoint.args, callers: manyCallers,
}

// pair is what two programs did in one work at one level, round by round.
type pair struct {
	Work   string    `json:"work"`
	AtOnce string    `json:"at_once"`
	Rates  [2]series `json:"sessions_per_s"`     // of the other program, and of this tree
	CPU    [2]series `json:"cpu_us_per_session"` // with the deliveries of these sessions
}

// series holds one value for each round.
type series []float64

// against plays every work to another ringhook program and to the one of this tree.
// In odd rounds the other one is first, in even rounds this one.
func against(ctx context.Context, b *bench) error {
	crm, err := b.peer(ctx)
	if err != nil {
		return err
	}
	other, err := filepath.Abs(b.against)
	if err != nil {
		return err
	}
	programs := [2]string{other, filepath.Join(b.folder, "ringhook")}
	var pairs []*pair
	for _, w := range append(slices.Clone(works), missedLookup) {
		if !b.only.MatchString(w.name) {
			continue
		}
		note("%s", w.name)
		of, err := b.pairs(ctx, w, programs, crm)
		if err != nil {
			return fmt.Errorf("measure %s: %w", w.name, err)
		}
		pairs = append(pairs, of...)
	}
	if b.asJSON {
		enc := json.NewEncoder(os.Stdout)
		if err := enc.Encode(b.about()); err != nil {
			return err
		}
		for _, p := range pairs {
			if err := enc.Encode(p); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Printf("%s %d rounds of %v. Processor time is in microseconds per session, deliveries included. "+
		"\"+-\" is the 95 %% interval of the median ratio: a smaller difference means nothing. No session failed.\n\n", b.about(), b.rounds, b.each)
	printPairs(os.Stdout, pairs)
	return nil
}

// pairs measures one work at every level. Both programs run for the whole work, so
// that the one that is not measured idles in the same way.
func (b *bench) pairs(ctx context.Context, w work, programs [2]string, crm *server) ([]*pair, error) {
	var servers [2]*server
	var played [2]work
	for i, program := range programs {
		name := []string{"before", "after"}[i]
		var err error
		if servers[i], err = b.compared(ctx, name, program, w.server, filepath.Join(b.folder, name), crm); err != nil {
			return nil, err
		}
		defer b.end(servers[i]) //nolint:errcheck // of an error on the way; the end of a good run is below
		if played[i], err = b.accepted(ctx, w, servers[i]); err != nil {
			return nil, err
		}
	}
	var pairs []*pair
	for _, level := range b.levelsOr("1,16,128") {
		pairs = append(pairs, &pair{Work: w.name, AtOnce: level})
	}
	for round := range b.rounds {
		for _, p := range pairs {
			for n := range servers {
				i := (round + n) % 2
				rate, used, err := b.costOf(ctx, played[i], servers[i], p.AtOnce)
				if err != nil {
					return nil, err
				}
				p.Rates[i], p.CPU[i] = append(p.Rates[i], rate), append(p.CPU[i], used)
			}
		}
	}
	for _, s := range servers {
		if err := b.end(s); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

// unknownArgument matches the log line for an argument that a program does not know.
var unknownArgument = regexp.MustCompile(`unknown argument \\"(\w+)\\"`)

// accepted returns a work without the arguments that a program does not know: an older one
// refuses those that were added since.
func (b *bench) accepted(ctx context.Context, w work, s *server) (work, error) {
	one := *b
	one.each = 0
	for {
		_, err := one.load(ctx, asked{w.script, w.args, w.status}, []*server{s}, "1", append([]string{"-n", "1", "-warmup", "0", "-expect", w.expect}, w.callers...)...)
		if err == nil {
			return w, nil
		}
		text, _ := os.ReadFile(s.said) // without it the error stands
		for _, m := range unknownArgument.FindAllSubmatch(text, -1) {
			at := slices.IndexFunc(w.args, func(arg string) bool { return strings.HasPrefix(arg, string(m[1])+"=") })
			if at >= 0 {
				note("%s does not know the argument %s", s.name, m[1])
				w.args = slices.Delete(slices.Clone(w.args), at, at+1)
				err = nil
			}
		}
		if err != nil {
			return w, err
		}
	}
}

// costOf plays a work to one server, and returns the sessions per second and the
// processor time of a session in microseconds, up to its last delivery.
func (b *bench) costOf(ctx context.Context, w work, s *server, level string) (rate, used float64, err error) {
	const warmup = 1000
	before, err := s.processorTime()
	if err != nil {
		return 0, 0, err
	}
	more := append(warm(warmup), "-expect", w.expect)
	taken, err := b.load(ctx, asked{w.script, w.args, w.status}, []*server{s}, level, append(more, w.callers...)...)
	if err != nil {
		return 0, 0, err
	}
	if err := b.settled(ctx, w, s); err != nil {
		return 0, 0, err
	}
	after, err := s.processorTime()
	if err != nil {
		return 0, 0, err
	}
	return taken[0].PerSecond, float64((after - before).Nanoseconds()) / 1000 / float64(taken[0].OK+warmup), nil
}

// processorTime returns what a process has used since it started. The clock of a
// process counts nanoseconds; the times in /proc count hundredths of a second.
func (s *server) processorTime() (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED in the kernel's posix-timers_types.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^s.cmd.Process.Pid)<<3|scheduled, &t); err != nil {
		return 0, fmt.Errorf("read processor time of %s: %w", s.name, err)
	}
	return time.Duration(t.Nano()), nil
}

func printPairs(out io.Writer, pairs []*pair) {
	fmt.Fprintln(out, "| work | at once | before/s | after/s | ratio | +- | CPU before | CPU after | ratio | +- |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, p := range pairs {
		rate, rateSpread := ratios(p.Rates)
		used, usedSpread := ratios(p.CPU)
		fmt.Fprintf(out, "| %s | %s | %.0f | %.0f | %.3f | %s | %.1f | %.1f | %.3f | %s |\n", p.Work, p.AtOnce,
			middle(slices.Clone(p.Rates[0])), middle(slices.Clone(p.Rates[1])), rate, rateSpread,
			middle(slices.Clone(p.CPU[0])), middle(slices.Clone(p.CPU[1])), used, usedSpread)
	}
}

// ratios returns the median over the rounds of the second value divided by the first,
// and half of the 95 % interval of that median: 1.57 times the interquartile range by the
// root of the number of rounds (McGill, Tukey, Larsen, 1978). Fewer than five rounds have none.
func ratios(of [2]series) (median float64, spread string) {
	each := make([]float64, min(len(of[0]), len(of[1])))
	for i := range each {
		each[i] = of[1][i] / of[0][i]
	}
	median = middle(each) // sorts
	n := len(each)
	if n < 5 {
		return median, ""
	}
	half := (n + 1) / 2
	interquartile := middle(each[n-half:]) - middle(each[:half])
	return median, fmt.Sprintf("%.3f", 1.57*interquartile/math.Sqrt(float64(n)))
}
