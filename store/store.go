// Package store keeps what must survive a restart, in SQLite: the calls and
// their events (dialplan.Journal), the deliveries that wait (hooks.Outbox)
// and, apart from them, the answers of lookups (lookup.Cache) and the
// phonebook (lookup.Phonebook).
//
// What Keep and Settle have returned from is on disk, with synchronous =
// "full" on stable storage. Nothing here holds a call: a commit that fails
// says so, a queue that is full says so, and the cache at its worst is empty.
//
// The outbox is one file with one writer, which commits what waits at the
// same moment together. The cache is another, so that its writes never wait
// for the outbox's sync, and so that it can be thrown away. The phonebook is
// a third, which commands write to, and what happened at points a fourth, which
// may be lost as well. What people and programs do with the PBX is in a fifth, which is
// backed up.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/loglimit"
	"ringhook/store/browse"
	"ringhook/store/cache"
	"ringhook/store/credentials"
	"ringhook/store/desk"
	"ringhook/store/disk"
	"ringhook/store/phonebook"
	"ringhook/store/sqlite"
	"ringhook/store/trace"
)

const outboxFile = "outbox.db"

//go:embed migrations
var migrations embed.FS

var outboxSchema = sqlite.Schema{AppID: 0x52484f42, Files: migrations}

// ErrClosed is returned by a store that was closed.
var ErrClosed = sqlite.ErrClosed

// ErrNotFound says that there is no delivery of that number.
var ErrNotFound = browse.ErrNotFound

// Wait is the maximum time for which a start, a reload or a command waits for a file that
// another process has locked.
const Wait = 10 * time.Second

// Store is an open folder.
type Store struct {
	cfg     Config
	folder  string
	log     *slog.Logger
	limited *loglimit.Limiter // for log lines that calls can cause
	metrics *metrics
	now     func() time.Time
	lock    *lock // nil for a tool
	w       *writer
	read    *sql.DB // of the outbox

	journal   *Journal
	outbox    *Outbox
	cache     *cache.Cache
	traces    *trace.File
	phonebook *phonebook.Phonebook     // nil for a tool
	desk      *desk.Desk               // nil for a tool
	secrets   *credentials.Credentials // nil for a tool

	steps      clockSteps
	behind     time.Duration // how long the rows removed by upkeep's last step had been due
	damageOnce sync.Once
	damagedCh  chan struct{} // closed when the outbox is damaged

	reserve       *disk.Reserve
	room          *disk.Room
	maintainEvery time.Duration // a test has its own
	recoverEvery  time.Duration
	recallTime    time.Duration
	salvageRead   time.Duration
	yieldTime     time.Duration

	stop        context.CancelFunc
	wg          sync.WaitGroup
	maintainers sync.WaitGroup // maintain and checkInBackground
}

// Journal is the part that keeps calls and their events.
func (s *Store) Journal() *Journal { return s.journal }

// Outbox is the part that keeps deliveries.
func (s *Store) Outbox() *Outbox { return s.outbox }

// Operator is the part that shows and changes deliveries for people.
func (s *Store) Operator() *Operator { return &Operator{s} }

// Browse returns what people and programs see and change.
func (s *Store) Browse() browse.Store {
	return browse.Store{Operator: s.Operator(), CallReader: s, PointReader: s}
}

// Cache is the part that keeps the answers of lookups.
func (s *Store) Cache() *cache.Cache { return s.cache }

// Phonebook is the part that stores the administrator's own numbers and names. It is nil
// for a tool, which opens the phonebook itself.
func (s *Store) Phonebook() *phonebook.Phonebook { return s.phonebook }

// Desk is the part that stores commands, tokens and campaigns. It is nil for a tool, which
// opens the file itself.
func (s *Store) Desk() *desk.Desk { return s.desk }

// Credentials is the part that stores tokens that other systems issue. It is nil for a tool, which
// opens the file itself.
func (s *Store) Credentials() *credentials.Credentials { return s.secrets }

// Folder is the folder of the files.
func (s *Store) Folder() string { return s.folder }

// Ready returns why commits fail or hang now, nil if they do not.
func (s *Store) Ready() error { return s.w.healthy() }

// CommitProgress returns the number of commits, good and bad, and whether a task waits for
// the next one. While that is so and the count stays, the disk hangs.
func (s *Store) CommitProgress() (n int64, waiting bool) {
	return s.w.rounds.Load(), s.w.began.Load() != 0 || !s.w.idle()
}

// Damaged returns a channel that is closed when the open outbox is damaged. The program
// must then end and be started again: Open replaces the file.
func (s *Store) Damaged() <-chan struct{} { return s.damagedCh }

// Open opens the folder for a daemon, and creates it if it is missing. It returns an error
// for a folder that another daemon has open, and for files of a newer ringhook or of
// another program. It moves a damaged outbox aside and creates a new one, because calls
// must continue; the log contains the command that reads the old one. A damaged cache is
// replaced. The registerer may be nil.
func Open(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	return open(cfg, log, reg, time.Now)
}

func open(cfg Config, log *slog.Logger, reg prometheus.Registerer, now func() time.Time) (*Store, error) {
	if err := sqlite.CheckVersion(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("create the store's folder: %w", err)
	}
	lock, err := takeLock(cfg.Folder)
	if err != nil {
		return nil, err
	}
	warnReadable(cfg.Folder, log)
	s := newStore(cfg, log, reg, now)
	s.lock = lock
	if err := s.start(); err != nil {
		state := lock.before
		if sqlite.ClassOf(err) == sqlite.Corrupt {
			state = damaged // so that the next start checks the whole file
		}
		if sqlite.ClassOf(err) == sqlite.Full {
			err = fmt.Errorf("%w; free some room on the disk of %s: systemd then starts ringhook by itself", err, cfg.Folder)
		}
		return nil, errors.Join(err, lock.release(state))
	}
	if reg != nil {
		reg.MustRegister(collector{s})
	}
	return s, nil
}

// OpenTool opens a folder for a command, whether a daemon is running or not. It does not
// create, migrate or repair anything.
func OpenTool(folder string, log *slog.Logger) (*Store, error) {
	path := filepath.Join(folder, outboxFile)
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("no store in %s: ringhook serve creates it at its first start: %w", folder, err)
	case err != nil:
		return nil, fmt.Errorf("open the store: %w", err)
	}
	cfg := DefaultConfig()
	cfg.Folder, cfg.MaxSize = folder, 0
	s := newStore(cfg, log, nil, time.Now)
	o := s.outboxOptions().Beside()
	o.Checkpoint = 0 // the daemon does that
	c, err := o.Writer()
	if err != nil {
		return nil, err
	}
	if err := outboxSchema.Current(c); err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", path, err), c.Close())
	}
	if s.read, err = readPool(o); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	s.w = newWriter(c, o.Writer, 0, log, s.limited, s.metrics)
	s.wg.Go(s.w.run)
	s.cache.OpenBeside()
	s.wg.Go(s.cache.Run)
	return s, nil
}

func newStore(cfg Config, log *slog.Logger, reg prometheus.Registerer, now func() time.Time) *Store {
	s := &Store{cfg: cfg, folder: cfg.Folder, log: log, limited: loglimit.New(log, time.Minute), metrics: newMetrics(reg), now: now, stop: func() {}, damagedCh: make(chan struct{})}
	s.maintainEvery, s.recoverEvery, s.recallTime, s.salvageRead, s.yieldTime = maintainEvery, recoverEvery, recallTime, salvageRead, yieldTime
	s.reserve = disk.NewReserve(cfg.Folder, int64(cfg.MaxSize))
	s.room = disk.NewRoom(cfg.Folder, s.reserve)
	s.steps.last, s.steps.since = now(), func(last, now time.Time) time.Duration { return now.Sub(last) }
	s.journal = &Journal{s: s, calls: newCallSet()}
	s.outbox = &Outbox{s: s}
	s.traces = trace.New(filepath.Join(cfg.Folder, trace.Name), cfg.KeepCalls, s.room.Enough, log, s.metrics.traceLost, now)
	s.cache = cache.New(filepath.Join(cfg.Folder, cache.File), int64(cfg.MaxSize), cfg.CacheRows, s.room.Enough, log, cache.Metrics{Errors: s.metrics.cacheErrs, Dropped: s.metrics.cacheLost}, now)
	return s
}

// readers is the number of connections that read the outbox, and readerKiB the size of the cache of each: every commit
// empties it, so a larger one holds memory and saves little.
const (
	readers   = 4
	readerKiB = 2 << 10
)

// readPool opens the connections that read the outbox.
func readPool(o sqlite.Options) (*sql.DB, error) {
	o.CacheKiB = readerKiB
	return o.Pool(readers)
}

func (s *Store) outboxOptions() sqlite.Options {
	synchronous := "FULL"
	if s.cfg.Synchronous == "normal" {
		synchronous = "NORMAL"
	}
	return sqlite.Options{
		Path: filepath.Join(s.folder, outboxFile), Synchronous: synchronous, Busy: 5 * time.Second,
		MaxPages: int64(s.cfg.MaxSize) / sqlite.PageSize, Checkpoint: 8000, CacheKiB: 16 << 10,
	}
}

// start opens the files and starts the goroutines.
func (s *Store) start() error {
	o := s.outboxOptions()
	c, err := s.openOutbox(o)
	if err != nil {
		return err
	}
	if err := s.journal.findFormer(c); err != nil {
		return errors.Join(err, c.Close())
	}
	if s.read, err = readPool(o); err != nil {
		return errors.Join(err, c.Close())
	}
	if err := s.lock.mark(running); err != nil {
		return errors.Join(err, s.read.Close(), c.Close())
	}
	s.w = newWriter(c, o.Writer, o.MaxPages, s.log, s.limited, s.metrics)
	s.w.reserve, s.w.room = s.reserve, s.room
	if err := s.w.reserve.Take(); err != nil {
		s.log.Warn("disk has little room: no reserve for results of deliveries", "err", err)
	}
	opened, err := os.Stat(o.Path)
	if err != nil {
		return errors.Join(err, s.read.Close(), c.Close())
	}
	between := (&checkpoints{log: s.log, idle: s.w.idle, tight: func() bool { return s.w.tight }}).between
	s.w.after = func(c *sqlite.Conn) {
		between(c)
		s.checkFileIdentity(o.Path, opened)
	}
	s.w.damaged = func(err error) { s.markDamaged("found by a commit", err) }
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.openPhonebook()
	s.openDesk()
	s.openCredentials()
	s.cache.Open()
	s.traces.Open()
	s.wg.Go(s.w.run)
	s.wg.Go(s.cache.Run)
	s.wg.Go(s.traces.Run)
	s.maintainers.Go(func() { s.maintain(ctx) })
	if s.lock.before == running && fileSize(o.Path) > checkAtOnce {
		s.maintainers.Go(func() { s.checkInBackground(ctx, o) })
	}
	return nil
}

// openPhonebook opens the phonebook. If that fails, calls continue without it. The file is
// not changed, because it cannot be rebuilt.
func (s *Store) openPhonebook() {
	var err error
	if s.phonebook, err = phonebook.Make(s.folder); err != nil {
		s.log.Error("cannot open the phonebook, lookups in it fail", "err", err, "hint", "repair or restore the file, then restart ringhook")
		s.phonebook = phonebook.Broken(err)
	}
}

// openDesk opens the file of commands and tokens. If that fails, calls continue without it. The file
// is not changed, because it cannot be rebuilt.
func (s *Store) openDesk() {
	var err error
	if s.desk, err = desk.Make(s.folder); err != nil {
		s.log.Error("cannot open desk.db, commands for the PBX and tokens of the API fail", "err", err, "hint", "repair or restore the file, then restart ringhook")
		s.desk = desk.Broken(err)
	}
}

// openCredentials opens the file of tokens. If that fails, calls continue without it. The file is not
// changed, because the administrator may have to add the accounts again without it.
func (s *Store) openCredentials() {
	var err error
	if s.secrets, err = credentials.Make(s.folder); err != nil {
		s.log.Error("cannot open credentials.db, accounts get no tokens", "err", err, "hint", "repair or remove the file, then restart ringhook")
		s.secrets = credentials.Broken(err)
	}
}

// Close commits all queued tasks and closes the files. Later operations return ErrClosed.
func (s *Store) Close() error {
	s.stop()
	s.w.end()
	s.maintainers.Wait()
	s.cache.Close()
	s.traces.End()
	s.wg.Wait()
	s.limited.Close()
	err := errors.Join(s.read.Close(), s.w.close(), s.traces.Shut())
	if s.phonebook != nil {
		err = errors.Join(err, s.phonebook.Close())
	}
	if s.desk != nil {
		err = errors.Join(err, s.desk.Close())
	}
	if s.secrets != nil {
		err = errors.Join(err, s.secrets.Close())
	}
	if s.lock != nil {
		state := clean
		if err != nil || s.lock.damaged.Load() {
			state = damaged
		}
		err = errors.Join(err, s.lock.release(state))
	}
	return err
}
