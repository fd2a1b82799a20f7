package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// measurement is the part of agiload's report on one server in one round that is used.
type measurement struct {
	Name        string         `json:"name"`
	Concurrency int            `json:"concurrency"`
	OK          int            `json:"ok"`
	Failed      int            `json:"failed"`
	Errors      map[string]int `json:"errors"`
	PerSecond   float64        `json:"sessions_per_s"`
	Latency     struct {
		P50 float64 `json:"p50"`
		P99 float64 `json:"p99"`
		Max float64 `json:"max"`
	} `json:"latency_us"`
	Server struct {
		CPU   float64 `json:"cpu_us_per_session"`
		Other float64 `json:"other_cpu"`
	} `json:"server"`
	Variables map[string]struct {
		Sessions int    `json:"sessions"`
		Sample   string `json:"sample"`
	} `json:"variables"`
}

// asked is how agiload plays a point, so that nothing is read from the channel.
type asked struct {
	script string
	args   []string
	status string // RINGHOOK_STATUS of every session, not checked if it is empty
}

var (
	lookupPoint = asked{"queue-dial", []string{"queue_id=500", "linkedid={uniqueid}", "server=pbx", "visit=", "ring=", "recording_file=", "queue_status="}, "FOUND"}
	eventPoint  = asked{"agent-dial", []string{"agent_phone=101", "linkedid={uniqueid}", "server=pbx", "visit=", "ring="}, "FOUND"}
)

// load lets agiload play a point against servers in turn, and returns the measurement of
// each, in their order. A session that fails, or has another RINGHOOK_STATUS than
// expected, is an error.
func (b *bench) load(ctx context.Context, a asked, servers []*server, level string, more ...string) ([]measurement, error) {
	var compare []string
	for _, s := range servers {
		compare = append(compare, fmt.Sprintf("%s=%s@%d", s.name, s.addr, s.cmd.Process.Pid))
	}
	args := []string{
		"-compare", strings.Join(compare, ","), "-rounds", "1", "-script", a.script, "-c", level,
		"-d", b.each.String(), "-sources", "64", "-json",
	}
	for _, arg := range a.args {
		args = append(args, "-arg", arg)
	}
	load := exec.CommandContext(ctx, filepath.Join(b.folder, "agiload"), append(args, more...)...)
	load.Stderr = os.Stderr
	out, err := load.Output()
	taken, bad := readReport(out)
	for _, m := range taken {
		if m.Failed > 0 {
			return nil, fmt.Errorf("%d sessions failed at %s: %v", m.Failed, m.Name, m.Errors)
		}
		if st := m.Variables["RINGHOOK_STATUS"]; a.status != "" && st.Sessions > 0 && (st.Sample != a.status || st.Sessions != m.OK) {
			return nil, fmt.Errorf("RINGHOOK_STATUS is %q on %d of %d sessions, expected %s", st.Sample, st.Sessions, m.OK, a.status)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("agiload: %w", err)
	}
	if bad == nil && len(taken) != len(servers) {
		bad = fmt.Errorf("agiload reports on %d servers of %d", len(taken), len(servers))
	}
	return taken, bad
}

// readReport parses agiload's report, a line per server.
func readReport(report []byte) ([]measurement, error) {
	var taken []measurement
	for line := range bytes.Lines(report) {
		var m measurement
		if err := json.Unmarshal(line, &m); err != nil {
			return nil, fmt.Errorf("read agiload's report: %w", err)
		}
		taken = append(taken, m)
	}
	return taken, nil
}

// loads holds the measurements of several servers at one level.
type loads struct {
	level string
	runs  [][]measurement // of each server
}

// compare plays a point against servers in turn, at each level, round after round, and
// calls after following each of them.
func (b *bench) compare(ctx context.Context, a asked, servers []*server, levels []string, after func() error, more ...string) ([]loads, error) {
	all := make([]loads, len(levels))
	for i, level := range levels {
		all[i] = loads{level: level, runs: make([][]measurement, len(servers))}
	}
	for range b.rounds {
		for i, level := range levels {
			taken, err := b.load(ctx, a, servers, level, more...)
			if err != nil {
				return nil, err
			}
			for s := range servers {
				all[i].runs[s] = append(all[i].runs[s], taken[s])
			}
			if after == nil {
				continue
			}
			if err := after(); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// warm returns agiload's flag for the number of sessions before the measurement.
func warm(n int) []string { return []string{"-warmup", strconv.Itoa(n)} }

func perSecond(m measurement) float64 { return m.PerSecond }
func p50(m measurement) float64       { return m.Latency.P50 }
func p99(m measurement) float64       { return m.Latency.P99 }
func cpu(m measurement) float64       { return m.Server.CPU }
