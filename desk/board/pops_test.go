package board

import (
	"fmt"
	"testing"

	"ringhook/dialplan"
	"ringhook/pops"
)

// TestDecisionsAmongMany checks that the decisions that are looked for are found behind any number of others.
func TestDecisionsAmongMany(t *testing.T) {
	b, f, _ := newBoard(t, 0)
	b.Configure(Settings{Agents: []dialplan.Agent{{ID: "7", Phone: "101"}, {ID: "8", Phone: "102"}}})
	record := func(call, agent, status string, decision bool) *dialplan.PointTrace {
		p := &dialplan.PointTrace{Point: pops.TracePoint, LinkedID: call, Status: status, Set: []dialplan.TracedValue{{Name: "agent", Value: agent}, {Name: "rule", Value: "crm"}}}
		if decision {
			p.Set = append(p.Set, dialplan.TracedValue{Name: "event", Value: "agent-dial"})
		}
		return p
	}
	for name, view := range map[string]popsView{"of an agent": {Agent: "7"}, "what did not pop": {Failed: true}, "all": {}} {
		list := b.newDecisions(&f.Viewer, &view)
		list.add(record("1.1", "7", string(pops.Busy), true))
		list.add(record("1.2", "7", string(pops.Popped), true))
		list.add(record("1.2", "7", string(pops.NoReceipt), false))
		for i := range 10 * maxDecisions {
			call := fmt.Sprintf("2.%d", i)
			list.add(record(call, "8", string(pops.Popped), true))
			list.add(record(call, "8", string(pops.Shown), false))
		}
		rows := list.rows()
		if name == "all" {
			if len(rows) != maxDecisions || !view.More || rows[0].Call != fmt.Sprintf("2.%d", 10*maxDecisions-1) {
				t.Errorf("all: %d rows, more: %t", len(rows), view.More)
			}
			continue
		}
		if len(rows) != 2 || rows[0].Call != "1.2" || len(rows[0].Fates) != 1 || rows[1].Call != "1.1" || view.More {
			t.Errorf("%s: %+v, more: %t", name, rows, view.More)
		}
	}
}
