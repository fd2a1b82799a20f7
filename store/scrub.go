package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ringhook/store/cache"
	"ringhook/store/desk"
	"ringhook/store/phonebook"
	"ringhook/store/sqlite"
	"ringhook/store/trace"
)

const (
	// scrubPages is the number of pages returned to the file system in one commit.
	scrubPages = 1000
	// scrubWait is the maximum wait for other processes before the write-ahead log is
	// truncated.
	scrubWait = 5 * time.Second
)

var errLogInUse = errors.New("the write-ahead log is in use by another process and may still contain deleted data: try again")

// Scrub removes deleted data that remains in free pages and in write-ahead logs of a
// folder's files. A server may be running on them: it commits between the steps.
func Scrub(folder string) error {
	if err := (sqlite.Options{Path: filepath.Join(folder, outboxFile)}).Unwritable(); err != nil {
		return fmt.Errorf("remove deleted data from %s: %w", folder, err)
	}
	var all error
	for _, name := range []string{outboxFile, cache.File, phonebook.File, desk.File, trace.Name} {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			all = errors.Join(all, sqlite.Wrap("scrub "+name, scrub(path)))
		}
	}
	return all
}

func scrub(path string) error {
	o := sqlite.Options{Path: path, Synchronous: "FULL", Busy: scrubWait, CacheKiB: 1 << 10}
	c, err := o.Writer()
	if err != nil {
		return err
	}
	err = vacuum(c)
	if err == nil {
		var busy, length, done int64
		if _, err = c.One("pragma wal_checkpoint(truncate)", nil, &busy, &length, &done); err == nil && busy != 0 {
			err = errLogInUse
		}
	}
	return errors.Join(err, c.Close())
}

// vacuum returns every free page to the file system.
func vacuum(c *sqlite.Conn) error {
	for before := int64(-1); ; {
		_, free, err := sqlite.Pages(c)
		if err != nil || free == 0 || free == before {
			return err
		}
		before = free
		if err := c.All(fmt.Sprintf("pragma incremental_vacuum(%d)", scrubPages), nil, func(func(...any) error) error { return nil }); err != nil {
			return err
		}
	}
}

// Leftovers returns the paths of copies in a folder that Erase and Scrub do not reach: damaged outboxes that were moved
// aside, what a restore replaced, what one that was killed left, and phonebooks that one in PostgreSQL replaced.
func Leftovers(folder string) (paths []string, err error) {
	for _, beginning := range []string{outboxFile + damagedMark, replacedMark, restoring, phonebook.File + phonebook.AsideMark} {
		found, err := namedLike(folder, beginning)
		if err != nil {
			return nil, fmt.Errorf("look for copies of the store: %w", err)
		}
		paths = append(paths, found...)
	}
	return slices.DeleteFunc(paths, func(path string) bool {
		return strings.HasSuffix(path, "-wal") || strings.HasSuffix(path, "-shm") // go with their file
	}), nil
}
