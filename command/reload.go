package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ringhook/app"
	"ringhook/conf"
)

type reloadCmd struct {
	Timeout time.Duration `default:"1m" help:"Maximum time to wait for the result."`
}

// Run asks the server to reload, also if the file has mistakes: the server reports them, with their places, and its
// metric says that the file is not in force. Without a server they are reported here.
func (c *reloadCmd) Run(s *streams) error {
	folder, mistakes := s.storeFolder()
	ctx, cancel := context.WithTimeout(s.ctx, c.Timeout)
	defer cancel()
	var done *app.Reloaded
	err := app.ErrNotServing
	// After a change of [store] folder the server is found by the folder that systemd names.
	for _, place := range []string{folder, os.Getenv("STATE_DIRECTORY")} {
		if place != "" && errors.Is(err, app.ErrNotServing) {
			done, err = app.Reload(ctx, place)
		}
	}
	if folder == "" && errors.Is(err, app.ErrNotServing) {
		return mistakes // without the file the server cannot be found
	}
	if err != nil {
		return errors.Join(mistakes, fmt.Errorf("ask the server that uses %s: %w", folder, err))
	}
	for _, w := range done.Warnings {
		fmt.Fprintln(s.err, "warning:", w)
	}
	switch {
	case done.Error != "", len(done.Changed) == 0 && len(done.Restart) > 0: // the error says it
	case len(done.Changed) == 0:
		fmt.Fprintln(s.out, "reloaded; nothing changed")
	default:
		fmt.Fprintf(s.out, "reloaded: %s\n", strings.Join(done.Changed, ", "))
	}
	return done.Err()
}

// storeFolder returns the folder of the configuration's store, empty if no file can be read, and what is wrong with
// the configuration.
func (s *streams) storeFolder() (folder string, mistakes error) {
	cfg, mistakes := s.load()
	if mistakes == nil {
		return absolute(cfg.Store.Folder), nil
	}
	folder, err := conf.StoreFolder(s.config)
	if err != nil {
		return "", mistakes
	}
	return folder, mistakes
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
