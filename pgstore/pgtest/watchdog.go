package pgtest

import (
	"io"
	"os/exec"
	"path/filepath"
	"syscall"
)

// watchdog ends a server and removes its folder when the process of the tests ends in whatever way, also by a panic or a
// signal: it waits for the end of a pipe that only that process holds.
type watchdog struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

const watch = `read -r never
"$1" -D "$2/data" -m immediate stop
rm -rf "$2"`

func (s *Server) startWatchdog() (*watchdog, error) {
	cmd := exec.Command("/bin/sh", "-c", watch, "sh", filepath.Join(s.bin, "pg_ctl"), s.folder)
	cmd.Dir = "/"
	cmd.SysProcAttr = otherUser()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // an interrupt from the terminal is for the tests
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return &watchdog{cmd, pipe}, cmd.Start()
}

// end has the watchdog do what it waits for, and returns after that.
func (w *watchdog) end() {
	_ = w.pipe.Close()
	_ = w.cmd.Wait() // there may be nothing to stop
}
