package control

import (
	"testing"
	"time"

	"ringhook/ami"
)

// TestSupervisorsQueues checks that a supervisor of one queue changes nothing of another one in which the agent is too.
func TestSupervisorsQueues(t *testing.T) {
	x := newExchange(t)
	boss, agent := x.actor("9"), x.actor("7") // supervises 500; is in 500 and 600
	f := func(name string, r Results, err error, want ...Code) {
		t.Helper()
		if err != nil || len(r.Results) != len(want) {
			t.Errorf("%s: %+v, %v, want %v", name, r, err, want)
			return
		}
		for i := range want {
			if r.Results[i].Result != want[i] {
				t.Errorf("%s: %+v, want %v", name, r, want)
			}
		}
	}
	r, err := x.Login(t.Context(), boss, LoginRequest{Agent: "7"})
	f("log in to all", r, err, OK)
	r, err = x.Login(t.Context(), boss, LoginRequest{Agent: "7", Queues: []string{"600"}})
	f("log in to another's", r, err, Forbidden)
	r, err = x.Login(t.Context(), agent, LoginRequest{Agent: "7", Queues: []string{"600"}})
	f("the agent logs in", r, err, OK)
	r, err = x.Pause(t.Context(), boss, PauseRequest{Agent: "7"})
	f("pause in all", r, err, OK)
	r, err = x.Pause(t.Context(), boss, PauseRequest{Agent: "7", Queues: []string{"600", "500"}})
	f("pause in both", r, err, Forbidden, OK)
	for _, q := range x.Live().Queues {
		for _, m := range q.Members {
			if m.Phone == "101" && m.Paused != (q.ID == "500") {
				t.Errorf("queue %s: %+v", q.ID, m)
			}
		}
	}
	r, err = x.Resume(t.Context(), boss, PauseRequest{Agent: "7"})
	f("resume", r, err, OK)
	r, err = x.Logout(t.Context(), boss, LoginRequest{Agent: "7", Queues: []string{"600"}})
	f("log out of another's", r, err, Forbidden)
	r, err = x.Logout(t.Context(), boss, LoginRequest{Agent: "7"})
	f("log out of all", r, err, OK)
	if view, err := x.Agent(agent, "7"); err != nil || len(view.Queues) != 2 || view.Queues[0].LoggedIn || !view.Queues[1].LoggedIn {
		t.Errorf("%+v, %v", view, err)
	}
}

// TestSince checks that the beginning of a phone's state is known only if it was seen, and that a new reading of the lists
// keeps it.
func TestSince(t *testing.T) {
	device := func(state string) ami.Message {
		return ami.Message{{Key: "Device", Value: "PJSIP/101"}, {Key: "State", Value: state}}
	}
	read := func(state string) *state {
		s := newState()
		s.device(device(state))
		return s
	}
	first := read("NOT_INUSE")
	first.keepSince(newState())
	if !first.since["PJSIP/101"].IsZero() {
		t.Error("a state of which only the list is known has a beginning")
	}
	first.device(device("INUSE"))
	began := first.since["PJSIP/101"]
	if time.Since(began) > time.Hour {
		t.Errorf("busy since %v", began)
	}
	first.device(device("INUSE"))
	second := read("INUSE")
	second.keepSince(first)
	if got := second.since["PJSIP/101"]; !got.Equal(began) {
		t.Errorf("after a new reading: %v, want %v", got, began)
	}
	third := read("NOT_INUSE")
	third.keepSince(second)
	if got := third.since["PJSIP/101"]; !got.After(began) {
		t.Errorf("a change that only the list shows: %v", got)
	}
}
