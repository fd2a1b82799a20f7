package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ringhook/store/sqlite"
)

// The sizes in bytes up to which the outbox is checked before the daemon starts: always,
// and after an unclean stop. After an unclean stop a larger one is checked in the background.
const (
	checkAlways = 16 << 20
	checkAtOnce = 1 << 30
)

// damagedMark follows the name of an outbox that was moved aside, before the time.
const damagedMark = ".damaged-"

// openOutbox opens the outbox for writing, migrates it, and replaces it if it is damaged.
func (s *Store) openOutbox(o sqlite.Options) (*sqlite.Conn, error) {
	if err := finishAside(o.Path); err != nil {
		return nil, err
	}
	if info, err := os.Stat(o.Path); s.lock.before != "" && (err != nil || info.Size() == 0) {
		s.logDamage("the file is missing or empty, although the folder was in use")
	}
	c, err := s.tryOutbox(o)
	if sqlite.ClassOf(err) != sqlite.Corrupt && !errors.Is(err, errCheck) {
		return c, err
	}
	aside := o.Path + damagedMark + s.now().UTC().Format("20060102T150405.000Z")
	if moving := moveAside(o.Path, aside); moving != nil {
		return nil, errors.Join(moving, err)
	}
	s.logDamage("moved aside, a new outbox is created", "aside", aside, "err", err,
		"hint", "`ringhook outbox salvage "+aside+"` copies the readable deliveries to the new outbox")
	return s.tryOutbox(o)
}

func moveAside(path, aside string) error {
	for _, part := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+part, aside+part); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("move the damaged outbox aside: %w", err)
		}
	}
	return nil
}

// finishAside moves the write-ahead log to its file if ringhook died between the two
// renames. SQLite would apply the log to the new file.
func finishAside(path string) error {
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		return nil
	}
	moved, err := namedLike(filepath.Dir(path), filepath.Base(path)+damagedMark)
	moved = slices.DeleteFunc(moved, func(name string) bool { return !strings.HasSuffix(name, "Z") }) // the logs of those files
	if err != nil || len(moved) == 0 {
		return err
	}
	last := slices.Max(moved) // their names sort by time
	if _, err := os.Stat(last + "-wal"); !os.IsNotExist(err) {
		return nil
	}
	return moveAside(path, last)
}

// markDamaged records, once, that the open outbox is damaged, and closes Damaged. Only a
// start can replace the file: deliveries in progress refer to their numbers in it.
func (s *Store) markDamaged(what string, err error) {
	s.damageOnce.Do(func() {
		s.lock.damaged.Store(true)
		s.logDamage(what, "err", err, "hint", "ringhook ends; the next start moves the file aside and creates a new one")
		close(s.damagedCh)
	})
}

// checkFileIdentity checks that the path still names the file that was opened. SQLite
// continues to write to a removed or replaced file, whose content is lost when the
// program ends.
func (s *Store) checkFileIdentity(path string, opened os.FileInfo) {
	now, err := os.Stat(path)
	if err == nil && os.SameFile(opened, now) {
		return
	}
	s.damageOnce.Do(func() {
		s.logDamage("the open file was removed or replaced, its deliveries are lost", "err", err, "hint", "ringhook ends; the next start opens the file that is there then")
		close(s.damagedCh)
	})
}

// reading wraps the error of an operation that reads the outbox, and returns nil for
// nil. If the error shows damage, it calls markDamaged.
func (s *Store) reading(op string, err error) error {
	if s.lock != nil && sqlite.ClassOf(err) == sqlite.Corrupt {
		s.markDamaged("found by a read", err)
	}
	return sqlite.Wrap(op, err)
}

// logDamage logs that the outbox is damaged, and sets the metric.
func (s *Store) logDamage(what string, attrs ...any) {
	s.metrics.damaged.Set(1)
	s.log.Error("outbox is damaged: deliveries may be lost", append([]any{"file", outboxFile, "what", what}, attrs...)...)
}

func (s *Store) tryOutbox(o sqlite.Options) (*sqlite.Conn, error) {
	c, err := o.Writer()
	if err != nil {
		return nil, err
	}
	size := fileSize(o.Path)
	_, err = outboxSchema.Version(c) // before anything reads the whole file
	switch {
	case err != nil:
	case s.lock.before == damaged:
		err = check(c, "integrity_check") // the damage may be in an index, which quick_check does not compare
	case size <= checkAlways, s.lock.before == running && size <= checkAtOnce:
		err = check(c, "quick_check")
	}
	if err == nil {
		err = outboxSchema.Migrate(c)
	}
	if err == nil {
		err = s.recallChecked(c)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", o.Path, err), c.Close())
	}
	return c, nil
}

var errCheck = errors.New("fails the SQLite check")

// check runs a check of the whole file.
func check(c *sqlite.Conn, pragma string) error {
	var verdict string
	if _, err := c.One("pragma "+pragma+"(1)", nil, &verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errCheck, verdict)
	}
	return nil
}

// checkInBackground checks a large outbox while the daemon runs, on a connection of its
// own.
func (s *Store) checkInBackground(ctx context.Context, o sqlite.Options) {
	start := s.now()
	err := checkAlone(ctx, o)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.markDamaged("found after an unclean stop", err)
	default:
		s.log.Info("outbox checked after an unclean stop", "took", s.now().Sub(start))
	}
}

func checkAlone(ctx context.Context, o sqlite.Options) error {
	db, err := o.Pool(1)
	if err != nil {
		return err
	}
	var verdict string
	err = db.QueryRowContext(ctx, "pragma quick_check(1)").Scan(&verdict)
	if err == nil && verdict != "ok" {
		err = fmt.Errorf("%w: %s", errCheck, verdict)
	}
	return errors.Join(err, db.Close())
}

// recallTime is the time after which a start checks the whole outbox before it reads on: in a damaged file the pages may
// refer to each other, so that reading does not end. The check visits no page twice.
const recallTime = 30 * time.Second

// recallChecked is recall, within bounds for any file.
func (s *Store) recallChecked(c *sqlite.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.recallTime)
	defer cancel()
	err := s.recall(ctx, c)
	if err == nil || ctx.Err() == nil {
		return err
	}
	s.log.Warn("reading the outbox takes long, it is checked first", "file", outboxFile, "size", fileSize(s.outboxOptions().Path))
	if err := check(c, "quick_check"); err != nil {
		return err
	}
	return s.recall(context.Background(), c) // a slow disk
}

// recall reads the keys of the stored calls into memory, and corrects attempts that a
// wrong clock planned too far ahead.
func (s *Store) recall(ctx context.Context, c *sqlite.Conn) error {
	s.journal.calls = newCallSet()
	err := ascending(ctx, c, "select linkedid from call order by linkedid", s.journal.knows)
	if err == nil {
		err = ascending(ctx, c, "select hook from tally order by hook", func(string) {})
	}
	if err == nil {
		_, err = c.ExecContext(ctx, "delete from tally where pending = 0 and dead = 0")
	}
	if err == nil {
		err = clamp(ctx, c, s.now())
	}
	if sqlite.ClassOf(err) == sqlite.Full {
		s.log.Warn("disk is full: events cannot be kept", "folder", s.folder, "err", err, "hint", "free some room; calls continue")
		return nil // these changes are not needed for a start
	}
	return sqlite.Wrap("read the outbox", err)
}

// ascending calls each with the values of a query, which are unique and sorted. It fails with errCheck if they are not: a
// page that is read twice shows that way, before the rows become endless.
func ascending(ctx context.Context, c *sqlite.Conn, query string, each func(string)) error {
	first, last := true, ""
	return c.AllContext(ctx, query, nil, func(scan func(...any) error) error {
		var value string
		if err := scan(&value); err != nil {
			return err
		}
		if !first && value <= last {
			return fmt.Errorf("%w: rows are repeated or not in order (%s)", errCheck, query)
		}
		first, last = false, value
		each(value)
		return nil
	})
}
