package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ringhook/store/sqlite"
)

// The sizes in bytes up to which the outbox is checked before the daemon starts:
// always, and when it was not stopped well. A larger one is then checked beside it.
const (
	checkAlways = 16 << 20
	checkAtOnce = 1 << 30
)

// openOutbox opens the outbox for writing, brings it up to date, and replaces it
// where it is damaged.
func (s *Store) openOutbox(o sqlite.Options) (*sqlite.Conn, error) {
	if err := finishAside(o.Path); err != nil {
		return nil, err
	}
	if info, err := os.Stat(o.Path); s.lock.before != "" && (err != nil || info.Size() == 0) {
		s.logDamage("it is missing or empty, though this folder was in use")
	}
	c, err := s.tryOutbox(o)
	if sqlite.ClassOf(err) != sqlite.Corrupt && !errors.Is(err, errCheck) {
		return c, err
	}
	aside := o.Path + ".damaged-" + s.now().UTC().Format("20060102T150405.000Z")
	if moving := moveAside(o.Path, aside); moving != nil {
		return nil, errors.Join(moving, err)
	}
	s.logDamage("moved aside to "+aside+", a new one is begun; `ringhook outbox salvage "+aside+"` copies into it what can still be read", "err", err)
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

// finishAside moves the write-ahead log after its file, where ringhook died
// between the two: SQLite would take it for one of the next file.
func finishAside(path string) error {
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		return nil
	}
	moved, err := namedLike(filepath.Dir(path), filepath.Base(path)+".damaged-")
	moved = slices.DeleteFunc(moved, func(name string) bool { return !strings.HasSuffix(name, "Z") }) // the logs of those files
	if err != nil || len(moved) == 0 {
		return err
	}
	last := slices.Max(moved) // they are named by time
	if _, err := os.Stat(last + "-wal"); !os.IsNotExist(err) {
		return nil
	}
	return moveAside(path, last)
}

// damaged makes it known, once, that the outbox was found damaged while it is in
// use. Only a start can replace it: deliveries under way are known by their number in it.
func (s *Store) markDamaged(what string, err error) {
	s.damageOnce.Do(func() {
		s.lock.damaged.Store(true)
		s.logDamage(what+"; ringhook ends, the next start moves it aside and begins a new one", "err", err)
		close(s.damagedCh)
	})
}

// checkFileIdentity looks whether the outbox's file is the one that was opened.
// SQLite goes on writing to a file that was removed or replaced, and everything
// in it would be gone with the program.
func (s *Store) checkFileIdentity(path string, opened os.FileInfo) {
	now, err := os.Stat(path)
	if err == nil && os.SameFile(opened, now) {
		return
	}
	s.damageOnce.Do(func() {
		s.logDamage("somebody removed or replaced its file while ringhook has it open, and what was kept in it is lost; ringhook ends, the next start takes the file that is there then", "err", err)
		close(s.damagedCh)
	})
}

// reading is the fault of an operation that read the outbox, nil where there
// was none.
func (s *Store) reading(op string, err error) error {
	if s.lock != nil && sqlite.ClassOf(err) == sqlite.Corrupt {
		s.markDamaged("a read found it damaged", err)
	}
	return sqlite.Wrap(op, err)
}

// logDamage logs and counts that the outbox lost something.
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
	_, err = outboxSchema.Version(c) // before anything walks through the file
	switch {
	case err != nil:
	case s.lock.before == damaged:
		err = check(c, "integrity_check") // what was found may be in an index, which the other does not compare
	case size <= checkAlways, s.lock.before == running && size <= checkAtOnce:
		err = check(c, "quick_check")
	}
	if err == nil {
		err = outboxSchema.Migrate(c)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", o.Path, err), c.Close())
	}
	return c, nil
}

var errCheck = errors.New("does not pass SQLite's check")

// check walks through the file.
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

// checkBehind checks a large outbox beside the running daemon, on a connection
// of its own.
func (s *Store) checkBehind(ctx context.Context, o sqlite.Options) {
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
