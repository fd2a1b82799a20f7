package store

import (
	"log/slog"
	"os"
	"path/filepath"

	"ringhook/store/cache"
	"ringhook/store/phonebook"
	"ringhook/store/trace"
)

// warnReadable warns of files with callers' data that others than their owner
// may read. They are made otherwise, but a copy or an administrator can change that.
func warnReadable(folder string, log *slog.Logger) {
	paths := []string{folder}
	for _, name := range []string{outboxFile, cache.File, phonebook.File, trace.Name} {
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
