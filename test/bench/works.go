package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// work is one kind of session that is repeated.
type work struct {
	name    string
	server  string   // one of the configurations below
	script  string   // the point
	args    []string // arguments of the point
	read    bool     // true if a value must be read from the channel
	expect  string   // variables that every session must see set, of every server
	status  string   // RINGHOOK_STATUS, of ringhook
	target  map[string]float64
	cpu     float64  // maximum processor time as a multiple of null's, 0 for any
	callers []string // flags of agiload, with more callers than usual
}

// The configurations that are measured, beside this file.
const (
	withoutHooks = "lookups"
	withHooks    = "hooks"
	notCached    = "uncached" // with -against only
)

const constants = "CALLERID(name),QUEUE_PRIO,call_info"

// The targets are sessions/s as a share of null's, by the number of concurrent sessions.
var works = []work{
	{
		name: "a point with neither lookup nor hook", server: withoutHooks, status: "OK",
		script: "call-dial", args: []string{"linkedid={uniqueid}", "server=pbx"},
		target: map[string]float64{"1": .92, "16": .92, "128": .92}, cpu: 1.4,
	},
	{
		name: "cached lookup, the arguments carry all", server: withoutHooks, status: "FOUND", expect: constants,
		script: "queue-dial", args: []string{"queue_id=500", "linkedid={uniqueid}", "server=pbx", "visit=", "ring=", "recording_file=", "queue_status="},
		target: map[string]float64{"1": .85, "16": .85, "128": .85}, cpu: 1.6,
	},
	{
		name: "cached lookup, one read from the channel", server: withoutHooks, status: "FOUND", expect: constants,
		script: "queue-dial", args: []string{"queue_id=500"}, read: true,
		target: map[string]float64{"1": .75, "16": .75, "128": .75}, cpu: 2,
	},
	{
		name: "cached lookup, hooks for other events", server: withHooks, status: "FOUND", expect: constants,
		script: "queue-dial", args: []string{"queue_id=500", "linkedid={uniqueid}", "server=pbx", "visit=", "ring=", "recording_file=", "queue_status="},
	},
	{
		name: "cached lookup and one hook", server: withHooks, status: "FOUND", expect: constants,
		script: "agent-dial", args: []string{"agent_phone=101", "linkedid={uniqueid}", "server=pbx", "visit=", "ring="},
		target: map[string]float64{"1": oneCommit, "16": .65, "128": .65}, cpu: 4,
	},
	{
		name: "hangup with three hooks", server: withHooks, status: "OK",
		script: "call-hangup",
		args: []string{
			"linkedid={uniqueid}", "server=pbx", "visit=", "ring=", "status=ANSWER", "answered_time=31", "abandoned=", "connected=", "queue_status=", "wait_time=", "queue_position=",
			"agent_phone=", "billsec=31", "recording_file=", "cause=16",
		},
		target: map[string]float64{"128": .6}, cpu: 5.5,
	},
}

// oneCommit stands for null's time and one commit of this disk and 100 us.
const oneCommit = -1

// sessions measures every work on all servers in turn, round after round.
func sessions(ctx context.Context, b *bench) error {
	if b.against != "" {
		return against(ctx, b)
	}
	servers, err := b.startCompared(ctx)
	if err != nil {
		return err
	}
	t := newTable()
	for _, w := range works {
		if !b.only.MatchString(w.name) {
			continue
		}
		ours := servers[w.server]
		compared := []*server{servers["null"], servers["zaf/agi"], ours}
		settle := func() error {
			return b.settled(ctx, w, ours)
		}
		fmt.Fprintln(os.Stderr, w.name)
		all, err := b.compare(ctx, asked{w.script, w.args, w.status}, compared, b.levelsOr("1,16,128"), settle, "-warmup", "1000", "-expect", w.expect)
		if err != nil {
			return fmt.Errorf("measure %s: %w", w.name, err)
		}
		for _, l := range all {
			t.lines = append(t.lines, line{work: w, loads: l})
		}
	}
	about := b.about()
	if b.asJSON {
		enc := json.NewEncoder(os.Stdout)
		if err := enc.Encode(about); err != nil {
			return err
		}
		return t.printJSON(enc)
	}
	fmt.Printf("%s %d rounds of %v; processes beside the measured server and its load took %.0f %% of the processors on average. "+
		"Times are microseconds; \"of null\" is processor time. No session failed.\n\n", about, b.rounds, b.each, 100*t.other())
	t.print(os.Stdout, b.commit)
	return nil
}

// startCompared starts the servers that sessions compares, and returns them by name.
func (b *bench) startCompared(ctx context.Context) (map[string]*server, error) {
	crm, err := b.peer(ctx)
	if err != nil {
		return nil, err
	}
	null, err := b.null(ctx)
	if err != nil {
		return nil, err
	}
	zaf, err := b.start(ctx, "zaf/agi", otherReady, exec.Command(filepath.Join(b.folder, "zafserver"), "-addr", "127.0.0.1:0"))
	if err != nil {
		return nil, err
	}
	servers := map[string]*server{"null": null, "zaf/agi": zaf}
	for _, name := range []string{withoutHooks, withHooks} {
		if servers[name], err = b.compared(ctx, name, filepath.Join(b.folder, "ringhook"), name, b.folder, crm); err != nil {
			return nil, err
		}
	}
	return servers, nil
}

// compared starts a ringhook program with one of the configurations beside this file, and with its store in a folder.
func (b *bench) compared(ctx context.Context, name, program, configuration, folder string, crm *server) (*server, error) {
	cmd := exec.Command(program, "serve", "-c", "test/bench/"+configuration+".toml")
	cmd.Env = append(os.Environ(), "BENCH_STORE="+folder, "BENCH_CRM="+crm.url(""))
	return b.start(ctx, name, ringhookReady, cmd)
}

// settled waits until a ringhook has delivered every event of a work.
func (b *bench) settled(ctx context.Context, w work, s *server) error {
	if w.server != withHooks {
		return nil
	}
	for _, hook := range []string{"journal", "wallboard", "archive"} {
		if err := s.delivered(ctx, hook); err != nil {
			return err
		}
	}
	return nil
}
