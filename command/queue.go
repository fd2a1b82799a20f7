package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"ringhook/control"
)

type queueCmd struct {
	List queueListCmd `cmd:"" help:"List the queues with their callers and members."`
	Show queueShowCmd `cmd:"" help:"Show who waits in a queue, and its members."`

	Kick     queueKickCmd     `cmd:"" help:"Take waiting callers out of a queue."`
	Priority queuePriorityCmd `cmd:"" help:"Change the priority of a waiting caller."`
}

// serverFlag chooses one Asterisk.
type serverFlag struct {
	Server string `placeholder:"NAME" help:"Only this [[ami]] table."`
}

// liveTime bounds the reading of all Asterisks.
const liveTime = 30 * time.Second

// read reads the lists of every Asterisk. It needs no running server. What could be read is returned
// with the error about the rest.
func (f *serverFlag) read(s *streams) (control.Live, error) {
	cfg, err := s.load()
	if err != nil {
		return control.Live{}, err
	}
	servers, err := chosenServers(cfg, f.Server)
	if err != nil {
		return control.Live{}, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, liveTime)
	defer cancel()
	return control.Read(ctx, servers, cfg.Dialplan.WithheldEvents)
}

type queueListCmd struct {
	serverFlag
	JSON bool `name:"json" help:"Print JSON, as GET /v1/queues does."`
}

// Run prints the queues that could be read, and fails if an Asterisk could not be.
func (c *queueListCmd) Run(s *streams) error {
	now, failed := c.read(s)
	if now.Servers == nil {
		return failed
	}
	if c.JSON {
		return errors.Join(failed, printJSON(s.out, map[string]any{"servers": now.Servers, "queues": now.Queues}))
	}
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "SERVER\tQUEUE\tWAITING\tLONGEST\tFREE\tBUSY\tPAUSED\tMEMBERS\tCOMPLETED\tABANDONED")
	for _, q := range now.Queues {
		longest := "-"
		if q.Longest != nil {
			longest = age(*q.Longest)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", q.Server, printable(q.ID), len(q.Waiting), longest,
			q.Free, q.Busy, q.Paused, len(q.Members), q.Completed, q.Abandoned)
	}
	return errors.Join(failed, w.Flush())
}

// age is the time since t, in whole seconds.
func age(t time.Time) string { return time.Since(t).Round(time.Second).String() }

type queueShowCmd struct {
	serverFlag
	Queue string `arg:"" help:"The queue's name in queues.conf."`
	JSON  bool   `name:"json" help:"Print JSON, as GET /v1/queues/QUEUE does."`
}

// Run fails if there is no such queue.
func (c *queueShowCmd) Run(s *streams) error {
	now, failed := c.read(s)
	found := false
	for _, q := range now.Queues {
		if q.ID != c.Queue {
			continue
		}
		found = true
		if c.JSON {
			failed = errors.Join(failed, printJSON(s.out, q))
		} else {
			failed = errors.Join(failed, printQueue(s.out, &q))
		}
	}
	if !found && failed == nil {
		return fmt.Errorf("there is no queue %q", c.Queue)
	}
	return failed
}

func printQueue(out io.Writer, q *control.Queue) error {
	fmt.Fprintf(out, "%s on %s: strategy %s, %d completed, %d abandoned\n", printable(q.ID), q.Server, q.Strategy, q.Completed, q.Abandoned)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\nPOSITION\tPRIORITY\tWAITING\tCALLER\tNAME\tCALL")
	for _, c := range q.Waiting {
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\t%s\n", c.Position, c.Priority, age(c.Since), printable(cmp.Or(c.Caller, "-")), printable(cmp.Or(c.Name, "-")), printable(c.LinkedID))
	}
	fmt.Fprintln(w, "\nMEMBER\tNAME\tSTATE\tPAUSED\tPENALTY\tCALLS")
	for _, m := range q.Members {
		paused := "-"
		if m.Paused {
			paused = "yes"
			if m.Reason != "" {
				paused = printable(m.Reason)
			}
			if m.Since != nil {
				paused += ", " + age(*m.Since)
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\n", printable(m.Interface), printable(m.Name), m.State, paused, m.Penalty, m.Taken)
	}
	return w.Flush()
}

type queueKickCmd struct {
	serverFlag
	Queue string   `arg:"" help:"The queue's name in queues.conf."`
	Call  []string `arg:"" help:"The calls, by their linkedids or uniqueids, as queue show prints them."`
	To    string   `placeholder:"EXTENSION" help:"Send the callers there; they are hung up otherwise."`
}

// Run prints the result of each call, and fails unless all are ok.
func (c *queueKickCmd) Run(s *streams) error {
	return printResults(s, http.MethodPost, apiPath("queues", c.Queue, "kick"), c.query(), control.KickRequest{Calls: c.Call, To: c.To})
}

type queuePriorityCmd struct {
	serverFlag
	Queue    string `arg:"" help:"The queue's name in queues.conf."`
	Call     string `arg:"" help:"The call, by its linkedid or uniqueid."`
	Priority int    `arg:"" help:"The new priority; callers with a higher one are answered first."`
}

// Run prints where the caller stands then.
func (c *queuePriorityCmd) Run(s *streams) error {
	var r control.PriorityResult
	err := s.ask(http.MethodPut, apiPath("queues", c.Queue, "calls", c.Call, "priority"), c.query(), control.PriorityRequest{Priority: &c.Priority}, &r)
	if err == nil {
		fmt.Fprintf(s.out, "%s: priority %d, position %d in %s\n", printable(c.Call), r.Priority, r.Position, printable(r.Queue))
	}
	return err
}
