package cache

// tidyRows is the maximum number of entries of each kind that one commit removes.
const tidyRows = 4 * batchSize

// tidy removes what has expired, and as many entries as are over: those first that
// know no customer, so that a flood of unknown numbers cannot push customers out, then
// the least recently used. It also drops what was remembered of forgotten numbers.
func (c *Cache) tidy(over int64) error {
	now := c.now()
	_, err := c.c.Exec("delete from entry where id in (select id from entry where expires_ms <= ? order by expires_ms limit ?)", now.UnixMilli(), tidyRows)
	if err == nil && over > 0 {
		_, err = c.c.Exec("delete from entry where id in (select id from entry order by missing desc, used_ms limit ?)", min(over, tidyRows))
	}
	if err == nil {
		_, err = c.c.Exec("delete from forgotten where at_ms < ?", now.Add(-RememberForgotten).UnixMilli())
	}
	return err
}
