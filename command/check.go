package command

import (
	"errors"
	"fmt"

	"ringhook/conf"
	"ringhook/dialplan/extensions"
	"ringhook/pgstore"
	"ringhook/store"
)

type checkCmd struct {
	Dialplan string `placeholder:"FILE" help:"Also check this extensions.conf and the files that it includes."`
}

// Run checks the configuration, and prints a summary of it.
func (c *checkCmd) Run(s *streams) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(s.err, "warning:", w.String())
	}
	engine := ""
	if cfg.Store.Type == store.Postgres {
		engine = " and in PostgreSQL (" + pgstore.Address(cfg.Store.DSN) + ")"
	}
	fmt.Fprintf(s.out, "%s: good: %d lookups, %d hooks, %d queues, %d agents; FastAGI on %s, metrics on %s, store in %s%s\n",
		s.configuration(), len(cfg.Lookups), len(cfg.Hooks), len(cfg.Queues), len(cfg.Agents), cfg.FastAGI.Listen, cfg.HTTP.Listen, cfg.Store.Folder, engine)
	if c.Dialplan == "" {
		return nil
	}
	return c.dialplan(s, cfg)
}

// dialplan prints the findings about the extensions.conf. It fails if one is an error.
func (c *checkCmd) dialplan(s *streams, cfg *conf.Config) error {
	options := extensions.Options{Listen: cfg.FastAGI.Listen, ExtraVariables: cfg.Dialplan.ExtraVariables()}
	for i := range cfg.AMI {
		options.Reported = append(options.Reported, cfg.AMI[i].Points...)
	}
	report, err := extensions.Check(c.Dialplan, options)
	if err != nil {
		return err
	}
	for _, f := range report.Findings {
		fmt.Fprintln(s.out, f)
	}
	failed := report.Count(extensions.Error)
	verdict := "good"
	if failed > 0 {
		verdict = "not good"
	}
	fmt.Fprintf(s.out, "%s: %s: asks ringhook in %d places (files: %d; errors: %d, warnings: %d, notes: %d)\n", c.Dialplan, verdict,
		report.Asks, report.Files, failed, report.Count(extensions.Warning), report.Count(extensions.Note))
	if failed > 0 {
		return errors.New("the dialplan has errors, see above")
	}
	return nil
}
