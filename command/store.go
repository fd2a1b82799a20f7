package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"ringhook/conf"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/pgstore"
	enginecache "ringhook/pgstore/cache"
	enginedesk "ringhook/pgstore/desk"
	enginetrace "ringhook/pgstore/trace"
	"ringhook/store"
	"ringhook/store/browse"
	"ringhook/store/desk"
)

// openedStore is the store of a configuration, open for a command.
type openedStore struct {
	browse.Store
	folder *store.Store
	outbox interface {
		Remembered(hook, call string) (map[string]string, error)
	}
	engine *pgstore.Store      // nil if everything is in the folder
	points *enginetrace.Reader // of the engine; nil likewise
}

// Close closes it.
func (o *openedStore) Close() error {
	err := o.folder.Close()
	if o.engine != nil {
		err = errors.Join(err, o.engine.Close())
	}
	return err
}

// person calls do with what each store has of the holder of a number, and with what shows a delivery of that store.
func (o *openedStore) person(numbers []string, do func(p browse.Person, show func(int64) (browse.Item, []hooks.Attempt, error)) error) error {
	var sole map[string]bool
	if o.engine != nil {
		p, err := o.engine.Person(numbers...)
		if err == nil {
			sole, err = o.engine.Sole(numbers...)
		}
		if err == nil {
			p.Points, err = o.points.Find(store.PointsOf(sole, numbers))
		}
		if err == nil {
			err = do(p, o.Show)
		}
		if err != nil {
			return err
		}
	}
	// The folder has traces from while the engine was away, and may have calls from before it was an engine's.
	p, err := o.folder.PersonOf(sole, numbers...)
	if err != nil {
		return err
	}
	return do(p, o.folder.Operator().Show)
}

// erase erases what every store has of the holder of a number.
func (o *openedStore) erase(ctx context.Context, numbers []string) (browse.Erased, error) {
	var e browse.Erased
	var sole map[string]bool
	if o.engine != nil {
		var err error
		if sole, err = o.engine.Sole(numbers...); err == nil {
			e, err = o.engine.Erase(ctx, numbers...)
		}
		if err == nil {
			e.Points, err = o.points.Erase(store.PointsOf(sole, numbers))
		}
		if err != nil {
			return e, err
		}
	}
	f, err := o.folder.EraseOf(ctx, sole, numbers...)
	return browse.Erased{
		Calls: e.Calls + f.Calls, Events: e.Events + f.Events, Deliveries: e.Deliveries + f.Deliveries, Pending: e.Pending + f.Pending, Points: e.Points + f.Points,
	}, err
}

// eachDesk calls do with each store of what people and programs do with the PBX. The folder may have one from before it was an
// engine's.
func (o *openedStore) eachDesk(do func(deskStore) error) error {
	if o.engine != nil {
		if err := do(enginedesk.New(o.engine)); err != nil {
			return err
		}
	}
	d, err := desk.Open(o.folder.Folder())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(do(d), d.Close())
}

// cache returns the answers of lookups.
func (o *openedStore) cache() answerStore {
	if o.engine != nil {
		return enginecache.Beside(o.engine, o.folder.Cache())
	}
	return o.folder.Cache()
}

// openStore opens the configuration's store, also while a server runs on it.
func openStore(s *streams) (*openedStore, *conf.Config, error) {
	folder, cfg, err := openFolder(s)
	if err != nil {
		return nil, nil, err
	}
	o := &openedStore{Store: folder.Browse(), folder: folder, outbox: folder.Outbox()}
	if cfg.Store.Type == store.Postgres {
		if o.engine, err = openEngine(s, cfg); err != nil {
			return nil, nil, errors.Join(err, folder.Close())
		}
		o.points = enginetrace.NewReader(o.engine, folder)
		o.Store, o.outbox = o.engine.Browse(o.points), o.engine.Outbox()
	}
	return o, cfg, nil
}

// openFolder opens the files in the folder of the configuration's store, also while a server runs on them.
func openFolder(s *streams) (*store.Store, *conf.Config, error) {
	cfg, err := s.load()
	if err != nil {
		return nil, nil, err
	}
	folder, err := store.OpenTool(cfg.Store.Folder, s.warnings())
	return folder, cfg, err
}

// engineError says which database failed, and what to do. It does not wrap the error: a socket that does not exist is no store that
// does not exist.
func engineError(cfg *conf.Config, err error) error {
	hint := "run ringhook engine check"
	if errors.Is(err, pgstore.ErrNoSchema) || errors.Is(err, pgstore.ErrOutdated) {
		hint = "run ringhook engine init"
	}
	return fmt.Errorf("open PostgreSQL (%s): %s; %s", pgstore.Address(cfg.Store.DSN), err.Error(), hint)
}

// noteEngine says that a backup has only what is in the folder, if there is more, and what to do about the rest.
func noteEngine(out io.Writer, cfg *conf.Config, what string) {
	if cfg.Store.Type == store.Postgres {
		fmt.Fprintf(out, "it has only what is in the folder; calls, events, deliveries, agents, tokens and the phonebook are in PostgreSQL: %s, see docs/cluster.md#backup\n", what)
	}
}

// warnings returns the logger of a command, which prints warnings and errors.
func (s *streams) warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// deskStore is where commands find and change what people and programs do with the PBX.
type deskStore interface {
	lookup.DIDs
	AddToken(t desk.Token) (token string, err error)
	Tokens() ([]desk.Token, error)
	RemoveToken(name string) (removed bool, err error)
	Invite(agent string, ends time.Time) (code string, err error)
	Sessions(agent string) ([]desk.Session, error)
	EndSessions(agent string) (n int, err error)
	Exceptions() ([]desk.Exception, error)
	AddExceptions(list ...desk.Exception) error
	RemoveException(number, agent string) (removed bool, err error)
	Person(numbers ...string) (desk.Person, error)
	Erase(numbers ...string) (desk.Erased, error)
	Close() error
}

// engineDesk is the desk of an engine that is closed with it.
type engineDesk struct {
	*enginedesk.Desk
	engine *pgstore.Store
}

// Close closes the engine.
func (d engineDesk) Close() error { return d.engine.Close() }

// openDesk opens what people and programs do with the PBX, also while a server runs. In a folder without it, it is made, or the
// error is an os.ErrNotExist.
func openDesk(s *streams, cfg *conf.Config, create bool) (deskStore, error) {
	if cfg.Store.Type == store.Postgres {
		engine, err := openEngine(s, cfg)
		if err != nil {
			return nil, err
		}
		return engineDesk{enginedesk.New(engine), engine}, nil
	}
	open := desk.Open
	if create {
		open = desk.Make
	}
	d, err := open(cfg.Store.Folder)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// openEngine opens the database of the configuration.
func openEngine(s *streams, cfg *conf.Config) (*pgstore.Store, error) {
	ctx, cancel := context.WithTimeout(s.ctx, store.Wait)
	defer cancel()
	engine, err := pgstore.Open(ctx, pgstore.Config{DSN: cfg.Store.DSN}, s.warnings())
	if err != nil {
		return nil, engineError(cfg, err)
	}
	return engine, nil
}

// withDesk opens what people and programs do with the PBX, also while a server runs.
func withDesk(s *streams, do func(deskStore) error) (err error) {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	d, err := openDesk(s, cfg, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return do(d)
}
