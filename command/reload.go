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
)

type reloadCmd struct {
	Timeout time.Duration `default:"1m" help:"Maximum time to wait for the result."`
}

// Run checks the configuration here, so that its mistakes are printed even if no server
// runs, and then asks the server to reload it.
func (c *reloadCmd) Run(s *streams) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, c.Timeout)
	defer cancel()
	done, err := app.Reload(ctx, cfg.Store.Folder)
	// After a change of [store] folder the server is found by the folder that systemd names.
	if former := os.Getenv("STATE_DIRECTORY"); errors.Is(err, app.ErrNotServing) && former != "" {
		done, err = app.Reload(ctx, former)
	}
	if err != nil {
		return fmt.Errorf("ask the server that uses %s: %w", absolute(cfg.Store.Folder), err)
	}
	for _, w := range done.Warnings {
		fmt.Fprintln(s.err, "warning:", w)
	}
	switch {
	case done.Error != "":
	case len(done.Changed) == 0:
		fmt.Fprintln(s.out, "reloaded; nothing changed")
	default:
		fmt.Fprintf(s.out, "reloaded: %s\n", strings.Join(done.Changed, ", "))
	}
	return done.Err()
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
