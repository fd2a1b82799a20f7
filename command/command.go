// Package command is the command line: one file for each command.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"ringhook/api"
	"ringhook/app"
	"ringhook/conf"
	"ringhook/sighup"
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
	code := Run(ctx, build, os.Args[1:], safe(os.Stdout), safe(os.Stderr))
	stop()
	os.Exit(code)
}

// cli is the command line.
type cli struct {
	Config      string           `short:"c" placeholder:"FILE" help:"Configuration file (else $$RINGHOOK_CONFIG, ${file}, built-in defaults)."`
	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`

	Serve   serveCmd   `cmd:"" group:"run" help:"Serve Asterisk until stopped; SIGHUP reloads the configuration."`
	Reload  reloadCmd  `cmd:"" group:"run" help:"Reload the configuration of the running server and show the result."`
	Check   checkCmd   `cmd:"" group:"run" help:"Check the configuration and the dialplan."`
	Demo    demoCmd    `cmd:"" group:"run" help:"Play a queue call with a sample CRM on this machine."`
	FreePBX freepbxCmd `cmd:"" name:"freepbx" group:"run" help:"Connect a FreePBX to ringhook."`
	Version versionCmd `cmd:"" group:"run" help:"Print the version."`

	Call       callCmd       `cmd:"" group:"look" help:"Play Asterisk: run one AGI() line against a running server."`
	Lookup     lookupCmd     `cmd:"" group:"look" help:"Look a number up now and show what each source answers."`
	Trace      traceCmd      `cmd:"" group:"look" help:"Show a call's trace, or list recent calls."`
	AMI        amiCmd        `cmd:"" name:"ami" group:"look" help:"Check the account at the manager interface of Asterisk."`
	Queue      queueCmd      `cmd:"" group:"look" help:"List and show the live queues of Asterisk; move callers."`
	Calls      callsCmd      `cmd:"" group:"look" help:"List and steer the live calls of Asterisk."`
	Agent      agentCmd      `cmd:"" group:"look" help:"List agents; log them in and out, pause them, steer their calls."`
	Campaign   campaignCmd   `cmd:"" group:"look" help:"Call lists of numbers."`
	Import     importCmd     `cmd:"" group:"look" help:"Convert CRM templates of 3CX and Yeastar into tables of ringhook."`
	Presets    presetsCmd    `cmd:"" group:"look" help:"List and show the presets of known products."`
	Pop        popCmd        `cmd:"" group:"look" help:"Try the rules of screen pops."`
	Desk       deskCmd       `cmd:"" group:"data" help:"Invite agents to the desk, list and end their sessions."`
	Exceptions exceptionsCmd `cmd:"" group:"data" help:"Import, list and export the numbers that do not pop."`

	Hook   hookCmd   `cmd:"" group:"repair" help:"Show, enable and try hooks."`
	Outbox outboxCmd `cmd:"" group:"repair" help:"Show, retry, drop and replay deliveries."`
	Cache  cacheCmd  `cmd:"" group:"repair" help:"Show and forget cached answers of lookups."`

	Phonebook phonebookCmd `cmd:"" group:"data" help:"Manage the numbers and names of lookups of the type phonebook."`
	SIP       sipCmd       `cmd:"" name:"sip" group:"data" help:"Create, list, change and delete SIP accounts of phones."`
	Account   accountCmd   `cmd:"" group:"data" help:"Show, renew and remove the tokens of [[account]] tables."`
	Token     tokenCmd     `cmd:"" group:"data" help:"Create, list and delete tokens of programs for the API."`
	Engine    engineCmd    `cmd:"" group:"data" help:"Set up and check the PostgreSQL database of [store]."`
	Backup    backupCmd    `cmd:"" group:"data" help:"Back up what must not be lost, also while the server runs."`
	Restore   restoreCmd   `cmd:"" group:"data" help:"Put a backup into the store's folder; the server must be stopped."`
	Export    exportCmd    `cmd:"" group:"data" help:"Print everything stored about a number, as JSON."`
	Forget    forgetCmd    `cmd:"" group:"data" help:"Erase a number from calls, events and the cache."`

	Completion completionCmd `cmd:"" group:"run" help:"Print a bash completion script: source <(ringhook completion)."`
	Manual     manualCmd     `cmd:"" hidden:"" help:"Print the manual page."`
}

// groups are the headings of the commands in the help, in its order.
var groups = []kong.Group{
	{Key: "run", Title: "Run:"},
	{Key: "look", Title: "Look:"},
	{Key: "repair", Title: "Repair:"},
	{Key: "data", Title: "Data:"},
}

// streams are what a command reads its configuration from and writes to.
type streams struct {
	ctx    context.Context
	config string // the file of the command line, and that of conf.Find after load
	loaded bool
	out    io.Writer
	err    io.Writer
	build  app.Build
	hup    <-chan os.Signal // SIGHUP, for serve
}

// load reads the configuration. The file is chosen once, for all reloads.
func (s *streams) load() (*conf.Config, error) {
	if !s.loaded {
		s.config, s.loaded = conf.Find(s.config), true
	}
	return conf.Load(s.config)
}

// configuration names what load has read.
func (s *streams) configuration() string {
	if s.config == "" {
		return "built-in defaults"
	}
	return s.config
}

// Run runs one command line and returns the exit code.
func Run(ctx context.Context, build app.Build, args []string, out, errOut io.Writer) int {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // one that comes before the service is up must not end it
	sighup.Take(hup)
	defer signal.Stop(hup)
	var c cli
	code := -1
	parser, err := kong.New(&c,
		kong.Name("ringhook"),
		kong.Description("FastAGI service for Asterisk: looks callers up and delivers the events of calls."),
		kong.Writers(out, errOut),
		kong.Exit(func(n int) { code = n }),
		kong.Vars{"version": versionLine(build), "file": conf.DefaultFile},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.ExplicitGroups(groups),
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
		fmt.Fprintf(errOut, "ringhook: %v\nSee ringhook --help.\n", err)
		return exitUsage
	}
	if parsed.Command() != "serve" {
		signal.Stop(hup)
	}
	s := &streams{ctx: ctx, config: c.Config, out: out, err: errOut, build: build, hup: hup}
	err = parsed.Run(s)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(errOut, "ringhook:", err)
	if s.loaded && !strings.Contains(err.Error(), s.config+":") {
		fmt.Fprintln(errOut, "configuration:", s.configuration())
	}
	if errors.As(err, new(usageError)) || errors.As(err, new(api.RequestError)) {
		return exitUsage
	}
	return exitFailure
}

// usageError is a mistake in the command line.
type usageError struct{ error }
