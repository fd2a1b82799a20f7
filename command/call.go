package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ringhook/dialplan"
	"ringhook/fastagi"
	"ringhook/fastagi/asterisk"
)

type callCmd struct {
	Point     string            `arg:"" help:"The point, such as queue-dial."`
	Arguments []string          `arg:"" optional:"" placeholder:"NAME=VALUE" help:"The point's arguments, as they stand in the AGI() line."`
	Server    string            `placeholder:"HOST:PORT" help:"Where ringhook listens; the configuration's address otherwise."`
	From      string            `placeholder:"NUMBER" help:"The caller's number."`
	Name      string            `placeholder:"NAME" help:"The caller's name, as the trunk shows it."`
	To        string            `placeholder:"NUMBER" help:"The number that was dialled (DNID)."`
	Uniqueid  string            `placeholder:"ID" help:"The channel's uniqueid; a new one otherwise."`
	Channel   string            `default:"PJSIP/ringhook-call" placeholder:"NAME" help:"The channel's name."`
	Var       map[string]string `placeholder:"NAME=VALUE" help:"A variable that ringhook finds on the channel, such as DIALSTATUS=BUSY."`
	NoEvents  bool              `help:"Keep no events, so that no receiver gets any."`
	Timeout   time.Duration     `default:"70s" help:"The longest to wait; Asterisk itself has no limit."`
}

// Run runs one AGI() line and prints the variables that it set.
func (c *callCmd) Run(s *streams) error {
	for _, arg := range c.Arguments {
		if !strings.Contains(arg, "=") {
			return usageError{fmt.Errorf("argument %q is not NAME=VALUE", arg)}
		}
	}
	point, _, _ := strings.Cut(strings.TrimPrefix(c.Point, "/"), "?")
	var unknown error
	if points := dialplan.Points(); !slices.Contains(points, point) { // it is played all the same, as Asterisk would
		unknown = usageError{fmt.Errorf("unknown point %q: use %s", point, strings.Join(points, ", "))}
	}
	addr := c.Server
	if addr == "" {
		cfg, err := s.load()
		if err != nil {
			return err
		}
		addr = cfg.FastAGI.Listen
	}
	ctx, cancel := context.WithTimeout(s.ctx, c.Timeout)
	defer cancel()
	if !c.NoEvents {
		fmt.Fprintln(s.err, "ringhook: the events of this call go to real receivers, with test = true; --no-events keeps none")
	}
	result, err := asterisk.Call(ctx, addr, c.request(time.Now()))
	printCall(s.out, result)
	if err != nil {
		return errors.Join(unknown, fmt.Errorf("%w (is ringhook serving on %s?)", err, addr))
	}
	if result.Status == "FAILURE" {
		return errors.New("the session was turned away: the server's log says why")
	}
	return unknown
}

func (c *callCmd) request(now time.Time) asterisk.CallRequest {
	if c.Uniqueid == "" {
		c.Uniqueid = fmt.Sprintf("%d.%d", now.Unix(), now.Nanosecond()/1000)
	}
	point, query, _ := strings.Cut(strings.TrimPrefix(c.Point, "/"), "?")
	variables := map[string]string{"CHANNEL(linkedid)": c.Uniqueid}
	for name, value := range c.Var {
		variables[name] = value
	}
	version := dialplan.TestVersion
	if c.NoEvents {
		version = dialplan.QuietVersion
	}
	return asterisk.CallRequest{
		Env: fastagi.Env{
			Point: point, Query: query, Channel: c.Channel, UniqueID: c.Uniqueid, Version: version,
			CallerNum: c.From, CallerName: c.Name, DNID: c.To, Context: "ringhook", Extension: "s", Priority: "1", Args: c.Arguments,
		},
		Variables: variables,
	}
}

// printCall prints the variables that a session set, one a line, and its duration.
func printCall(w io.Writer, result asterisk.CallResult) {
	for _, v := range result.Set {
		fmt.Fprintf(w, "  %s = %s\n", v.Name, printable(v.Value))
	}
	fmt.Fprintf(w, "  AGISTATUS would be %s after %s\n", result.Status, milliseconds(result.Took))
}
