package control

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/store/desk"
)

// TestTimes checks how stored states add up in a time span.
func TestTimes(t *testing.T) {
	day := time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC)
	at := func(hour, minute int) time.Time {
		return day.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
	}
	span := func(state, reason string, from, to time.Time, open bool) desk.AgentState {
		return desk.AgentState{Agent: "7", State: state, Reason: reason, From: from, To: to, Open: open}
	}
	now := at(18, 0)
	times := AgentTimes{Since: at(9, 0), Until: at(17, 0), Reasons: map[string]int{}}
	times.add([]desk.AgentState{
		span("in", "", at(8, 0), at(12, 0), false),               // began before
		span("paused", "lunch", at(10, 0), at(10, 30), false),    //
		span("paused", "lunch", at(11, 0), at(11, 15), false),    // a second one
		span("paused", "", at(11, 30), at(11, 31), false),        // without a reason
		span("in", "", at(16, 30), at(17, 59), true),             // lasts
		span("paused", "training", at(17, 10), at(17, 20), true), // after the time span
		span("in", "", at(8, 0), at(9, 0), false),                // touches it
		span("serves", "500", at(9, 0), at(12, 0), false),        // is for the figures
	}, now)
	if times.LoggedIn != 3*3600+1800 || times.Paused != 46*60 || !reflect.DeepEqual(times.Reasons, map[string]int{"lunch": 45 * 60, "": 60}) || len(times.Spans) != 5 {
		t.Errorf("%+v", times)
	}
	for _, one := range times.Spans {
		if one.From.Before(times.Since) || one.To.After(times.Until) {
			t.Errorf("not cut: %+v", one)
		}
	}
	// One that has not been seen for long ends when it was last seen.
	gap := AgentTimes{Since: at(9, 0), Until: at(17, 0), Reasons: map[string]int{}}
	if gap.add([]desk.AgentState{span("in", "", at(9, 0), at(10, 0), true)}, now); gap.LoggedIn != 3600 {
		t.Errorf("after a gap: %+v", gap)
	}
}

// TestTimesOf checks who may read the times of whom, and which time spans are refused.
func TestTimesOf(t *testing.T) {
	x := newExchange(t)
	now := time.Now()
	in := []desk.AgentState{{Agent: "7", State: desk.AgentIn}}
	for _, when := range []time.Time{now.Add(-2 * time.Minute), now.Add(-time.Minute)} {
		if err := x.desk.ObserveStates(in, when); err != nil {
			t.Fatal(err)
		}
	}
	f := func(who Actor, id string, since, until time.Time, want string) {
		t.Helper()
		got, err := x.Times(who, id, since, until)
		code := "ok"
		if failed := errorOf(err); failed != nil {
			code = string(failed.Code)
		} else if got.LoggedIn < 60 || len(got.Spans) == 0 || got.Agent != "7" {
			t.Errorf("%+v", got)
		}
		x.want("times of "+id, code, want)
	}
	ago := now.Add(-time.Hour)
	f(x.actor("7"), "7", ago, time.Time{}, "ok")
	f(x.actor("9"), "7", ago, now, "ok")
	f(x.actor("8"), "7", ago, now, "forbidden")
	f(x.actor("9"), "10", ago, now, "forbidden")
	f(Administrator("x"), "99", ago, now, "unknown")
	f(x.actor("7"), "7", now.Add(time.Hour), time.Time{}, "bad-request")
	f(x.actor("7"), "7", now.Add(-2*longestSpan), time.Time{}, "bad-request")
}

// TestServes checks that an agent serves the queues in which the agent is not paused, and is paused only if in all.
func TestServes(t *testing.T) {
	x, ctx := newExchange(t), t.Context()
	states := func() (list []string) {
		now, known := x.agentStates()
		if !known {
			t.Fatal("the states are not known")
		}
		for s := range now {
			if s.Agent == "7" {
				list = append(list, strings.TrimSpace(s.State+" "+s.Reason))
			}
		}
		slices.Sort(list)
		return list
	}
	f := func(what string, want ...string) {
		t.Helper()
		x.eventually(what, func() bool { return slices.Equal(states(), want) })
	}
	f("logged out")
	x.want("log in", codes(x.Login(ctx, x.actor("7"), LoginRequest{Agent: "7", Queues: []string{"500"}})), "500=ok")
	f("logged in", "in", "serves 500")
	x.pbx.Send(memberText("QueueMemberAdded", "600", "PJSIP/101", "Membership: dynamic", "Paused: 0"))
	f("in two queues", "in", "serves 500", "serves 600")
	x.pbx.Send(memberText("QueueMemberPause", "500", "PJSIP/101", "Membership: dynamic", "Paused: 1", "PausedReason: lunch"))
	f("paused in one", "in", "serves 600")
	x.pbx.Send(memberText("QueueMemberPause", "600", "PJSIP/101", "Membership: dynamic", "Paused: 1", "PausedReason: lunch"))
	f("paused in all", "in", "paused lunch")
}
