package command

import (
	"log/slog"

	"ringhook/conf"
	"ringhook/store"
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
