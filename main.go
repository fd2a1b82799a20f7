// Command ringhook is a FastAGI service for Asterisk: it looks up callers in the
// company's CRM within a deadline, and delivers an event to every system that
// subscribes to it, without losing one.
package main

import (
	"ringhook/app"
	"ringhook/command"
)

// version and revision are stamped by the Makefile.
var (
	version  = "dev"
	revision = ""
)

func main() {
	command.Main(app.Build{Version: version, Revision: revision})
}
