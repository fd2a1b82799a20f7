package store

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"ringhook/store/size"
)

// The types of stores.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Config is the [store] table.
type Config struct {
	// Type is Postgres if calls, events and deliveries are in PostgreSQL, else SQLite.
	Type string `toml:"type"`
	// DSN is the address of the PostgreSQL database, with its password. It is empty for SQLite.
	DSN string `toml:"dsn"`
	// Promise is what RINGHOOK_STATUS promises with Postgres: "cluster", "machine" or "cluster-only".
	Promise string `toml:"promise"`
	// Patience is the time for which a point waits for PostgreSQL before its event is kept in the folder.
	Patience time.Duration `toml:"patience"`
	// AloneAfter is the time for which PostgreSQL is away before events of the folder are delivered from there; 0: never.
	AloneAfter time.Duration `toml:"alone_after"`
	// Node is the name of this ringhook among those that use the database; empty is the host's name.
	Node string `toml:"node"`
	// Folder holds outbox.db, cache.db, phonebook.db, desk.db and trace.db. It is created if it is missing.
	Folder string `toml:"folder"`
	// Synchronous is "full" if a commit must survive a power cut, or "normal" if it
	// must survive only the end of the process.
	Synchronous string `toml:"synchronous"`
	// KeepDelivered is the time for which delivered and dropped deliveries are kept.
	KeepDelivered time.Duration `toml:"keep_delivered"`
	// KeepDead is the time for which dead deliveries are kept.
	KeepDead time.Duration `toml:"keep_dead"`
	// KeepCalls is the time for which the state of an idle call and trace records are
	// kept.
	KeepCalls time.Duration `toml:"keep_calls"`
	// MaxSize is the maximum size of outbox.db and of cache.db in bytes. A 64th of it, 4
	// to 64 MiB, is reserved on the disk.
	MaxSize size.Size `toml:"max_size"`
	// CacheRows is the maximum number of entries in the cache.
	CacheRows int64 `toml:"cache_rows"`
}

// maxNode is the maximum length of the name of a node, as of that of a host.
const maxNode = 253

const day = 24 * time.Hour

// DefaultConfig is the [store] table of an empty file.
func DefaultConfig() Config {
	return Config{
		Type:          SQLite,
		Promise:       "cluster",
		Patience:      100 * time.Millisecond,
		AloneAfter:    3 * time.Second,
		Folder:        "ringhook-data",
		Synchronous:   "full",
		KeepDelivered: 7 * day,
		KeepDead:      30 * day,
		KeepCalls:     day,
		MaxSize:       4 << 30,
		CacheRows:     1_000_000,
	}
}

// Check reports every invalid value with its key.
func (c *Config) Check(report func(key, problem string)) {
	switch {
	case c.Type != SQLite && c.Type != Postgres:
		report("type", `must be "sqlite" or "postgres"`)
	case c.Type == Postgres && c.DSN == "":
		report("dsn", `is missing: type = "postgres" needs the address of the database, such as "postgres://ringhook:${RINGHOOK_DB_PASSWORD}@db1/ringhook?sslmode=verify-full"`)
	case c.Type == SQLite && c.DSN != "":
		report("dsn", `is only for type = "postgres": set that, or remove dsn`)
	}
	if c.Promise != "cluster" && c.Promise != "machine" && c.Promise != "cluster-only" {
		report("promise", `must be "cluster", "machine" or "cluster-only"`)
	}
	if c.Patience < time.Millisecond || c.Patience > 250*time.Millisecond {
		report("patience", `must be "1ms" to "250ms": no call waits longer for a commit`)
	}
	if c.AloneAfter < 0 {
		report("alone_after", `must not be negative; "0s" is never`)
	}
	switch {
	case c.Type == SQLite && c.Node != "":
		report("node", `is only for type = "postgres": set that, or remove node`)
	case len(c.Node) > maxNode || strings.ContainsFunc(c.Node, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }):
		report("node", fmt.Sprintf("is a name of at most %d bytes without blanks", maxNode))
	}
	if c.Folder == "" {
		report("folder", "is empty: set the folder for the files")
	}
	if c.Synchronous != "full" && c.Synchronous != "normal" {
		report("synchronous", `must be "full" (survives a power cut) or "normal" (survives kill -9)`)
	}
	if c.KeepCalls < time.Minute {
		report("keep_calls", `must be at least "1m": the state of a running call would be forgotten`)
	}
	// A repeated event is detected by the stored one.
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
