package cache

import (
	"math"
	"math/rand/v2"
	"slices"
)

// sampleRows is how many entries a look at the cache takes in, sampleWorst how
// many of them have to go where there are too many: so few that the same place
// met twice by chance still has bad ones to give.
const (
	sampleRows  = 64
	sampleWorst = 4
)

// barrenLooks is after how many looks in a row that met nobody unknown and
// nothing expired an answer that knows somebody has to go: one look may be at a
// place that was combed before.
const barrenLooks = 4

// evict removes entries: the expired among a few taken by chance, and at least
// as many as are over, the worst of each sample. The worst are those that know
// nobody, so that a flood of strange numbers cannot put customers out, then the least used.
func (c *Cache) evict(over int64) error {
	nowMS := c.now().UnixMilli()
	barren := 0
	for round := 0; round == 0 || over > 0 && round < batchSize; round++ {
		gone, err := c.sample(int64(rand.Uint64()), nowMS, over, barren < barrenLooks)
		if err != nil {
			return err
		}
		over -= gone
		if barren++; gone > 0 && barren <= barrenLooks {
			barren = 0
		}
	}
	return nil
}

// sample removes the worst of a few entries. Where it is to spare, those that
// know somebody and have not expired stay.
func (c *Cache) sample(from, nowMS, over int64, spare bool) (gone int64, err error) {
	type entry struct {
		id, usedMS       int64
		expired, missing bool
	}
	var list []entry
	take := func(from int64, n int) error {
		return c.c.All("select id, used_ms, expires_ms <= ?, missing from entry where id >= ? order by id limit ?",
			[]any{nowMS, from, n}, func(scan func(...any) error) error {
				var e entry
				err := scan(&e.id, &e.usedMS, &e.expired, &e.missing)
				list = append(list, e)
				return err
			})
	}
	err = take(from, sampleRows)
	if missing := sampleRows - len(list); missing > 0 && err == nil { // round the end
		err = take(math.MinInt64, missing)
	}
	slices.SortFunc(list, func(a, b entry) int {
		switch {
		case a.expired != b.expired:
			return first(a.expired)
		case a.missing != b.missing:
			return first(a.missing)
		}
		return int(min(1, max(-1, a.usedMS-b.usedMS)))
	})
	over = min(over, sampleWorst)
	for _, e := range list {
		if err != nil || !e.expired && (gone >= over || spare && !e.missing) {
			break
		}
		_, err = c.c.Exec("delete from entry where id = ?", e.id)
		gone++
	}
	return gone, err
}

func first(yes bool) int {
	if yes {
		return -1
	}
	return 1
}
