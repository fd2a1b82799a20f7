package store

import "time"

// Config is the [store] table.
type Config struct {
	// Folder holds outbox.db, cache.db, phonebook.db and trace.db. It is made where it is missing.
	Folder string `toml:"folder"`
	// Synchronous says what a commit of the outbox survives: "full" a power
	// cut, "normal" only the end of the process.
	Synchronous string `toml:"synchronous"`
	// KeepDelivered is how long a delivery stays to be looked at once it is
	// delivered or dropped.
	KeepDelivered time.Duration `toml:"keep_delivered"`
	// KeepDead is how long a delivery that was given up stays, to be retried.
	KeepDead time.Duration `toml:"keep_dead"`
	// KeepCalls is how long a call's state stays without a word of the call,
	// and how long what happened at a point is kept.
	KeepCalls time.Duration `toml:"keep_calls"`
	// MaxSize is the most that outbox.db and cache.db may take each, in bytes. A
	// 64th of it, 4 to 64 MiB, is held back on the disk.
	MaxSize Size `toml:"max_size"`
	// CacheRows is the most answers that the cache keeps.
	CacheRows int64 `toml:"cache_rows"`
}

const day = 24 * time.Hour

// DefaultConfig is the [store] table of an empty file.
func DefaultConfig() Config {
	return Config{
		Folder:        "ringhook-data",
		Synchronous:   "full",
		KeepDelivered: 7 * day,
		KeepDead:      30 * day,
		KeepCalls:     day,
		MaxSize:       4 << 30,
		CacheRows:     1_000_000,
	}
}

// Check reports every value that cannot work, by its key.
func (c *Config) Check(report func(key, problem string)) {
	if c.Folder == "" {
		report("folder", "is empty: name the folder that shall hold the files")
	}
	if c.Synchronous != "full" && c.Synchronous != "normal" {
		report("synchronous", `must be "full" (survives a power cut) or "normal" (survives kill -9)`)
	}
	if c.KeepCalls < time.Minute {
		report("keep_calls", `must be at least "1m": the state of a running call would be forgotten`)
	}
	// A repeated event is known by the one that is kept.
	if c.KeepDelivered < c.KeepCalls {
		report("keep_delivered", "must not be shorter than keep_calls: a repeated event of a running call would be sent again")
	}
	if c.KeepDead < c.KeepCalls {
		report("keep_dead", "must not be shorter than keep_calls: a repeated event of a running call would be sent again")
	}
	if c.MaxSize < 16<<20 {
		report("max_size", "must be at least 16MiB")
	}
	if c.CacheRows < 1000 {
		report("cache_rows", "must be at least 1000")
	}
}
