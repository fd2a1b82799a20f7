package command

import (
	"fmt"

	"ringhook/store"
)

type restoreCmd struct {
	File string `arg:"" help:"The tar file that ringhook backup wrote."`
}

// Run puts the files of a backup into the store's folder. It refuses while a server runs.
func (c *restoreCmd) Run(s *streams) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	r, err := store.Restore(cfg.Store.Folder, c.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s: %s restored from %s\n", cfg.Store.Folder, listed(r.Names), c.File)
	if r.Kept != "" {
		fmt.Fprintf(s.out, "what they replaced is in %s: remove it when all is well\n", r.Kept)
	}
	if r.Root {
		fmt.Fprintf(s.out, "%s is new and belongs to root: chown -R USER: %[1]s if ringhook runs as another user\n", cfg.Store.Folder)
	}
	noteEngine(s.out, cfg, "restore that by itself, with pg_restore or pgBackRest")
	fmt.Fprintln(s.out, "the configuration and its environment are not in a backup; start ringhook now")
	return nil
}
