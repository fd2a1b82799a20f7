// Command agiload plays Asterisk's side of FastAGI against a server on the
// loopback interface and reports how many sessions a second it served, how
// long each took, and whether every session got the variables it should have.
//
// It imitates the parts of Asterisk that decide how fast a session can be:
// one TCP connection for each session, the environment sent as one small
// write for each line with Nagle's algorithm left on, one reply write for
// each command, and one command handled for each time the socket polls
// readable (so a server that sends several commands in one batch stalls
// after the first, unless it half-closes its side).
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// config is what one run was asked to do.
type config struct {
	addr        *net.TCPAddr
	script      string
	args        []string
	sessions    int
	duration    time.Duration
	concurrency int
	callers     int
	warmup      int
	timeout     time.Duration
	envWrites   string
	sources     int
	rate        float64
	chanVars    map[string]string
	expect      []expectation
	pid         int
}

// expectation is one variable that every session must see set. A value that
// holds {callerid} is compared after the session's own caller is put in, so
// it also catches answers that went to the wrong session.
type expectation struct {
	name     string
	value    string
	hasValue bool
}

// list is a flag that may be given several times.
type list []string

// String implements flag.Value.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// counts is what a set of sessions added up to.
type counts struct {
	ok        int
	resets    int
	errors    map[string]int
	replies   map[string]int
	variables map[string]*variable
	lat       []int64
}

type variable struct {
	Sessions int    `json:"sessions"`
	Sample   string `json:"sample"`
}

func newCounts() *counts {
	return &counts{errors: map[string]int{}, replies: map[string]int{}, variables: map[string]*variable{}}
}

func (c *counts) add(o *counts) {
	c.ok += o.ok
	c.resets += o.resets
	c.lat = append(c.lat, o.lat...)
	for k, v := range o.errors {
		c.errors[k] += v
	}
	for k, v := range o.replies {
		c.replies[k] += v
	}
	for k, v := range o.variables {
		if have := c.variables[k]; have != nil {
			have.Sessions += v.Sessions
		} else {
			c.variables[k] = v
		}
	}
}

type latency struct {
	Min  float64 `json:"min"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

type serverUse struct {
	PID             int     `json:"pid"`
	CPUPerSession   float64 `json:"cpu_us_per_session"`
	OtherCPU        float64 `json:"other_cpu"` // share of the machine used by neither side
	RSSBeforeKB     int64   `json:"rss_before_kb"`
	RSSAfterKB      int64   `json:"rss_after_kb"`
	PrivateBeforeKB int64   `json:"pss_before_kb"`
	PrivateAfterKB  int64   `json:"pss_after_kb"`
	Processes       int     `json:"processes"`
}

type report struct {
	Target      string               `json:"target"`
	Script      string               `json:"script"`
	EnvWrites   string               `json:"env_writes"`
	Concurrency int                  `json:"concurrency"`
	Rate        float64              `json:"rate,omitempty"`
	Sessions    int                  `json:"sessions"`
	OK          int                  `json:"ok"`
	Failed      int                  `json:"failed"`
	Errors      map[string]int       `json:"errors"`
	Resets      int                  `json:"resets"`
	Seconds     float64              `json:"seconds"`
	PerSecond   float64              `json:"sessions_per_s"`
	LatencyUS   latency              `json:"latency_us"`
	Replies     map[string]int       `json:"replies"`
	Variables   map[string]*variable `json:"variables"`
	ClientCPU   float64              `json:"client_cpu_us_per_session"`
	Server      *serverUse           `json:"server,omitempty"`
}

func main() {
	var (
		addr        = flag.String("addr", "127.0.0.1:4573", "FastAGI server; loopback addresses only")
		script      = flag.String("script", "queue-dial?queue=500", "script path, the part after agi://host/")
		sessions    = flag.Int("n", 10000, "sessions to measure")
		duration    = flag.Duration("d", 0, "measure for this long instead of -n sessions")
		concurrency = flag.String("c", "16", "sessions open at once; with -compare a list: 1,16,128")
		callers     = flag.Int("callers", 1000, "distinct caller numbers, used in turn")
		warmup      = flag.Int("warmup", 200, "sessions run before the measured ones")
		timeout     = flag.Duration("timeout", 10*time.Second, "longest a session may take")
		envWrites   = flag.String("env-writes", "line", "how the environment is sent: line (one write a line, as Asterisk), once, or split (two writes, cut inside a line)")
		expect      = flag.String("expect", "CALLERID(name),QUEUE_PRIO,call_info", "variables every session must see set: NAME or NAME=VALUE, separated by commas; {callerid} in a value stands for the session's caller")
		sources     = flag.Int("sources", 0, "loopback source addresses to spread sessions over; 0 lets the kernel choose, as Asterisk does")
		rate        = flag.Float64("rate", 0, "start this many sessions a second whatever the server does (at most -c at once; what then has to wait counts as latency); 0 starts the next when one ends")
		pid         = flag.Int("pid", 0, "process id of the server, to report its CPU time and memory")
		compare     = flag.String("compare", "", "measure several servers in turn, round after round: NAME=ADDR@PID,NAME=ADDR@PID,... (the first is what the others are compared with)")
		rounds      = flag.Int("rounds", 3, "with -compare: rounds, of which the median counts")
		idle        = flag.Int("idle", 0, "instead of the load run: hold this many sessions open while the server is silent and report its memory for each (needs -pid)")
		settle      = flag.Duration("settle", 3*time.Second, "with -idle: how long to wait before reading memory")
		jsonOut     = flag.Bool("json", false, "report as JSON")
		args, chans list
	)
	flag.Var(&args, "arg", "an AGI argument (agi_arg_N); {uniqueid} in it stands for the session's channel; may be repeated")
	flag.Var(&chans, "chanvar", "NAME=VALUE that GET VARIABLE finds on the channel; may be repeated")
	flag.Parse()

	if flag.NArg() > 0 {
		fail("unexpected argument %q", flag.Arg(0))
	}
	target := loopback(*addr)
	levels := numbers(*concurrency)
	if len(levels) > 1 && *compare == "" {
		fail("-c takes several numbers only with -compare")
	}
	switch *envWrites {
	case "line", "once", "split":
	default:
		fail("-env-writes must be line, once or split")
	}
	if *sessions < 1 || *callers < 1 || *rounds < 1 || *warmup < 0 || *sources < 0 || *sources > 60000 {
		fail("counts must be positive")
	}
	cfg := &config{
		addr: target, script: *script, args: args, sessions: *sessions, duration: *duration, concurrency: levels[0],
		callers: *callers, warmup: *warmup, timeout: *timeout, envWrites: *envWrites,
		sources: *sources, rate: *rate, pid: *pid, chanVars: variables(chans), expect: expectations(*expect),
	}

	if *idle > 0 {
		if *pid == 0 {
			fail("-idle needs -pid")
		}
		os.Exit(runIdle(cfg, *idle, *settle, *jsonOut))
	}

	if *compare != "" {
		os.Exit(runCompare(cfg, *compare, levels, *rounds, *jsonOut))
	}

	r := runLoad(cfg)
	if *jsonOut {
		enc := json.NewEncoder(os.Stdout)
		enc.SetEscapeHTML(false)
		enc.Encode(r)
	} else {
		r.print()
	}
	if r.Failed > 0 {
		os.Exit(1)
	}
}

// numbers reads the list of -c.
func numbers(list string) (levels []int) {
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			fail("-c must be a number, or with -compare several: %q", list)
		}
		levels = append(levels, n)
	}
	return levels
}

// variables reads the values of -chanvar.
func variables(list []string) map[string]string {
	values := map[string]string{}
	for _, c := range list {
		name, value, _ := strings.Cut(c, "=")
		values[name] = value
	}
	return values
}

// expectations reads the list of -expect.
func expectations(list string) (all []expectation) {
	for _, e := range strings.Split(list, ",") {
		if e = strings.TrimSpace(e); e == "" {
			continue
		}
		name, value, has := strings.Cut(e, "=")
		all = append(all, expectation{name, value, has})
	}
	return all
}

// loopback resolves an address and refuses one that is not on this machine.
func loopback(addr string) *net.TCPAddr {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		fail("%v", err)
	}
	if a.IP == nil || !a.IP.IsLoopback() {
		fail("%s is not a loopback address; agiload only ever talks to this machine", addr)
	}
	return a
}

func fail(format string, a ...any) {
	fmt.Fprintf(os.Stderr, "agiload: "+format+"\n", a...)
	os.Exit(2)
}

// runLoad warms the server up and then measures.
func runLoad(cfg *config) *report {
	workers := make([]*worker, cfg.concurrency)
	for i := range workers {
		workers[i] = newWorker(cfg)
	}
	if cfg.warmup > 0 {
		phase(cfg, workers, 0, cfg.warmup, 0, 0)
	}
	for _, w := range workers {
		w.counts = newCounts()
	}

	var before procUse
	if cfg.pid > 0 {
		var err error
		if before, err = readProcTree(cfg.pid); err != nil {
			fail("reading process %d: %v", cfg.pid, err)
		}
	}
	cpu0 := selfCPU()
	start := time.Now()
	done := phase(cfg, workers, cfg.warmup, cfg.sessions, cfg.duration, cfg.rate)
	took := time.Since(start)
	cpu1 := selfCPU()

	total := newCounts()
	for _, w := range workers {
		total.add(w.counts)
	}
	r := &report{
		Target: cfg.addr.String(), Script: cfg.script, EnvWrites: cfg.envWrites,
		Concurrency: cfg.concurrency, Rate: cfg.rate,
		Sessions: done, OK: total.ok, Failed: done - total.ok,
		Errors: total.errors, Resets: total.resets, Replies: total.replies, Variables: total.variables,
		Seconds: took.Seconds(), PerSecond: float64(total.ok) / took.Seconds(),
		LatencyUS: summarize(total.lat),
		ClientCPU: float64((cpu1 - cpu0).Microseconds()) / float64(done),
	}
	if cfg.pid > 0 {
		after, err := readProcTree(cfg.pid)
		if err != nil {
			fail("reading process %d: %v", cfg.pid, err)
		}
		r.Server = &serverUse{
			PID:           cfg.pid,
			CPUPerSession: float64((after.cpu - before.cpu).Microseconds()) / float64(done),
			OtherCPU:      float64(after.otherCPU-before.otherCPU) / float64(took) / float64(runtime.NumCPU()),
			RSSBeforeKB:   before.rssKB, RSSAfterKB: after.rssKB,
			PrivateBeforeKB: before.pssKB, PrivateAfterKB: after.pssKB,
			Processes: after.processes,
		}
	}
	return r
}

// phase runs n sessions over the workers, numbered from first on, or as many
// as can be started within a duration. It returns how many it ran.
func phase(cfg *config, workers []*worker, first, n int, d time.Duration, rate float64) int {
	var next, done atomic.Int64
	begin := time.Now()
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := int(next.Add(1)) - 1
				if d == 0 && i >= n {
					return
				}
				from := time.Now()
				if rate > 0 {
					// Late because every worker was busy counts as latency;
					// a timer that rang late does not.
					from = begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))
				}
				if d > 0 && from.Sub(begin) >= d {
					return
				}
				if wait := time.Until(from); wait > 0 {
					time.Sleep(wait)
					from = time.Now()
				}
				w.session(first+i, from)
				done.Add(1)
			}
		}()
	}
	wg.Wait()
	return int(done.Load())
}

func summarize(lat []int64) latency {
	if len(lat) == 0 {
		return latency{}
	}
	sort.Slice(lat, func(i, j int) bool { return lat[i] < lat[j] })
	at := func(p float64) float64 {
		i := int(p * float64(len(lat)))
		if i >= len(lat) {
			i = len(lat) - 1
		}
		return float64(lat[i]) / 1e3
	}
	var sum float64
	for _, v := range lat {
		sum += float64(v)
	}
	return latency{
		Min: float64(lat[0]) / 1e3, P50: at(.5), P90: at(.9), P99: at(.99), P999: at(.999),
		Max: float64(lat[len(lat)-1]) / 1e3, Mean: sum / float64(len(lat)) / 1e3,
	}
}

func (r *report) print() {
	fmt.Printf("%s  %s  %d at once, environment by %s\n", r.Target, r.Script, r.Concurrency, r.EnvWrites)
	fmt.Printf("sessions   %d ok, %d failed in %.2f s: %.0f a second\n", r.OK, r.Failed, r.Seconds, r.PerSecond)
	l := r.LatencyUS
	fmt.Printf("latency    min %.0f  p50 %.0f  p90 %.0f  p99 %.0f  p99.9 %.0f  max %.0f us\n", l.Min, l.P50, l.P90, l.P99, l.P999, l.Max)
	if len(r.Errors) > 0 {
		fmt.Printf("errors     %s\n", byCount(r.Errors))
	}
	if r.Resets > 0 {
		fmt.Printf("resets     %d sessions ended by a reset\n", r.Resets)
	}
	fmt.Printf("replies    %s\n", byCount(r.Replies))
	names := make([]string, 0, len(r.Variables))
	for n := range r.Variables {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Printf("variable   %s on %d sessions, e.g. %q\n", n, r.Variables[n].Sessions, r.Variables[n].Sample)
	}
	fmt.Printf("client     %.0f us CPU a session\n", r.ClientCPU)
	if s := r.Server; s != nil {
		fmt.Printf("server     %.0f us CPU a session, RSS %d -> %d KB, %d process(es); others used %.1f%% of the machine\n",
			s.CPUPerSession, s.RSSBeforeKB, s.RSSAfterKB, s.Processes, 100*s.OtherCPU)
	}
}

func byCount(m map[string]int) string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = fmt.Sprintf("%s: %d", k, m[k])
	}
	return strings.Join(out, ", ")
}
