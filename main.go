// Command ringhook is a FastAGI service for Asterisk: it has callers looked
// up in the company's CRM while they wait a bounded moment, and tells every
// system that wants to know about a call, without losing an event.
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
