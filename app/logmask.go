package app

import (
	"fmt"
	"log/slog"
	"slices"
)

// shortestMasked is how many digits in a row are taken for a number that
// belongs to somebody: extensions, ports and counts have fewer.
const shortestMasked = 7

// keptAttrs are attributes that have long numbers in them which are nobody's:
// ids of calls and events, files, and what our own settings say.
var keptAttrs = []string{"uniqueid", "linkedid", "event_id", "delivery", "file", "store", "path", "what", "warning", "stack"}

// maskNumbers leaves the last three digits of every long number in a line's
// texts, whoever wrote it there: a dialplan into a channel's name, a library
// into an error with a URL in it.
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

// maskDigits puts a star in place of each digit of a long number, but for the
// last three.
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
		if end-start >= shortestMasked {
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
