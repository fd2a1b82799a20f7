package store

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Config is the [store] table.
type Config struct {
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
	MaxSize Size `toml:"max_size"`
	// CacheRows is the maximum number of entries in the cache.
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

// Check reports every invalid value with its key.
func (c *Config) Check(report func(key, problem string)) {
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

// Size is a number of bytes. As text it has a unit, such as "4GiB".
type Size int64

// sizeUnits are in ascending order, each 1024 times the one before.
var sizeUnits = []string{"B", "KiB", "MiB", "GiB", "TiB"}

// UnmarshalText reads a whole number with one of the units B, KiB, MiB, GiB and TiB.
func (s *Size) UnmarshalText(text []byte) error {
	digits := strings.TrimRight(string(text), "BKMGTi")
	n, err := strconv.ParseUint(digits, 10, 63)
	unit := string(text[len(digits):])
	for i, name := range sizeUnits {
		if err != nil || unit != name {
			continue
		}
		if n > math.MaxInt64>>(10*i) {
			return fmt.Errorf("%q is too large", text)
		}
		*s = Size(n) << (10 * i)
		return nil
	}
	return fmt.Errorf(`%q is not a size; write a whole number and a unit, such as "512MiB" or "4GiB"`, text)
}

// String returns the size with the largest unit that needs no fraction.
func (s Size) String() string {
	i := 0
	for s != 0 && s%1024 == 0 && i < len(sizeUnits)-1 {
		s /= 1024
		i++
	}
	return strconv.FormatInt(int64(s), 10) + sizeUnits[i]
}
