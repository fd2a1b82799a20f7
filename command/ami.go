package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"ringhook/ami"
	"ringhook/conf"
	"ringhook/control/switching"
	"ringhook/dialplan"
)

type amiCmd struct {
	Check amiCheckCmd `cmd:"" help:"Connect, report missing rights, and print lines for manager.conf."`
}

type amiCheckCmd struct {
	Server string `arg:"" optional:"" help:"The name of one [[ami]] table; by default all are checked."`
}

// amiCheckTime is longer than the log-in and the two questions may take.
const amiCheckTime = 30 * time.Second

// Run fails if a server cannot be reached or a right is missing.
func (c *amiCheckCmd) Run(s *streams) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	servers, err := chosenServers(cfg, c.Server)
	if err != nil {
		return err
	}
	use := ami.Use{Accounts: cfg.Accounts.Template != "", Notify: slices.ContainsFunc(cfg.Agents, func(a dialplan.Agent) bool { return a.Hold == string(switching.ByNotify) })}
	var failed error
	for i := range servers {
		if i > 0 {
			fmt.Fprintln(s.out)
		}
		if err := checkServer(s.ctx, s.out, &servers[i], use); err != nil {
			failed = errors.Join(failed, fmt.Errorf("[[ami]] %s: %w", servers[i].Name, err))
		}
	}
	return failed
}

// chosenServers returns the [[ami]] table of a name, or all of them.
func chosenServers(cfg *conf.Config, name string) ([]ami.Config, error) {
	if len(cfg.AMI) == 0 {
		return nil, errors.New("the configuration has no [[ami]] table: see CONFIGURATION.md")
	}
	if name == "" {
		return cfg.AMI, nil
	}
	var names []string
	for _, server := range cfg.AMI {
		if server.Name == name {
			return []ami.Config{server}, nil
		}
		names = append(names, server.Name)
	}
	return nil, usageError{fmt.Errorf("the configuration has no [[ami]] table %q, only %s", name, strings.Join(names, ", "))}
}

// checkServer checks one account.
func checkServer(ctx context.Context, out io.Writer, cfg *ami.Config, use ami.Use) error {
	ctx, cancel := context.WithTimeout(ctx, amiCheckTime)
	defer cancel()
	r, err := ami.Inspect(ctx, *cfg)
	if err != nil {
		fmt.Fprintf(out, "%s: %s\n", cfg.Name, cfg.Address)
		printAccount(out, cfg, "", use)
		return err
	}
	fmt.Fprintf(out, "%s: %s, manager interface %s\n", cfg.Name, cfg.Address, printable(r.Version))
	missing := r.Missing(use)
	for _, g := range missing {
		fmt.Fprintf(out, "missing   %-16s needed for %s\n", g.Right, g.Purpose)
	}
	for _, g := range r.Excess(use) {
		fmt.Fprintf(out, "too much  %-16s %s\n", g.Right, g.Purpose)
	}
	if r.Read == nil {
		fmt.Fprintln(out, "unknown   read rights: they are read from manager.conf, with write=reporting, where it has a section of this name")
	}
	if len(missing) > 0 {
		printAccount(out, cfg, r.Local, use)
		return errors.New("rights are missing, see above")
	}
	fmt.Fprintln(out, "all rights are there")
	printAccount(out, cfg, r.Local, use)
	return nil
}

// printAccount prints the section of manager.conf with the least rights. The secret stays where it is.
func printAccount(out io.Writer, cfg *ami.Config, local string, use ami.Use) {
	fmt.Fprintf(out, "\nmanager.conf:\n\n[%s]\nsecret = <the secret of this [[ami]] table>\n", cfg.Username)
	if host, _, err := net.SplitHostPort(local); err == nil {
		mask := "255.255.255.255"
		if strings.Contains(host, ":") {
			mask = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
		}
		fmt.Fprintf(out, "deny = 0.0.0.0/0.0.0.0\ndeny = ::/0\npermit = %s/%s\n", host, mask)
	}
	fmt.Fprintf(out, "read = %s\nwrite = %s\n", strings.Join(ami.LeastRead, ","), strings.Join(use.Write(), ","))
}
