// Package command is the command line: one file for each command.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"ringhook/api"
	"ringhook/app"
	"ringhook/conf"
)

// Exit codes, which systemd and scripts read.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// Main is the program: it runs the command that the process was started with, until a signal.
func Main(build app.Build) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := Run(ctx, build, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// cli is the command line.
type cli struct {
	Config string `short:"c" placeholder:"FILE" help:"The configuration file; without one, built-in defaults serve."`

	Serve     serveCmd     `cmd:"" help:"Serve Asterisk until told to stop. SIGHUP reads the configuration again."`
	Check     checkCmd     `cmd:"" help:"Check the configuration, and the dialplan, and say what is wrong and where."`
	Call      callCmd      `cmd:"" help:"Play Asterisk: ask a running server at a point and print what it would set."`
	Lookup    lookupCmd    `cmd:"" help:"Look a number up now: who answered, how long it took, what came back."`
	Hook      hookCmd      `cmd:"" help:"Try a hook."`
	Presets   presetsCmd   `cmd:"" help:"The receivers whose words ringhook knows."`
	Cache     cacheCmd     `cmd:"" help:"See and forget the answers of lookups that are kept."`
	Phonebook phonebookCmd `cmd:"" help:"Numbers and names of one's own, for lookups of the type phonebook."`
	Outbox    outboxCmd    `cmd:"" help:"See and mend what waits for delivery, and what was given up."`
	Trace     traceCmd     `cmd:"" help:"Everything about one call in one list; without a call, the calls of a span of time."`
	Export    exportCmd    `cmd:"" help:"Print, as JSON, what is held of a number."`
	Forget    forgetCmd    `cmd:"" help:"Erase a number from calls, events and the cache."`
	Backup    backupCmd    `cmd:"" help:"Copy what must not be lost into one file, also while the server runs."`
	Demo      demoCmd      `cmd:"" help:"The whole thing on one machine: a sample CRM, a queue call, and what each gets."`
	Version   versionCmd   `cmd:"" help:"Print the version."`

	Completion completionCmd `cmd:"" help:"Print a script that completes commands in bash: source <(ringhook completion)."`
	Manual     manualCmd     `cmd:"" hidden:"" help:"Print the manual page."`
}

// streams are what a command reads its configuration from and writes to.
type streams struct {
	ctx    context.Context
	config string
	out    io.Writer
	err    io.Writer
	build  app.Build
}

// load reads the configuration that the command line names.
func (s *streams) load() (*conf.Config, error) {
	if s.config == "" {
		return conf.Default(), nil
	}
	return conf.Load(s.config)
}

// Run is the program but for the process around it. It gives the exit code.
func Run(ctx context.Context, build app.Build, args []string, out, errOut io.Writer) int {
	var c cli
	code := -1
	parser, err := kong.New(&c,
		kong.Name("ringhook"),
		kong.Description("FastAGI service for Asterisk: looks callers up and tells the world about calls."),
		kong.Writers(out, errOut),
		kong.Exit(func(n int) { code = n }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(errOut, "ringhook:", err)
		return exitFailure
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code // --help has been printed
	}
	if err != nil {
		fmt.Fprintf(errOut, "ringhook: %v\nringhook --help tells the commands and their options.\n", err)
		return exitUsage
	}
	err = parsed.Run(&streams{ctx: ctx, config: c.Config, out: out, err: errOut, build: build})
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(errOut, "ringhook:", err)
	if errors.As(err, new(usageError)) || errors.As(err, new(api.RequestError)) {
		return exitUsage
	}
	return exitFailure
}

// usageError is a command line that makes no sense.
type usageError struct{ error }
