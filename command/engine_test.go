package command

import (
	"strings"
	"testing"
	"time"

	"ringhook/pgstore"
	"ringhook/pgstore/node"
	"ringhook/store/browse"
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
			"served by: no ringhook", "synchronous_commit: on (set by ringhook), synchronous_standby_names: empty", "a commit is on one machine",
		}, "fault:"},
		{"a standby", func(r *pgstore.Report) {
			r.Standbys, r.Nodes = "ANY 1 (db2)", []node.Node{{Name: "pbx1", Live: true}, {Name: "pbx2", Live: true}, {Name: "pbx3"}}
			r.Replicas = []pgstore.Replica{{Name: "db2", Address: "192.0.2.12", State: "streaming", Sync: "quorum"}}
		}, []string{"synchronous_standby_names: ANY 1 (db2)", "replica db2 at 192.0.2.12: streaming, quorum", "a commit is on two machines", "served by: pbx1, pbx2\n"}, "on one machine"},
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

// TestPrintStatus checks what engine status says about nodes and hooks.
func TestPrintStatus(t *testing.T) {
	var out strings.Builder
	nodes := []node.Node{
		{Name: "old", Version: "1.0", Seen: 90 * time.Second},
		{Name: "pbx1", Address: "192.0.2.10", Version: "1.1", Seen: 300 * time.Millisecond, Live: true, Config: map[string]string{"hook": "1", "queue": "2"}},
		{Name: "pbx2", Version: "1.1", Live: true, Config: map[string]string{"hook": "1", "queue": "3"}, Ahead: -2 * time.Millisecond},
		{Name: "pbx3", Version: "1.1", Live: true, Config: map[string]string{"hook": "1", "queue": "2"}},
	}
	leases := []node.Granted{{Name: node.Upkeep, Node: "pbx1"}, {Name: "crm", Node: "pbx2"}}
	counts := []browse.HookCounts{{Hook: "crm", Pending: 3, Dead: 1}, {Hook: "gone"}}
	if err := printNodes(&out, nodes); err != nil {
		t.Fatal(err)
	}
	if err := printLeases(&out, leases, counts); err != nil {
		t.Fatal(err)
	}
	want := `NODE  ADDRESS     VERSION  SEEN       CLOCK           CONFIGURATION
old   a socket    1.0      1m30s ago  0.00 ms ahead   -
pbx1  192.0.2.10  1.1      now        0.00 ms ahead   same
pbx2  a socket    1.1      now        2.00 ms behind  differs from pbx1: queue
pbx3  a socket    1.1      now        0.00 ms ahead   same

HOOK  PENDING  DEAD  DELIVERED BY
crm   3        1     pbx2
gone  0        0     no node

upkeep of the tables:  pbx1
end of idle calls:     no node
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}
