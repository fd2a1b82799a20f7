package store

import (
	"time"

	"ringhook/dialplan"
)

// IdleCalls lists up to limit calls that were last heard of after one moment and
// not after another, the longest idle first.
func (j *Journal) IdleCalls(after, until time.Time, limit int) ([]dialplan.IdleCall, error) {
	if err := j.s.leap(); err != nil {
		return nil, err
	}
	rows, err := j.s.read.Query("select linkedid, seen_ms from call where seen_ms > ? and seen_ms <= ? order by seen_ms limit ?",
		after.UnixMilli(), until.UnixMilli(), limit)
	var list []dialplan.IdleCall
	err = each(rows, err, func(scan func(...any) error) error {
		var u dialplan.IdleCall
		var seenMS int64
		err := scan(&u.LinkedID, &seenMS)
		u.Seen = fromMS(seenMS)
		list = append(list, u)
		return err
	})
	return list, j.s.reading("list idle calls", err)
}
