package dialplan

import "time"

// WaitForCommits has sessions wait so long for a commit, so that no test depends on speed.
func (d *Dialplan) WaitForCommits(longest time.Duration) { d.maxWait = longest }
