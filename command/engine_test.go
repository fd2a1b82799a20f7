package command

import (
	"strings"
	"testing"
	"time"

	"ringhook/pgstore"
)

// TestPrintEngine checks what engine check says about what a commit promises.
func TestPrintEngine(t *testing.T) {
	good := pgstore.Report{Server: "15.18", RoundTrip: 300 * time.Microsecond, Commit: 2 * time.Millisecond, Schema: 2, Synchronous: "on"}
	for _, c := range []struct {
		name   string
		change func(r *pgstore.Report)
		want   []string
		not    string
	}{
		{"one machine", func(*pgstore.Report) {}, []string{
			"PostgreSQL 15.18, database calls on db1:5432", "round trip: 0.30 ms", "commit: 2.00 ms", "clock: this machine is 0.00 ms ahead", "schema: version 2",
			"served: no ringhook has", "synchronous_commit: on (set by ringhook), synchronous_standby_names: empty", "a commit is on one machine",
		}, "fault:"},
		{"a standby", func(r *pgstore.Report) {
			r.Standbys, r.Served = "ANY 1 (db2)", true
			r.Replicas = []pgstore.Replica{{Name: "db2", Address: "192.0.2.12", State: "streaming", Sync: "quorum"}}
		}, []string{"synchronous_standby_names: ANY 1 (db2)", "replica db2 at 192.0.2.12: streaming, quorum", "a commit is on two machines", "served: a ringhook has"}, "on one machine"},
		{"an asynchronous standby", func(r *pgstore.Report) {
			r.Replicas = []pgstore.Replica{{Name: "db2", State: "streaming", Sync: "async"}}
		}, []string{"replica db2 at a socket: streaming, async", "a commit is on one machine"}, "two machines"},
		{"faults", func(r *pgstore.Report) {
			r.Schema, r.Ahead, r.Commit = 0, -90*time.Second, 0
			r.Doubts, r.Faults = []string{"the clocks differ"}, []string{"no schema"}
		}, []string{"schema: none: run ringhook engine init", "this machine is 90000.00 ms behind", "warning: the clocks differ", "fault: no schema"}, "commit: "},
	} {
		r := good
		c.change(&r)
		var out strings.Builder
		printEngine(&out, "database calls on db1:5432", &r)
		for _, line := range c.want {
			if !strings.Contains(out.String(), line) {
				t.Errorf("%s: no %q in\n%s", c.name, line, &out)
			}
		}
		if c.not != "" && strings.Contains(out.String(), "\n"+c.not) || c.name == "one machine" && strings.Contains(out.String(), "two machines") {
			t.Errorf("%s: %q in\n%s", c.name, c.not, &out)
		}
	}
}
