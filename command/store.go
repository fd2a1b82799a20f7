package command

import (
	"errors"
	"log/slog"

	"ringhook/conf"
	"ringhook/store"
	"ringhook/store/desk"
)

// openStore opens the configuration's store, also while a server runs on it.
func openStore(s *streams) (*store.Store, *conf.Config, error) {
	cfg, err := s.load()
	if err != nil {
		return nil, nil, err
	}
	st, err := store.OpenTool(cfg.Store.Folder, s.warnings())
	return st, cfg, err
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
