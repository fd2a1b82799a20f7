package desk

import (
	"encoding/json"
	"time"
)

// Expected are parameters of a call that a click began, for its events.
type Expected struct {
	Call   string // linkedid
	Params map[string]string
	At     time.Time
}

// KeepExpected is the time for which they are kept: from the click to the call's first point.
const KeepExpected = time.Hour

// AddExpected stores the parameters of a call.
func (d *Desk) AddExpected(e Expected) error {
	params, err := json.Marshal(e.Params)
	if err != nil {
		return err
	}
	_, err = d.exec("store the parameters of a call", "insert into expected (call, params, at_ms) values (?1, ?2, ?3) on conflict (call) do update set params = ?2, at_ms = ?3",
		e.Call, string(params), e.At.UnixMilli())
	return err
}

// Expected returns the parameters of calls that began after a time, the oldest first.
func (d *Desk) Expected(after time.Time) (list []Expected, err error) {
	err = d.all("read the parameters of calls", "select call, params, at_ms from expected where at_ms > ? order by at_ms", []any{after.UnixMilli()}, func(scan func(...any) error) error {
		var e Expected
		var params string
		var ms int64
		if err := scan(&e.Call, &params, &ms); err != nil {
			return err
		}
		e.At = time.UnixMilli(ms)
		err := json.Unmarshal([]byte(params), &e.Params)
		list = append(list, e)
		return err
	})
	return list, err
}
