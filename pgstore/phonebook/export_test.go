package phonebook

import "time"

// Purge forgets removed numbers that are older than keep.
func (p *Phonebook) Purge(keep time.Duration) error { return p.purge(keep) }
