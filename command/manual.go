package command

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type manualCmd struct{}

// Run prints the manual page ringhook(1), made of what --help says.
func (manualCmd) Run(k *kong.Context, s *streams) error {
	_, err := io.WriteString(s.out, manual(k.Model))
	return err
}

// Before and behind the commands. In lines that begin with . stands what troff understands.
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
ringhook looks the caller up while the call waits a bounded moment, sets channel variables, and then tells every
system that wants to know about the call, without losing an event.
.PP
Commands that read or change what is kept are run as the user that the service runs as.
`
	manualTail = `.SH EXIT STATUS
0 where all went well, 1 where something failed, 2 where the command line makes no sense.
.SH SIGNALS
.TP
.B SIGHUP
.B ringhook serve
reads the configuration again; a wrong one changes nothing.
.TP
.BR SIGTERM ", " SIGINT
It takes no more calls, answers those in progress, finishes the deliveries in flight and ends.
A second one ends it at once; whatever is left is delivered after the next start.
.SH ENVIRONMENT
.TP
.B RINGHOOK_CONFIG
the configuration file, if the command line does not name one
.SH FILES
As the Debian package has them.
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
outbox.db and phonebook.db, which must not be lost, cache.db and trace.db, which may
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

// words are a command's, such as "outbox list".
func words(n *kong.Node) string {
	if n.Parent == nil {
		return ""
	}
	return strings.TrimSpace(words(n.Parent) + " " + n.Name)
}

// roff writes a text so that troff changes nothing in it.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
