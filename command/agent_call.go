package command

import (
	"fmt"
	"net/http"

	"ringhook/control"
)

type agentCallCmd struct {
	serverFlag
	Agent    string `arg:"" help:"The agent's id in the configuration."`
	Number   string `arg:"" help:"The extension or number to call."`
	CallerID string `name:"caller-id" help:"The number of the call, instead of [click] caller_id."`
}

// Run calls the agent's phone, and then the number. It returns when the phone rings.
func (c *agentCallCmd) Run(s *streams) error {
	var r control.DialResult
	in := control.DialRequest{Number: c.Number, CallerID: c.CallerID}
	if err := s.ask(http.MethodPost, apiPath("agents", c.Agent, "calls"), c.query(), in, &r); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "call %s to %s: the %s is %s\n", printable(r.LinkedID), printable(r.Number), r.Stage, r.State)
	return nil
}

// agentCallArgs name a call of an agent.
type agentCallArgs struct {
	serverFlag
	Agent string `arg:"" help:"The agent's id in the configuration."`
	Call  string `arg:"" help:"The call's linkedid, as ringhook calls list shows it."`
}

// hold sends a command of hold and prints the way.
func (c *agentCallArgs) hold(s *streams, command string) error {
	var r control.HoldResult
	if err := s.ask(http.MethodPost, apiPath("agents", c.Agent, "calls", c.Call, command), c.query(), nil, &r); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "done by %s\n", r.Way)
	return nil
}

type agentHoldCmd struct{ agentCallArgs }

// Run puts the call on hold.
func (c *agentHoldCmd) Run(s *streams) error { return c.hold(s, "hold") }

type agentUnholdCmd struct{ agentCallArgs }

// Run ends the hold.
func (c *agentUnholdCmd) Run(s *streams) error { return c.hold(s, "resume") }

type agentAnswerCmd struct{ agentCallArgs }

// Run has the phone answer.
func (c *agentAnswerCmd) Run(s *streams) error { return c.hold(s, "answer") }

type agentTransferCmd struct {
	agentCallArgs
	To       string `arg:"" help:"The extension, queue or number."`
	Attended bool   `help:"Talk to the destination first."`
}

// Run transfers the other end of the call.
func (c *agentTransferCmd) Run(s *streams) error {
	in := control.TransferRequest{To: c.To, Kind: control.BlindTransfer}
	if c.Attended {
		in.Kind = control.AttendedTransfer
	}
	var r control.TransferResult
	if err := s.ask(http.MethodPost, apiPath("agents", c.Agent, "calls", c.Call, "transfer"), c.query(), in, &r); err != nil {
		return err
	}
	if r.Transfer != "" {
		fmt.Fprintf(s.out, "transfer %s to %s has begun: complete or cancel it\n", printable(r.Transfer), printable(r.To))
		return nil
	}
	fmt.Fprintf(s.out, "transferred to %s\n", printable(r.To))
	return nil
}

// agentTransferArgs name an attended transfer.
type agentTransferArgs struct {
	serverFlag
	Agent    string `arg:"" help:"The agent's id in the configuration."`
	Transfer string `arg:"" help:"The transfer, as ringhook agent transfer printed it."`
}

// end ends a transfer.
func (c *agentTransferArgs) end(s *streams, method string, more ...string) error {
	var r control.TransferResult
	return s.ask(method, apiPath(append([]string{"agents", c.Agent, "transfers", c.Transfer}, more...)...), c.query(), nil, &r)
}

type agentCompleteCmd struct{ agentTransferArgs }

// Run connects the other end with the destination.
func (c *agentCompleteCmd) Run(s *streams) error {
	return c.end(s, http.MethodPost, "complete")
}

type agentCancelCmd struct{ agentTransferArgs }

// Run connects the agent with the other end again.
func (c *agentCancelCmd) Run(s *streams) error {
	return c.end(s, http.MethodDelete)
}
