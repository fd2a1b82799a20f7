// Command bench measures the speed and cost of ringhook, each compared with a baseline of
// the same run: a server that only speaks the protocol, a bare HTTP client, a ringhook
// with less data, or another ringhook program. All are separate processes, nothing is
// pinned, and they are measured in turn, round after round. Compare only numbers of one
// run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "peer" {
		fmt.Fprintln(os.Stderr, "peer:", servePeer())
		os.Exit(1)
	}
	runtime.LockOSThread() // Pdeathsig depends on the thread that started a server
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// plan holds the options of a measurement.
type plan struct {
	args    []string // of the command line
	only    *regexp.Regexp
	levels  string
	each    time.Duration
	rounds  int
	n       int
	minutes int
	minute  time.Duration
	asJSON  bool
	against string // another ringhook program, empty for none
}

// measures are listed in this order by -help.
var measures = []struct {
	name, says string
	n          int // default of -n
	run        func(context.Context, *bench) error
}{
	{"sessions", "sessions/s, latency and processor time of six works, beside null and zaf/agi", 0, sessions},
	{"lookup", "a lookup over HTTP that is not cached, beside a bare request to the same CRM", 0, uncached},
	{"deliveries", "deliveries/s of -n pending, beside a bare client that posts the same", 50_000, deliveries},
	{"cache", "a cached lookup among -n numbers, beside one among 10,000", 10_000_000, bigCache},
	{"outbox", "sessions/s, start and memory with -n pending for a dead hook, beside none", 1_000_000, fullOutbox},
	{"retention", "sessions/s while a day's -n deliveries expire, beside a store that has none", 200_000, retention},
	{"waiting", "-n sessions at once that wait for a slow CRM: memory, and how late they are answered", 10_000, waiting},
	{"overload", "twice the rate that max_sessions can reach: who is turned away, and how fast", 0, overload},
	{"blackhole", "delivery beside a hook with -n pending whose receiver never answers, and alone", 100_000, blackHole},
	{"ami", "a cached lookup with AMI connected to a busy Asterisk, beside one without AMI", 0, besideManager},
	{"commands", "commands beside 50 calls a second, and while Asterisk stands still or is gone", 0, commands},
	{"desk", "a cached lookup beside a desk with -n tabs and 50 calls a second, beside one without; pops and receipts", 5000, besideDesk},
	{"soak", "-minutes at half of the reachable rate, every tenth delivery failing", 0, soak},
}

func run(ctx context.Context, args []string) (err error) {
	p := plan{args: args}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&p.levels, "c", "", "sessions open at once, separated by commas (1,16,128 where the measure says nothing else)")
	flags.DurationVar(&p.each, "d", 2*time.Second, "time for each measurement")
	flags.IntVar(&p.rounds, "rounds", 5, "rounds, of which the median counts")
	flags.IntVar(&p.n, "n", 0, "how many: see the measure")
	flags.IntVar(&p.minutes, "minutes", 30, "length of the soak")
	flags.DurationVar(&p.minute, "minute", time.Minute, "length of each of the soak's minutes, to try it out")
	flags.BoolVar(&p.asJSON, "json", false, "every figure as JSON, an object a line, in place of the tables")
	name := flags.String("measure", "sessions", "what to measure, see below")
	only := flags.String("only", "", "regular expression: of sessions, these works alone")
	flags.StringVar(&p.against, "against", "", "with sessions: another ringhook program to run in the same rounds, instead of null and zaf/agi")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "Usage: test/bench/run [flags]")
		flags.PrintDefaults()
		fmt.Fprintln(flags.Output(), "Measures:")
		for _, m := range measures {
			fmt.Fprintf(flags.Output(), "  %-11s %s\n", m.name, m.says)
		}
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if p.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	if p.rounds < 1 || p.n < 0 || p.each <= 0 || p.minute <= 0 || flags.NArg() > 0 {
		return errors.New("rounds, times and numbers must be positive, and there are no other arguments: see -help")
	}
	if p.against != "" && *name != "sessions" {
		return errors.New("-against works with the measure sessions only")
	}
	for _, m := range measures {
		if m.name == *name {
			if p.n == 0 {
				p.n = m.n
			}
			return measure(ctx, p, m.run)
		}
	}
	return fmt.Errorf("there is no measure %q: see -help", *name)
}

// measure builds the programs, runs a measure, and removes everything.
func measure(ctx context.Context, p plan, run func(context.Context, *bench) error) (err error) {
	b := &bench{plan: p}
	if b.folder, err = os.MkdirTemp("", "ringhook-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.folder)) }()
	if err := b.build(ctx); err != nil {
		return err
	}
	if b.commit, err = commitTime(b.folder); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stopAll()) }()
	b.busy = readBusy()
	if err := run(ctx, b); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}

// levelsOr returns the levels of -c, else the usual ones.
func (p *plan) levelsOr(usual string) []string {
	if p.levels != "" {
		usual = p.levels
	}
	return strings.Split(usual, ",")
}
