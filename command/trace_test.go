package command

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/dialplan"
	"ringhook/dialplan/kept"
	"ringhook/hooks"
	"ringhook/pops"
	"ringhook/store"
)

// TestTraceOfRefusedPop checks that the line of a pop that a hook did not take has the reason.
func TestTraceOfRefusedPop(t *testing.T) {
	tr := &trace{}
	tr.point(&dialplan.PointTrace{
		Point: pops.TracePoint, Status: string(pops.NoReceipt), Why: "paused\x1b", Took: 2 * time.Millisecond,
		Set: []dialplan.TracedValue{{Name: "agent", Value: "7"}, {Name: "rule", Value: "crm"}, {Name: "way", Value: "hook:crm"}},
	})
	if len(tr.lines) != 1 || tr.lines[0].text != "  pop for 7: hook:crm no-receipt after 2.00 ms: paused\\x1b" {
		t.Errorf("%+v", tr.lines)
	}
}

// TestTraceOfTwoCalls checks that the calls of two Asterisks with one linkedid are both shown and listed, each with what is
// its own.
func TestTraceOfTwoCalls(t *testing.T) {
	cfg := store.DefaultConfig()
	cfg.Folder, cfg.MaxSize = filepath.Join(t.TempDir(), "data"), 64<<20
	st, err := store.Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	var uuids []string
	for n, asterisk := range []string{"east", "west"} {
		id := dialplan.Identity{Asterisk: asterisk, LinkedID: "1.1"}
		uuids = append(uuids, id.UUID())
		state, err := json.Marshal(&kept.Call{LinkedID: "1.1", Asterisk: asterisk, Began: time.Now(), Known: map[string]any{"callerid": "caller " + asterisk}})
		if err != nil {
			t.Fatal(err)
		}
		ev := hooks.Event{ID: "msg_" + asterisk, Name: "queue-dial", LinkedID: "1.1", Seq: 1, Time: time.Now(), Params: map[string]any{"call_uuid": id.UUID()}}
		r := dialplan.Record{Call: id.Key(), State: state, Events: []dialplan.Accepted{{Event: ev, Hooks: []hooks.Route{{Hook: fmt.Sprint("crm", n), Key: id.UUID(), Hold: time.Minute}}}}}
		commit, err := st.Journal().Queue(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := commit.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	held, err := heldOf(st.Browse(), "1.1", nil)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := held.print(&out, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Asterisk east, call_uuid " + uuids[0], "Asterisk west, call_uuid " + uuids[1], "caller east", "caller west", "queue-dial  call_uuid=" + uuids[0], "queue-dial  call_uuid=" + uuids[1]} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the trace has no %q:\n%s", want, out.String())
		}
	}

	for n, uuid := range uuids {
		held, err := heldOf(st.Browse(), uuid, nil)
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		if err := held.print(&out, time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"call_uuid " + uuid, fmt.Sprintf("crm%d did not get queue-dial", n), "outbox retry --call " + uuid} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the trace of %s has no %q:\n%s", uuid, want, out.String())
			}
		}
		if strings.Contains(out.String(), uuids[1-n]) || strings.Contains(out.String(), fmt.Sprintf("crm%d", 1-n)) {
			t.Errorf("the trace of %s has the other call:\n%s", uuid, out.String())
		}
	}

	c := traceCmd{Limit: 10}
	c.Since.Time, c.Until.Time = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	var list strings.Builder
	if err := c.list(&streams{out: &list, err: &list}, st.Browse()); err != nil {
		t.Fatal(err)
	}
	for n, asterisk := range []string{"east", "west"} {
		found := false
		for line := range strings.Lines(list.String()) {
			found = found || strings.Contains(line, "caller "+asterisk) && strings.Contains(line, fmt.Sprint("crm", n)) && !strings.Contains(line, fmt.Sprint("crm", 1-n))
		}
		if !found {
			t.Errorf("the list does not have the call of %s with its delivery:\n%s", asterisk, list.String())
		}
	}
}
