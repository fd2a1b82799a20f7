package command

import (
	"fmt"

	"ringhook/store"
)

type backupCmd struct {
	File string `arg:"" help:"The tar file to write. One that is there is not touched."`
}

// Run writes the backup and says how to restore it.
func (c *backupCmd) Run(s *streams) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	names, err := store.Backup(s.ctx, cfg.Store.Folder, c.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s: %s; to restore it, stop ringhook and run ringhook restore %[1]s\nthe configuration and its environment are not in it\n",
		c.File, listed(names))
	noteEngine(s.out, cfg, "back that up too, with pg_dump or pgBackRest")
	return nil
}
