package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"ringhook/app"
	"ringhook/store/desk"
)

// deskAddress returns the address of the demo's desk: its usual port, or a free one.
func deskAddress() (string, error) {
	l, err := net.Listen("tcp", freeOr("127.0.0.1:4581"))
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// inviteSamples prints the links with which the sample agents sign in. They have host names of their own, so that one
// browser can have all signed in.
func inviteSamples(out io.Writer, folder, at string) error {
	d, err := desk.Open(folder)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	fmt.Fprintf(out, "\nThe pages of two agents, and of Vera, who supervises them; set any password. While an agent's page is open, a call rings there every half minute:\n\n")
	for _, agent := range []struct{ id, name, host string }{{"7", "Anna", "127.0.0.1"}, {"8", "Boris", "localhost"}, {"9", "Vera", "vera.localhost"}} {
		code, err := d.Invite(agent.id, time.Now().Add(inviteTime))
		if err != nil {
			return errors.Join(err, d.Close())
		}
		fmt.Fprintf(out, "  %-6s http://%s/desk/invite?code=%s\n", agent.name, net.JoinHostPort(agent.host, port), code)
	}
	return d.Close()
}

// ringDesks plays a call whenever a page of an agent is open, until ctx ends or the service fails.
func (c *demoCmd) ringDesks(ctx context.Context, a *app.App, served <-chan error) error {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	next := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return errors.Join(errors.New("the service ended"), err)
		case <-tick.C:
		}
		if time.Now().Before(next) || a.DeskTabs("7")+a.DeskTabs("8") == 0 {
			continue
		}
		p := &player{ctx: ctx, out: io.Discard, addr: a.FastAGIAddr().String()}
		_ = p.deskCall(a.DeskTabs("7") > 0) // it ends early only with the demo
		next = time.Now().Add(10 * time.Second)
	}
}

// deskCall plays a caller who reaches both agents, of whom the one with an open page answers.
func (p *player) deskCall(anna bool) error {
	id := func(n int) string { return fmt.Sprintf("%d.%d", time.Now().Unix(), n) }
	first := id(21)
	caller := &channel{name: "PJSIP/trunk-00000021", uniqueid: first, linkedid: first, caller: demoCaller, did: demoDID, variables: map[string]string{}}
	var rings [2]*channel
	phones, answers := [2]string{"101", "102"}, 1
	if anna {
		answers = 0
	}
	ring := func(n int) func() error {
		return func() error {
			rings[n] = caller.dial("Local/"+phones[n]+"@agents-00000021;2", id(23+n))
			return p.ask(rings[n], "agent-dial", "agent_phone="+phones[n])
		}
	}
	end := func(n int, status string) func() error {
		return func() error {
			rings[n].variables["DIALSTATUS"] = status
			return p.ask(rings[n], "agent-hangup", "agent_phone="+phones[n])
		}
	}
	return p.script(
		func() error { return p.ask(caller, "queue-dial", "queue_id=500") },
		ring(0), ring(1),
		p.pause(6*time.Second),
		func() error { return p.ask(rings[answers], "agent-answer", "agent_phone="+phones[answers]) },
		end(1-answers, "CANCEL"),
		p.pause(14*time.Second),
		end(answers, "ANSWER"),
		func() error { return p.ask(caller, "queue-hangup") },
		func() error { return p.ask(caller, "call-hangup") },
	)
}
