package api

import (
	"fmt"
	"time"
)

// Moment is a point in time as people write it: a duration ago, or a local time or date.
type Moment struct {
	time.Time
	clock bool // a time within the last 24 hours, without a date
}

// The layouts of dates, and of times within the last 24 hours.
var (
	momentLayouts = []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, "2006-01-02 15:04", time.DateOnly}
	clockLayouts  = []string{"15:04", time.TimeOnly}
)

// UnmarshalText reads a moment.
func (m *Moment) UnmarshalText(text []byte) error {
	var ok bool
	if *m, ok = ParseMoment(string(text), time.Now()); !ok {
		return fmt.Errorf("%q is not a time: write 2h for two hours ago, 10:42, or \"2006-01-02 15:04\"", text)
	}
	return nil
}

// EndOf returns m as the end of a time span that begins at since: at 10:43 the span from
// 10:40 to 10:45 ends in two minutes, not yesterday.
func (m Moment) EndOf(since time.Time) time.Time {
	if m.clock && !m.After(since) {
		return m.AddDate(0, 0, 1)
	}
	return m.Time
}

// ParseMoment reads a moment relative to now.
func ParseMoment(text string, now time.Time) (Moment, bool) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return Moment{Time: now.Add(-ago)}, true
	}
	for _, layout := range momentLayouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return Moment{Time: t}, true
		}
	}
	for _, layout := range clockLayouts {
		t, err := time.ParseInLocation(layout, text, now.Location())
		if err != nil {
			continue
		}
		year, month, day := now.Date()
		at := time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), 0, now.Location())
		if at.After(now) {
			at = at.AddDate(0, 0, -1)
		}
		return Moment{at, true}, true
	}
	return Moment{}, false
}
