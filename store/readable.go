package store

import (
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"ringhook/store/cache"
	"ringhook/store/desk"
	"ringhook/store/phonebook"
	"ringhook/store/trace"
)

// warnReadable warns of files with callers' data that others than their owner
// may read. They are made otherwise, but a copy or an administrator can change that.
func warnReadable(folder string, log *slog.Logger) {
	if owner, ok := ownerOf(folder); ok && owner != os.Geteuid() && owner != 0 {
		log.Warn("store's folder belongs to another user, who can replace its files", "path", folder, "uid", owner, "hint", "chown it to the user that runs ringhook")
	}
	paths := []string{folder}
	for _, name := range []string{outboxFile, cache.File, phonebook.File, desk.File, trace.Name} {
		paths = append(paths, filepath.Join(folder, name))
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 == 0 { // one that is not there yet is made for its owner
			continue
		}
		log.Warn("store can be read or changed by others than its owner, and there are callers' names and numbers in it: chmod go-rwx",
			"path", path, "mode", info.Mode().Perm().String())
	}
}

func ownerOf(path string) (uid int, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}
