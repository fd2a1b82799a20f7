package account

import "time"

// RenewIdle does what Run does each hour.
func (a *Accounts) RenewIdle() { a.renewIdle() }

// SetClock replaces the clock of tests.
func (a *Accounts) SetClock(now func() time.Time) { a.now = now }
