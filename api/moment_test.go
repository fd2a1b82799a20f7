package api

import (
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"2h": "2026-01-15T07:30:00+01:00", "1h30m": "2026-01-15T08:00:00+01:00", "0s": "2026-01-15T09:30:00+01:00",
		"09:12": "2026-01-15T09:12:00+01:00", "10:42": "2026-01-14T10:42:00+01:00", "10:42:07": "2026-01-14T10:42:07+01:00",
		"2026-01-02": "2026-01-02T00:00:00+01:00", "2026-01-02 10:42": "2026-01-02T10:42:00+01:00",
		"2026-01-02T10:42:01": "2026-01-02T10:42:01+01:00", "2026-01-02T10:42:01Z": "2026-01-02T10:42:01Z",
		"": "", "soon": "", "-2h": "", "25:00": "", "10": "", "2026-13-01": "",
	} {
		got, ok := ParseMoment(text, now)
		if ok != (want != "") || ok && got.Format(time.RFC3339) != want {
			t.Errorf("%q: got %v, %v, want %s", text, got, ok, want)
		}
	}
}

func TestSpan(t *testing.T) {
	now := time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
	for span, want := range map[[2]string]string{
		{"09:00", "09:15"}:            "2026-01-15T09:15:00Z",
		{"09:25", "09:35"}:            "2026-01-15T09:35:00Z", // which is not over yet
		{"22:00", "23:00"}:            "2026-01-14T23:00:00Z",
		{"23:00", "01:00"}:            "2026-01-15T01:00:00Z",
		{"1h", "10:00"}:               "2026-01-15T10:00:00Z",
		{"2026-01-10", "10:00"}:       "2026-01-14T10:00:00Z",
		{"2026-01-10", "2026-01-09"}:  "2026-01-09T00:00:00Z", // which is none
		{"2026-01-10 10:00", "0s"}:    "2026-01-15T09:30:00Z",
		{"2026-01-15 09:28", "09:29"}: "2026-01-15T09:29:00Z",
	} {
		since, ok := ParseMoment(span[0], now)
		until, ended := ParseMoment(span[1], now)
		if got := until.EndOf(since.Time).Format(time.RFC3339); !ok || !ended || got != want {
			t.Errorf("%v: got %s, want %s", span, got, want)
		}
	}
}
