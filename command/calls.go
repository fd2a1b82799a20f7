package command

import (
	"cmp"
	"errors"
	"fmt"
	"text/tabwriter"
)

type callsCmd struct {
	List callsListCmd `cmd:"" help:"List the live calls."`
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
