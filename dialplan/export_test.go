package dialplan

import "time"

// WaitForCommits sets the time that sessions wait for a commit, and half of that for the call's lock.
func (d *Dialplan) WaitForCommits(longest time.Duration) { d.maxWait = longest }

// Forget removes the calls from memory, like a restart.
func (d *Dialplan) Forget() { d.calls = newRegistry(d.journal) }
