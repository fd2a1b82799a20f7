package app

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"
)

// isJournal reports whether a log goes to systemd's journal, see JOURNAL_STREAM in
// systemd.exec(5).
func isJournal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// priorities are the journal's for the levels of slog, see sd-daemon(3).
var priorities = []struct{ level, prefix []byte }{
	{[]byte("level=ERROR"), []byte("<3>")}, {[]byte("level=WARN"), []byte("<4>")},
	{[]byte("level=INFO"), []byte("<6>")}, {[]byte("level=DEBUG"), []byte("<7>")},
}

// priority returns the prefix with the priority of a line. The level is the first
// attribute, or the second after the time.
func priority(line []byte) []byte {
	if time, rest, ok := bytes.Cut(line, []byte(" ")); ok && bytes.HasPrefix(time, []byte("time=")) {
		line = rest
	}
	for _, p := range priorities {
		if bytes.HasPrefix(line, p.level) {
			return p.prefix
		}
	}
	return nil
}
