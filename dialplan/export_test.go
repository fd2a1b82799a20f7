package dialplan

import "time"

// WaitForCommits has sessions wait so long for a commit, so that no test depends on speed.
func (d *Dialplan) WaitForCommits(longest time.Duration) { d.maxWait = longest }

// Forget drops the calls in memory, as a restart does.
func (d *Dialplan) Forget() { d.calls = newRegistry(d.journal) }
