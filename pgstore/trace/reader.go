package trace

import (
	"iter"
	"reflect"
	"slices"
	"time"

	"ringhook/dialplan"
	"ringhook/pgstore"
	"ringhook/store/browse"
)

// Reader reads the records of all nodes, and those of this node's folder. It implements browse.PointReader.
type Reader struct {
	db    *pgstore.Side
	local browse.PointReader
}

// NewReader returns the reader of an open engine and of a folder.
func NewReader(engine *pgstore.Store, local browse.PointReader) *Reader {
	return &Reader{engine.Side(), local}
}

const (
	// callTime bounds the read of one call, searchTime that of many.
	callTime   = 10 * time.Second
	searchTime = 5 * time.Minute
)

// CallPoints implements browse.PointReader.
func (r *Reader) CallPoints(linkedid string, since time.Time) ([]dialplan.PointTrace, error) {
	list, err := r.local.CallPoints(linkedid, since)
	if err != nil {
		return nil, err
	}
	err = r.each(callTime, pgstore.Do("select body from ringhook.trace where tenant = $1 and linkedid = $2 and at >= $3 order by at, id", linkedid, r.begin(since)), func(p *dialplan.PointTrace) {
		if p.LinkedID == linkedid {
			list = append(list, *p)
		}
	})
	return sorted(list), err
}

// sorted returns records in the order of their times. One whose commit was in doubt is in the engine and in the folder.
func sorted(list []dialplan.PointTrace) []dialplan.PointTrace {
	slices.SortStableFunc(list, func(a, b dialplan.PointTrace) int { return a.At.Compare(b.At) })
	return slices.CompactFunc(list, func(a, b dialplan.PointTrace) bool { return reflect.DeepEqual(a, b) })
}

// begin returns a time of the node's clock on the engine's. The zero time is the earliest.
func (r *Reader) begin(since time.Time) time.Time {
	if since.IsZero() {
		return time.Unix(0, 0)
	}
	return r.db.EngineTime(since)
}

// each calls f with the records of a query.
func (r *Reader) each(limit time.Duration, q pgstore.Statement, f func(*dialplan.PointTrace)) error {
	return r.db.QueryLoose("read trace records", limit, q, func(scan func(...any) error) error {
		var body []byte
		if err := scan(&body); err != nil {
			return err
		}
		if p, err := dialplan.DecodeTrace(body); err == nil {
			f(&p)
		}
		return nil
	})
}

// PointsSince implements browse.PointReader. The records of the folder come among the others, in the order of their times.
func (r *Reader) PointsSince(since time.Time, f func(*dialplan.PointTrace)) error {
	var failed error
	next, stop := iter.Pull(func(yield func(dialplan.PointTrace) bool) {
		more := true
		failed = r.local.PointsSince(since, func(p *dialplan.PointTrace) { more = more && yield(*p) })
	})
	defer stop()
	own, left := next()
	until := func(at time.Time) {
		for left && !own.At.After(at) {
			f(&own)
			own, left = next()
		}
	}
	err := r.each(searchTime, pgstore.Do("select body from ringhook.trace where tenant = $1 and at >= $2 order by at, id", r.begin(since)), func(p *dialplan.PointTrace) {
		until(p.At)
		f(p)
	})
	if err != nil {
		return err
	}
	for left {
		until(own.At)
	}
	return failed
}

// mentioned selects the records whose texts have one of the words.
const mentioned = "from ringhook.trace where tenant = $1 and exists (select from unnest($2::bytea[]) w where position(w in body) > 0)"

// Find returns the records in the engine that fit, of those that contain one of the words.
func (r *Reader) Find(words [][]byte, fits func(*dialplan.PointTrace) bool) (list []dialplan.PointTrace, err error) {
	err = r.each(searchTime, pgstore.Do("select body "+mentioned+" order by at, id", words), func(p *dialplan.PointTrace) {
		if fits(p) {
			list = append(list, *p)
		}
	})
	return list, err
}

// Erase removes the records in the engine that fit, of those that contain one of the words, and returns their number.
func (r *Reader) Erase(words [][]byte, fits func(*dialplan.PointTrace) bool) (erased int, err error) {
	var ids []int64
	err = r.db.QueryLoose("read trace records", searchTime, pgstore.Do("select id, body "+mentioned, words), func(scan func(...any) error) error {
		var id int64
		var body []byte
		if err := scan(&id, &body); err != nil {
			return err
		}
		// An unreadable record may belong to the person, so it is erased too.
		if p, err := dialplan.DecodeTrace(body); err != nil || fits(&p) {
			ids = append(ids, id)
		}
		return nil
	})
	for step := range slices.Chunk(ids, tidyRows) {
		if err == nil {
			var n int
			n, err = r.db.WriteLoose("erase trace records", pgstore.Do("delete from ringhook.trace where tenant = $1 and id = any ($2::bigint[])", step))
			erased += n
		}
	}
	return erased, err
}
