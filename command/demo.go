package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"ringhook/app"
	"ringhook/conf"
	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
)

type demoCmd struct {
	Once bool `help:"End after the call instead of serving on."`
}

// demoConfig is all that the demo adds to the built-in defaults. The verbs are the CRM's
// address, the folder, and the address of the desk.
const demoConfig = `[[queue]]
id = "500"
name = "Sales"

[[agent]]
id = "7"
phone = "101"
name = "Anna"

[[agent]]
id = "8"
phone = "102"
name = "Boris"

[[agent]]
id = "9"
name = "Vera"
role = "administrator"

[[lookup]]
name = "crm"
points = ["queue-dial"]
url = "%[1]s/who?phone=%%callerid%%&queue=%%queue_id%%"

[[hook]]
name = "journal"
events = ["*"]
url = "%[1]s/cti"
format = "json"

[desk]
listen = %[3]q
url = "http://%[3]s"
max_streams = 50

[[pop]]
name = "card"
events = ["agent-dial"]
open = "frame"
url = "%[1]s/card?phone=%%callerid%%&name=%%callerid_name%%"
title = "%%callerid_name%%"

[store]
folder = %[2]q
`

// The people of the demo. The numbers are set aside for fiction.
const (
	demoCaller = "+442079460142"
	demoDID    = "+442079460500"
)

// Run plays a queue call against a complete ringhook in this process.
func (c *demoCmd) Run(s *streams) (err error) {
	folder, err := os.MkdirTemp("", "ringhook-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	crm, err := startSampleCRM()
	if err != nil {
		return fmt.Errorf("start the sample CRM: %w", err)
	}
	defer func() { err = errors.Join(err, crm.stop()) }()

	deskAt, err := deskAddress()
	if err != nil {
		return fmt.Errorf("find a port for the desk: %w", err)
	}
	text := fmt.Sprintf(demoConfig, crm.url(), folder, deskAt)
	cfg, err := conf.Parse("demo.toml", []byte(text), os.LookupEnv)
	if err != nil {
		return fmt.Errorf("the demo's configuration: %w", err)
	}
	cfg.FastAGI.Listen = freeOr(cfg.FastAGI.Listen)
	cfg.HTTP.Listen = freeOr(cfg.HTTP.Listen)
	a, err := app.New(cfg, s.warnings(), s.build)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- a.Run(ctx, nil, nil) }()

	fmt.Fprintf(s.out, "A sample CRM answers on %s, and ringhook serves with built-in defaults and this:\n\n%s\n", crm.url(), indent(text))
	err = c.play(ctx, s.out, a.FastAGIAddr().String(), crm)
	if err == nil && !c.Once {
		tellHowToGoOn(s.out, a)
		if err = inviteSamples(s.out, folder, deskAt); err == nil {
			if ended := c.ringDesks(ctx, a, served); ended != nil {
				return ended
			}
		}
	}
	cancel()
	return errors.Join(err, <-served)
}

func (c *demoCmd) play(ctx context.Context, out io.Writer, addr string, crm *sampleCRM) error {
	fmt.Fprintf(out, "A caller, %s, asks for Sales. At each point, what Asterisk gets:\n\n", demoCaller)
	p := &player{ctx: ctx, out: out, addr: addr}
	if err := p.queueCall(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nWhat the CRM received, in this order, while none of it held the call:\n\n")
	last, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		select {
		case ev := <-crm.events:
			fmt.Fprintf(out, "  %s\n", ev)
			if ev.Final {
				return nil
			}
		case <-last.Done():
			return errors.New("the CRM did not receive the call's last event in time")
		}
	}
}

func tellHowToGoOn(out io.Writer, a *app.App) {
	at := a.FastAGIAddr().String()
	fmt.Fprintf(out, `
ringhook goes on serving; Ctrl-C ends it. To ask it from your own Asterisk, paste into a dialplan:

  same => n,AGI(agi://%[1]s/queue-dial,queue_id=500)       ; before Queue(500)
  same => n,AGI(agi://%[1]s/queue-hangup)                  ; after Queue(), and in the h extension
  same => n,NoOp(${RINGHOOK_STATUS} ${CALLERID(name)} ${call_info})

contrib/extensions_ringhook.conf has all points of a queue call. Without an Asterisk:

  ringhook call queue-dial queue_id=500 --from %[2]s --server %[1]s

Metrics are on http://%[3]s/metrics
`, at, demoCaller, a.HTTPAddr())
}

// freeOr returns an address as it is, or with a free port if another program has its port.
func freeOr(addr string) string {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		host, _, _ := net.SplitHostPort(addr)
		return net.JoinHostPort(host, "0")
	}
	l.Close()
	return addr
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

// player plays Asterisk: it holds the variables of the channels between points.
type player struct {
	ctx  context.Context
	out  io.Writer
	addr string
}

// channel is one of Asterisk's channels.
type channel struct {
	name, uniqueid, linkedid string
	caller, did              string
	variables                map[string]string
}

// dial creates the channel that another one calls. It inherits the variables whose names begin with
// underscores.
func (c *channel) dial(name, uniqueid string) *channel {
	made := &channel{name: name, uniqueid: uniqueid, linkedid: c.linkedid, caller: c.caller, variables: map[string]string{}}
	for name, value := range c.variables {
		if strings.HasPrefix(name, "__") {
			made.variables[name] = value
		}
	}
	return made
}

// ask runs one AGI() line on a channel and prints it.
func (p *player) ask(c *channel, point string, args ...string) error {
	seen := map[string]string{"CHANNEL(linkedid)": c.linkedid}
	for name, value := range c.variables {
		seen[strings.TrimLeft(name, "_")] = value
	}
	result, err := asterisk.Call(p.ctx, p.addr, asterisk.CallRequest{
		Env: fastagi.Env{
			Point: point, Channel: c.name, UniqueID: c.uniqueid, Version: "demo", CallerNum: c.caller, DNID: c.did,
			Context: "demo", Extension: "500", Priority: "1", Args: args,
		},
		Variables: seen,
	})
	fmt.Fprintf(p.out, "  %s(%s) on %s: %s\n", point, strings.Join(args, ","), c.name, milliseconds(result.Took))
	for _, v := range result.Set {
		plain := strings.TrimLeft(v.Name, "_")
		delete(c.variables, "__"+plain)
		delete(c.variables, plain)
		c.variables[v.Name] = v.Value
		fmt.Fprintf(p.out, "      %s = %s\n", v.Name, printable(v.Value))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", point, err)
	}
	return nil
}

// queueCall plays a caller who waits, a busy agent and one who answers.
func (p *player) queueCall() error {
	id := func(n int) string { return fmt.Sprintf("%d.%d", time.Now().Unix(), n) }
	first := id(1)
	caller := &channel{
		name: "PJSIP/trunk-00000001", uniqueid: first, linkedid: first, caller: demoCaller, did: demoDID, variables: map[string]string{},
	}
	var anna, boris, phone *channel
	return p.script(
		func() error { return p.ask(caller, "call-dial") },
		func() error { return p.ask(caller, "queue-dial", "queue_id=500") },
		func() error {
			anna = caller.dial("Local/101@agents-00000001;2", id(3))
			return p.ask(anna, "agent-dial", "agent_phone=101")
		},
		func() error {
			anna.variables["DIALSTATUS"] = "BUSY"
			return p.ask(anna, "agent-hangup", "agent_phone=101")
		},
		func() error {
			boris = caller.dial("Local/102@agents-00000002;2", id(5))
			return p.ask(boris, "agent-dial", "agent_phone=102")
		},
		p.pause(time.Second),
		func() error {
			phone = boris.dial("PJSIP/102-00000003", id(6))
			return p.ask(phone, "agent-answer", "agent_phone=102")
		},
		p.pause(2*time.Second),
		func() error {
			boris.variables["DIALSTATUS"], boris.variables["ANSWEREDTIME"] = "ANSWER", "2"
			return p.ask(boris, "agent-hangup", "agent_phone=102")
		},
		func() error { return p.ask(caller, "queue-hangup") },
		func() error { return p.ask(caller, "call-hangup") },
	)
}

func (p *player) script(lines ...func() error) error {
	for _, line := range lines {
		if err := line(); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) pause(d time.Duration) func() error {
	return func() error {
		select {
		case <-time.After(d):
			return nil
		case <-p.ctx.Done():
			return p.ctx.Err()
		}
	}
}
