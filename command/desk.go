package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"ringhook/dialplan"
	"ringhook/store/desk"
)

type deskCmd struct {
	Invite   deskInviteCmd   `cmd:"" help:"Print a link with which an agent sets a password, once."`
	Sessions deskSessionsCmd `cmd:"" help:"List who is signed in."`
	SignOut  deskSignOutCmd  `cmd:"" help:"Sign an agent out everywhere."`
}

// inviteTime is the time for which a link is valid.
const inviteTime = 24 * time.Hour

type deskInviteCmd struct {
	Agent string `arg:"" help:"The agent's id."`
}

// Run prints the link. An earlier link of the agent becomes invalid.
func (c *deskInviteCmd) Run(s *streams) (err error) {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	switch {
	case cfg.Desk.Listen == "":
		return errors.New("the desk is off: set listen and url of [desk]")
	case c.Agent == "" || !slices.ContainsFunc(cfg.Agents, func(a dialplan.Agent) bool { return a.ID == c.Agent }):
		return usageError{fmt.Errorf("the configuration has no [[agent]] with the id %q", c.Agent)}
	}
	d, err := openDesk(s, cfg, true)
	if err != nil {
		return err
	}
	code, err := d.Invite(c.Agent, time.Now().Add(inviteTime))
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s/desk/invite?code=%s\n", strings.TrimSuffix(cfg.Desk.URL, "/"), code)
	fmt.Fprintf(s.err, "the link is valid for %.0f hours and can be used once\n", inviteTime.Hours())
	return nil
}

type deskSessionsCmd struct {
	Agent string `arg:"" optional:"" help:"The agent's id; all otherwise."`
	JSON  bool   `name:"json" help:"Print them as JSON."`
}

// Run lists the sessions that have not ended.
func (c *deskSessionsCmd) Run(s *streams) error {
	return withDesk(s, func(d deskStore) error {
		list, err := d.Sessions(c.Agent)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(one desk.Session) bool { return time.Now().After(one.Ends) })
		if c.JSON {
			if list == nil {
				list = []desk.Session{}
			}
			return printJSON(s.out, map[string]any{"sessions": list})
		}
		w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "AGENT\tSIGNED IN\tUSED\tENDS\tADDRESS\tBROWSER")
		for _, one := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(one.Agent), one.Created.Format(time.DateTime), one.Used.Format(time.DateTime),
				one.Ends.Format(time.DateTime), printable(one.Address), printable(firstOf(one.Browser, 40)))
		}
		return w.Flush()
	})
}

type deskSignOutCmd struct {
	Agent string `arg:"" help:"The agent's id."`
}

// Run ends the sessions. Open pages notice it within 15 seconds.
func (c *deskSignOutCmd) Run(s *streams) error {
	return withDesk(s, func(d deskStore) error {
		n, err := d.EndSessions(c.Agent)
		if err == nil && n == 0 {
			err = fmt.Errorf("agent %q has no session: `ringhook desk sessions` lists them", c.Agent)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%d sessions ended\n", n)
		return nil
	})
}
