package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"ringhook/conf"
	"ringhook/hooks"
	"ringhook/pgstore"
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
	engine *pgstore.Store // nil if everything is in the folder
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
			err = do(p, o.Show)
		}
		if err != nil {
			return err
		}
	}
	// The folder has the traces, and may have calls from before it was an engine's.
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
		if err != nil {
			return e, err
		}
	}
	f, err := o.folder.EraseOf(ctx, sole, numbers...)
	return browse.Erased{
		Calls: e.Calls + f.Calls, Events: e.Events + f.Events, Deliveries: e.Deliveries + f.Deliveries, Pending: e.Pending + f.Pending, Points: f.Points,
	}, err
}

// openStore opens the configuration's store, also while a server runs on it.
func openStore(s *streams) (*openedStore, *conf.Config, error) {
	folder, cfg, err := openFolder(s)
	if err != nil {
		return nil, nil, err
	}
	o := &openedStore{Store: folder.Browse(), folder: folder, outbox: folder.Outbox()}
	if cfg.Store.Type == store.Postgres {
		ctx, cancel := context.WithTimeout(s.ctx, store.Wait)
		defer cancel()
		if o.engine, err = pgstore.Open(ctx, pgstore.Config{DSN: cfg.Store.DSN}, s.warnings()); err != nil {
			return nil, nil, errors.Join(engineError(cfg, err), folder.Close())
		}
		o.Store, o.outbox = o.engine.Browse(folder), o.engine.Outbox()
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

// engineError says which database failed, and what to do.
func engineError(cfg *conf.Config, err error) error {
	hint := "run ringhook engine check"
	if errors.Is(err, pgstore.ErrNoSchema) || errors.Is(err, pgstore.ErrOutdated) {
		hint = "run ringhook engine init"
	}
	return fmt.Errorf("open PostgreSQL (%s): %w; %s", pgstore.Address(cfg.Store.DSN), err, hint)
}

// onlySQLite returns an error if calls and deliveries are not in the folder. instead says what to do then.
func onlySQLite(cfg *conf.Config, what, instead string) error {
	if cfg.Store.Type != store.Postgres {
		return nil
	}
	return fmt.Errorf("%s does not work with [store] type = %q: %s", what, store.Postgres, instead)
}

// warnings returns the logger of a command, which prints warnings and errors.
func (s *streams) warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// withDesk opens desk.db, also while a server runs on it.
func withDesk(s *streams, do func(*desk.Desk) error) (err error) {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	d, err := desk.Open(cfg.Store.Folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return do(d)
}
