package storetest

import (
	"fmt"
	"testing"
	"time"

	"ringhook/dialplan"
	"ringhook/hooks"
)

var order = []test{
	{"order hold", orderHold},
	{"the first of a key is settled within its hold", settledWithinHold},
	{"orders", orders},
	{"deliveries pending under a linkedid", formerKey},
}

// A delivery that fails for longer than its hold lets later ones pass. Each of these holds up the ones after it in
// the same way.
func orderHold(t *testing.T, c *clock, h Home, reopen func() Home) {
	for seq := 1; seq <= 3; seq++ {
		Keep(t, h, Record("1.1", seq, "a"))
	}
	one := expect(t, h, "a", c.now(), "msg_1.1_1")[0].ID
	Settle(t, h, one, hooks.Pending, c.now().Add(5*time.Minute))
	expect(t, h, "a", c.add(4*time.Minute))
	expect(t, h, "a", c.add(time.Minute), "msg_1.1_1")
	Settle(t, h, one, hooks.Pending, c.now().Add(time.Hour))
	h = reopen()
	expect(t, h, "a", c.add(9*time.Minute))
	if next, err := h.Next("a"); err != nil || !next.Equal(c.now().Add(time.Minute)) {
		t.Errorf("next: got %v, %v, want in a minute", next, err)
	}
	// Due for a later time, as after an outage, returns the first of the key.
	expect(t, h, "a", c.now().Add(24*time.Hour), "msg_1.1_1")
	two := expect(t, h, "a", c.add(time.Minute), "msg_1.1_2")[0].ID
	Settle(t, h, two, hooks.Delivered, time.Time{})
	three := expect(t, h, "a", c.now(), "msg_1.1_3")[0].ID
	Settle(t, h, three, hooks.Pending, c.now().Add(20*time.Minute))
	Keep(t, h, Record("1.1", 4, "a"))
	expect(t, h, "a", c.now())
	four := expect(t, h, "a", c.add(15*time.Minute), "msg_1.1_4")[0].ID
	Settle(t, h, one, hooks.Delivered, time.Time{})
	expect(t, h, "a", c.now(), "msg_1.1_4")
	Settle(t, h, four, hooks.Delivered, time.Time{})
	Keep(t, h, Record("1.1", 5, "a")) // three still fails and may be passed
	expect(t, h, "a", c.add(time.Second), "msg_1.1_5")
	expect(t, h, "a", c.add(time.Hour), "msg_1.1_3")
	Settle(t, h, three, hooks.Dead, time.Time{})
	expect(t, h, "a", c.now(), "msg_1.1_5")
}

func settledWithinHold(t *testing.T, c *clock, h Home, _ func() Home) {
	Keep(t, h, Record("1.1", 1, "a"))
	Keep(t, h, Record("1.1", 2, "a"))
	one := expect(t, h, "a", c.now(), "msg_1.1_1")[0].ID
	Settle(t, h, one, hooks.Pending, c.now().Add(time.Second))
	c.add(time.Second)
	Settle(t, h, one, hooks.Delivered, time.Time{})
	expect(t, h, "a", c.now(), "msg_1.1_2")
}

func orders(t *testing.T, c *clock, h Home, _ func() Home) {
	for n, key := range []string{"", "", "1", "2"} {
		ev := Event(fmt.Sprint("1.", n), 1)
		name := "strict"
		if key != "" {
			name = "none"
		}
		Keep(t, h, dialplan.Record{Call: ev.LinkedID, Events: []dialplan.Accepted{{Event: ev, Hooks: []hooks.Route{{Hook: name, Key: key, Hold: time.Minute}}}}})
	}
	expect(t, h, "none", c.now(), "msg_1.2_1", "msg_1.3_1")
	one := expect(t, h, "strict", c.now(), "msg_1.0_1")[0].ID
	Settle(t, h, one, hooks.Delivered, time.Time{})
	expect(t, h, "strict", c.now(), "msg_1.1_1")
}

// formerKey checks that the deliveries of a call follow those that are pending under its linkedid.
func formerKey(t *testing.T, c *clock, h Home, _ func() Home) {
	keep := func(linkedid string, seq int, key string) {
		ev := Event(linkedid, seq)
		ev.Params["call_uuid"] = "uuid-" + linkedid
		Keep(t, h, dialplan.Record{Call: linkedid, Events: []dialplan.Accepted{{Event: ev, Hooks: []hooks.Route{{Hook: "a", Key: key, Hold: time.Minute}}}}})
	}
	keep("1.1", 1, "1.1")
	keep("1.1", 2, "uuid-1.1")
	keep("1.2", 1, "uuid-1.2")
	list := expect(t, h, "a", c.now(), "msg_1.1_1", "msg_1.2_1")
	Settle(t, h, list[0].ID, hooks.Delivered, time.Time{})
	Settle(t, h, list[1].ID, hooks.Delivered, time.Time{})
	Settle(t, h, expect(t, h, "a", c.now(), "msg_1.1_2")[0].ID, hooks.Delivered, time.Time{})
	keep("1.1", 3, "uuid-1.1")
	keep("1.1", 4, "uuid-1.1")
	expect(t, h, "a", c.now(), "msg_1.1_3")
}
