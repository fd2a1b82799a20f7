package command

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"ringhook/conf"
	"ringhook/dialplan"
	"ringhook/store/desk"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Create a token and print it, once."`
	List   tokenListCmd   `cmd:"" help:"List the tokens and what they allow."`
	Delete tokenDeleteCmd `cmd:"" help:"Delete a token; programs that use it are refused."`
}

type tokenCreateCmd struct {
	Name          string   `arg:"" help:"The token's name, in lists and in the record of commands."`
	Agent         string   `placeholder:"ID" help:"It acts for this agent, with the rights of the agent's role."`
	Supervises    []string `placeholder:"QUEUE" help:"It has the rights of a supervisor of these queues."`
	Administrator bool     `help:"It has all rights."`
}

// tokenName matches the names of tokens.
var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// Run stores the token's hash and prints the token.
func (c *tokenCreateCmd) Run(s *streams) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	t, err := c.token(cfg)
	if err != nil {
		return err
	}
	d, err := openDesk(s, cfg, true)
	if err != nil {
		return err
	}
	token, err := d.AddToken(t)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	fmt.Fprintln(s.out, token)
	fmt.Fprintln(s.err, "this token is not shown again; send it as Authorization: Bearer")
	return nil
}

// token returns the token that the options ask for.
func (c *tokenCreateCmd) token(cfg *conf.Config) (desk.Token, error) {
	t := desk.Token{Name: c.Name, Agent: c.Agent, Queues: c.Supervises, Rights: "agent", Created: time.Now()}
	rights := 0
	for _, given := range []bool{c.Agent != "", len(c.Supervises) > 0, c.Administrator} {
		if given {
			rights++
		}
	}
	switch {
	case !tokenName.MatchString(c.Name):
		return t, usageError{errors.New("the name must have 1 to 64 letters, digits, dots, hyphens or underscores")}
	case rights != 1:
		return t, usageError{errors.New("give one of --agent ID, --supervises QUEUE and --administrator")}
	case c.Agent != "" && !slices.ContainsFunc(cfg.Agents, func(a dialplan.Agent) bool { return a.ID == c.Agent }):
		return t, usageError{fmt.Errorf("the configuration has no [[agent]] with the id %q", c.Agent)}
	case len(c.Supervises) > 0:
		t.Rights = "supervisor"
	case c.Administrator:
		t.Rights = "administrator"
	}
	return t, nil
}

type tokenListCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints the tokens without their secrets.
func (c *tokenListCmd) Run(s *streams) error {
	return withDesk(s, func(d deskStore) error {
		list, err := d.Tokens()
		if err != nil {
			return err
		}
		if c.JSON {
			if list == nil {
				list = []desk.Token{}
			}
			return printJSON(s.out, map[string]any{"tokens": list})
		}
		w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tRIGHTS\tAGENT\tQUEUES\tCREATED\tUSED")
		for _, t := range list {
			used := "never"
			if !t.Used.IsZero() {
				used = t.Used.Format(time.DateTime)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(t.Name), t.Rights, printable(cmp.Or(t.Agent, "-")), printable(cmp.Or(strings.Join(t.Queues, " "), "-")), t.Created.Format(time.DateTime), used)
		}
		return w.Flush()
	})
}

type tokenDeleteCmd struct {
	Name string `arg:"" help:"The token's name."`
}

// Run fails if there is no such token.
func (c *tokenDeleteCmd) Run(s *streams) error {
	return withDesk(s, func(d deskStore) error {
		removed, err := d.RemoveToken(c.Name)
		if err == nil && !removed {
			err = fmt.Errorf("there is no token %q", c.Name)
		}
		return err
	})
}
