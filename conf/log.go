package conf

import (
	"fmt"
	"log/slog"
)

// LogConfig is the [log] table.
type LogConfig struct {
	// Level is the lowest level that is logged: "debug", "info", "warn" or "error". At
	// "debug" phone numbers are logged in full.
	Level string `toml:"level"`
}

// Slog returns the level for package slog.
func (c *LogConfig) Slog() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.Level)); err != nil {
		return slog.LevelInfo
	}
	return l
}

// Check reports a level that does not exist.
func (c *LogConfig) Check(report func(key, problem string)) {
	switch c.Level {
	case "debug", "info", "warn", "error":
	default:
		report("level", fmt.Sprintf("%q is not a level; write debug, info, warn or error", c.Level))
	}
}
