package dialplan

import "time"

// WaitForCommits sets the time that sessions wait for a commit, whatever is left of their budget, and
// twice that for the call's lock.
func (d *Dialplan) WaitForCommits(wait time.Duration) { d.maxWait, d.minWait = wait, wait }

// WaitForReports returns after the commits of all reports.
func (d *Dialplan) WaitForReports() { d.late.Wait() }

// Forget removes the calls from memory, like a restart.
func (d *Dialplan) Forget() { d.calls = newRegistry(d.journal) }
