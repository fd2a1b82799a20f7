package app

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// shortestMasked is the least number of digits in a row that may be a phone number:
// extensions, ports and counts have fewer.
const shortestMasked = 7

// keptAttrs are attributes whose long numbers are no phone numbers: ids of calls and
// events, commits, files, and texts of the configuration.
var keptAttrs = []string{"version", "uniqueid", "linkedid", "event_id", "delivery", "file", "store", "path", "what", "warning", "stack"}

// maskNumbers keeps the last three digits only of every long number in an attribute,
// whatever put it there: the dialplan a channel's name, a library an error with a URL.
func maskNumbers(_ []string, a slog.Attr) slog.Attr {
	if slices.Contains(keptAttrs, a.Key) {
		return a
	}
	switch v := a.Value.Any().(type) {
	case string:
		return slog.String(a.Key, maskDigits(v))
	case error:
		return slog.String(a.Key, maskDigits(v.Error()))
	case fmt.Stringer:
		if a.Value.Kind() == slog.KindAny {
			return slog.String(a.Key, maskDigits(v.String()))
		}
	}
	return a
}

// maskDigits replaces the digits of long numbers by asterisks, except the last three. A number of bytes is no phone number.
func maskDigits(s string) string {
	var masked []byte
	for start := 0; start < len(s); {
		if s[start] < '0' || s[start] > '9' {
			start++
			continue
		}
		end := start
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end++
		}
		if end-start >= shortestMasked && !strings.HasPrefix(s[end:], " bytes") {
			if masked == nil {
				masked = []byte(s)
			}
			for i := start; i < end-3; i++ {
				masked[i] = '*'
			}
		}
		start = end
	}
	if masked == nil {
		return s
	}
	return string(masked)
}
