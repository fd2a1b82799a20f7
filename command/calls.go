package command

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"ringhook/control"
)

type callsCmd struct {
	List   callsListCmd   `cmd:"" help:"List the live calls."`
	Hangup callsHangupCmd `cmd:"" help:"Hang up a call, or a side of it."`
	Mute   callsMuteCmd   `cmd:"" help:"Stop the sound that comes from a side of a call."`
	DTMF   callsDTMFCmd   `cmd:"" name:"dtmf" help:"Play digits to a side of a call."`
}

type callsListCmd struct {
	serverFlag
	JSON bool `name:"json" help:"Print JSON, as GET /v1/calls does."`
}

// Run prints the calls that could be read, and fails if an Asterisk could not be.
func (c *callsListCmd) Run(s *streams) error {
	now, failed := c.read(s)
	if now.Servers == nil {
		return failed
	}
	if c.JSON {
		return errors.Join(failed, printJSON(s.out, map[string]any{"servers": now.Servers, "calls": now.Calls}))
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SERVER\tCALL\tSTATE\tSINCE\tCALLER\tNAME\tEXTENSION\tQUEUE\tCHANNELS")
	for _, call := range now.Calls {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", call.Server, printable(call.LinkedID), call.State, age(call.Since), printable(cmp.Or(call.Caller, "-")),
			printable(cmp.Or(call.Name, "-")), printable(cmp.Or(call.Dialed, "-")), printable(cmp.Or(call.Queue, "-")), len(call.Channels))
	}
	return errors.Join(failed, w.Flush())
}

// sideArgs name a call and a side of it.
type sideArgs struct {
	serverFlag
	Call     string `arg:"" help:"The call's linkedid, as calls list prints it."`
	Agent    string `placeholder:"ID" help:"The agent whose call it is."`
	Side     string `help:"One of agent, other and all."`
	UniqueID string `name:"uniqueid" placeholder:"ID" help:"One channel of the call instead of a side."`
}

// do sends a command and prints the channels on which it acted.
func (c *sideArgs) do(s *streams, command string, in control.CallRequest) error {
	path := []string{"calls", c.Call, command}
	if c.Agent != "" {
		path = append([]string{"agents", c.Agent}, path...)
	}
	in.Side, in.UniqueID = c.Side, c.UniqueID
	var r control.CallResult
	err := s.ask(http.MethodPost, apiPath(path...), c.query(), in, &r)
	if err == nil {
		fmt.Fprintf(s.out, "%s: %s\n", command, printable(strings.Join(r.Channels, " ")))
	}
	return err
}

type callsHangupCmd struct{ sideArgs }

// Run hangs up the whole call, or the side that is given.
func (c *callsHangupCmd) Run(s *streams) error { return c.do(s, "hangup", control.CallRequest{}) }

type callsMuteCmd struct {
	sideArgs
	Off bool `help:"Let the sound through again."`
}

// Run mutes or unmutes a side.
func (c *callsMuteCmd) Run(s *streams) error {
	if c.Off {
		return c.do(s, "unmute", control.CallRequest{})
	}
	return c.do(s, "mute", control.CallRequest{})
}

type callsDTMFCmd struct {
	sideArgs
	Digits string `arg:"" help:"Up to 16 of 0-9, *, # and A-D."`
}

// Run plays the digits.
func (c *callsDTMFCmd) Run(s *streams) error {
	return c.do(s, "dtmf", control.CallRequest{Digits: c.Digits})
}
