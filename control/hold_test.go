package control

import (
	"context"
	"errors"
	"sync"
	"testing"

	"ringhook/ami/amitest"
	"ringhook/dialplan"
)

// TestPhoneDoesNothing holds a call of a phone that does not do what NOTIFY asks. The command ends with the reason, before
// its own time is over.
func TestPhoneDoesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for the phone")
	}
	c, s := newCalling(t)
	channel := func(name, uniqueID, linkedID, bridge string) string {
		return amitest.Text("Event: CoreShowChannel", "Channel: "+name, "Uniqueid: "+uniqueID, "Linkedid: "+linkedID, "BridgeId: "+bridge, "ChannelStateDesc: Up")
	}
	s.AnswerList("CoreShowChannels", channel("PJSIP/trunk-00000001", "1.1", "1.1", "b1"), channel("PJSIP/101-00000002", "1.2", "1.1", "b1"),
		channel("PJSIP/trunk-00000003", "2.1", "2.1", "b2"), channel("PJSIP/103-00000004", "2.2", "2.1", "b2"))
	s.Answer("PJSIPNotify", amitest.Text("Response: Success", "ActionID: {id}", "Message: NOTIFY sent"))
	s.Drop()
	until(t, c, "two calls", func(l Live) bool { return len(l.Calls) == 2 })
	var err error
	for range 5 { // a machine that is busy for seconds may exceed the time of a command, but not again and again
		_, err = c.Hold(t.Context(), Actor{Name: "agent 10", Agent: "10", Role: dialplan.RoleAgent}, HoldRequest{Agent: "10", LinkedID: "2.1"})
		if failed := (*Error)(nil); !errors.As(err, &failed) || failed.Code != Slow {
			break
		}
	}
	wantCode(t, err, NoPhone)
	if len(s.Requests("PJSIPNotify")) == 0 {
		t.Error("the phone was not asked")
	}
}

// TestRunningCommands keeps as many commands running as one agent may have. A further one is refused, those of other agents
// are carried out, and nothing counts as running afterwards.
func TestRunningCommands(t *testing.T) {
	c, _ := newCalling(t)
	agent10 := Actor{Name: "agent 10", Agent: "10", Role: dialplan.RoleAgent}
	var began, running sync.WaitGroup
	began.Add(paceRunning)
	release := make(chan struct{})
	for range paceRunning {
		running.Go(func() {
			_, err := run(t.Context(), c, agent10, "hold", &on{}, func(context.Context) (HoldResult, error) {
				began.Done()
				<-release
				return HoldResult{}, nil
			})
			if err != nil { // it did not begin
				t.Error(err)
				began.Done()
			}
		})
	}
	began.Wait()
	_, err := c.Hold(t.Context(), agent10, HoldRequest{Agent: "10", LinkedID: "2.1"})
	wantCode(t, err, Busy)
	if _, err := c.Hold(t.Context(), agent7, HoldRequest{Agent: "7", LinkedID: "1.1"}); err != nil {
		t.Errorf("another agent: %v", err)
	}
	close(release)
	running.Wait()
	if len(c.pace.running) > 0 {
		t.Errorf("commands still count as running: %v", c.pace.running)
	}
}
