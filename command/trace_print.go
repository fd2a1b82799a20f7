package command

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"ringhook/dialplan/kept"
	"ringhook/hooks"
	"ringhook/store/browse"
)

func text(v any) string {
	s, _ := v.(string)
	return s
}

// clock formats a time of day; "-" if there is none.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.TimeOnly)
}

func printCallState(w io.Writer, call *browse.HeldCall) error {
	state, err := kept.Decode(call.State)
	if err != nil {
		return fmt.Errorf("call %s: %w", call.LinkedID, err)
	}
	fmt.Fprintf(w, "call %s, %s, last heard of %s\n", printable(call.LinkedID), cmp.Or(state.Direction, "direction unknown"), call.Seen.Local().Format(time.DateTime))
	fmt.Fprintf(w, "  began %s, answered %s, ended %s, %d events\n", clock(state.Began), clock(state.Answered), clock(state.Ended), state.Seq)
	for _, p := range state.Visits {
		fmt.Fprintf(w, "  queue %s: entered %s, answered %s%s, left %s\n", printable(p.Marker.What), clock(p.Began), clock(p.Answered), by(p.Agent), clock(p.Ended))
	}
	for _, p := range state.Rings {
		fmt.Fprintf(w, "  phone %s: rang %s, answered %s, ended %s\n", printable(p.Phone), clock(p.Began), clock(p.Answered), clock(p.Ended))
	}
	for _, name := range slices.Sorted(maps.Keys(state.Known)) {
		fmt.Fprintf(w, "  %s = %s\n", printable(name), printable(fmt.Sprint(state.Known[name])))
	}
	return nil
}

func by(agent string) string {
	if agent == "" {
		return ""
	}
	return " by " + printable(agent)
}

// trace is what became of a call's events, to be put in order.
type trace struct {
	now   time.Time
	uuids bool     // several calls are in it: events have their call_uuid
	told  []string // ids of the events that are in it
	lines []traceLine
}

type traceLine struct {
	at   time.Time
	seq  int
	text string
}

func (t *trace) add(d *browse.Item, attempts []hooks.Attempt) {
	if !slices.Contains(t.told, d.Event.ID) {
		t.told = append(t.told, d.Event.ID)
		var own []string
		for _, name := range []string{"queue_id", "agent_phone", "dialed", "status", "wait_time", "ring_time", "talk_time", "match", "callerid_kind", "correction", "presumed"} {
			if v, ok := d.Event.Params[name]; ok {
				own = append(own, fmt.Sprintf("%s=%v", name, v))
			}
		}
		if t.uuids {
			own = append(own, "call_uuid="+text(d.Event.Params["call_uuid"]))
		}
		t.lines = append(t.lines, traceLine{d.Event.Time, 2 * d.Event.Seq, fmt.Sprintf("event %d %s  %s", d.Event.Seq, d.Event.Name, printable(strings.Join(own, " ")))})
	}
	for _, a := range attempts {
		outcome := a.Class
		if a.Status != 0 {
			outcome = fmt.Sprintf("%s %d", a.Class, a.Status)
		}
		line := fmt.Sprintf("  to %s: %s %s after %s", d.Hook, d.Event.Name, outcome, milliseconds(a.Took))
		if a.Class != "delivered" && a.Excerpt != "" {
			line += ": " + printable(firstOf(a.Excerpt, 120))
		}
		t.lines = append(t.lines, traceLine{a.Started, 2*d.Event.Seq + 1, line})
	}
	if d.State == hooks.Delivered {
		return
	}
	line := fmt.Sprintf("  to %s: %s is %s (delivery %d)", d.Hook, d.Event.Name, d.State.String(), d.ID)
	at := d.Finished
	if d.State == hooks.Pending {
		at = t.now
		line += ", next attempt: " + nextAttempt(*d)
	}
	t.lines = append(t.lines, traceLine{at, 2*d.Event.Seq + 1, line})
}

func firstOf(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

func (t *trace) print(w io.Writer) error {
	slices.SortStableFunc(t.lines, func(a, b traceLine) int {
		return cmp.Or(a.at.Truncate(time.Millisecond).Compare(b.at.Truncate(time.Millisecond)), cmp.Compare(a.seq, b.seq))
	})
	day := ""
	for _, l := range t.lines {
		at := l.at.Local()
		if date := at.Format(time.DateOnly); date != day {
			day = date
			fmt.Fprintf(w, "\n%s\n", day)
		}
		if _, err := fmt.Fprintf(w, "%s  %s\n", at.Format("15:04:05.000"), l.text); err != nil {
			return err
		}
	}
	return nil
}
