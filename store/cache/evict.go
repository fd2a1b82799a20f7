package cache

import "time"

// tidyRows is the maximum number of entries of each kind that one commit removes.
const tidyRows = 4 * batchSize

// tidy removes what has expired, and as many entries as are over: those first that
// know no customer, so that a flood of unknown numbers cannot push customers out, then
// the least recently used. It also drops what was remembered of forgotten numbers. What lies in the future was written
// while the clock was ahead: it would outlive all others, and keep answers out of the file until that time.
func (c *Cache) tidy(over int64) error {
	now := c.now()
	_, err := c.c.Exec("delete from entry where id in (select id from entry where expires_ms <= ? order by expires_ms limit ?)", now.UnixMilli(), tidyRows)
	if err == nil && over > 0 {
		_, err = c.c.Exec("delete from entry where id in (select id from entry order by missing desc, used_ms limit ?)", min(over, tidyRows))
	}
	aheadMS := now.Add(time.Hour).UnixMilli()
	for missing := range 2 {
		if err == nil {
			_, err = c.c.Exec("delete from entry where id in (select id from entry where missing = ? and used_ms > ? limit ?)", missing, aheadMS, tidyRows)
		}
	}
	if err == nil {
		_, err = c.c.Exec("delete from forgotten where at_ms < ? or at_ms > ?", now.Add(-RememberForgotten).UnixMilli(), aheadMS)
	}
	return err
}
