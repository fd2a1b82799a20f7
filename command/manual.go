package command

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type manualCmd struct{}

// Run prints the manual page ringhook(1), generated from the texts of --help.
func (manualCmd) Run(k *kong.Context, s *streams) error {
	_, err := io.WriteString(s.out, manual(k.Model))
	return err
}

// The page before and after the commands, in troff.
const (
	manualHead = `.TH RINGHOOK 1 "" "ringhook" "User commands"
.SH NAME
ringhook \- FastAGI service for Asterisk
.SH SYNOPSIS
.B ringhook
.I COMMAND
.RB [ \-c
.IR FILE ]
.RI [ options ]
.SH DESCRIPTION
At queues, agents and hangups Asterisk asks ringhook.
ringhook looks the caller up while the call waits a bounded time, sets channel variables, and then sends an event to
every system that subscribes to it, without losing one.
.PP
Run commands that read or change the store as the user of the service.
`
	manualTail = `.SH EXIT STATUS
0 on success, 1 after a failure, 2 if the command line has a mistake.
.SH SIGNALS
.TP
.B SIGHUP
.B ringhook serve
reloads the configuration; one with mistakes changes nothing.
.B ringhook reload
does the same and prints the result.
.TP
.BR SIGTERM ", " SIGINT
It accepts no more calls, answers those in progress, finishes the deliveries in flight and ends within 20 seconds.
A second one ends it at once. What is left is delivered after the next start.
.SH ENVIRONMENT
.TP
.B RINGHOOK_CONFIG
the configuration file, if the command line does not name one
.SH FILES
As installed by the Debian package.
.TP
.I /etc/ringhook/ringhook.toml
the configuration, used if neither the command line nor RINGHOOK_CONFIG names a file
.TP
.I /etc/ringhook/conf.d/*.toml
further parts of the configuration
.TP
.I /etc/ringhook/environment
NAME=value for each ${NAME} in it
.TP
.I /var/lib/ringhook
outbox.db and phonebook.db, which must not be lost; cache.db and trace.db, which can be rebuilt
.TP
.I /usr/share/doc/ringhook
every key of the configuration, and samples for the dialplan
.SH SEE ALSO
.BR ringhook.toml (5),
.BR asterisk (8)
`
)

func manual(m *kong.Application) string {
	var b strings.Builder
	b.WriteString(manualHead)
	b.WriteString(".SH OPTIONS OF ALL COMMANDS\n")
	manualFlags(&b, m.Node)
	b.WriteString(".SH COMMANDS\n")
	for _, leaf := range m.Leaves(true) {
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(words(leaf)), roff(leaf.Help))
		for _, p := range leaf.Positional {
			fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(strings.ToUpper(p.Name)), roff(p.Help))
		}
		manualFlags(&b, leaf)
	}
	b.WriteString(manualTail)
	return b.String()
}

func manualFlags(b *strings.Builder, n *kong.Node) {
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		name := `\fB` + roff("--"+f.Name) + `\fR`
		if f.Short != 0 {
			name = `\fB` + roff("-"+string(f.Short)) + `\fR, ` + name
		}
		if !f.IsBool() {
			name += ` \fI` + roff(strings.Trim(f.FormatPlaceHolder(), `"`)) + `\fR`
		}
		fmt.Fprintf(b, ".TP\n%s\n%s\n", name, roff(f.Help))
	}
}

// words returns the words of a command, such as "outbox list".
func words(n *kong.Node) string {
	if n.Parent == nil {
		return ""
	}
	return strings.TrimSpace(words(n.Parent) + " " + n.Name)
}

// roff escapes a text for troff.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
