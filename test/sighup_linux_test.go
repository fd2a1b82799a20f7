package test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"ringhook/test/wait"
)

// TestReloadBeforeMain checks that SIGHUP does not end a process whose packages are still being initialized. Go prints a
// line for each package, and a full pipe stops it among the first of them.
func TestReloadBeforeMain(t *testing.T) {
	const (
		pipeSize    = 4096
		setPipeSize = 1031   // F_SETPIPE_SZ
		readable    = 0x541b // FIONREAD
	)
	file, _, web := config(t, "")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, _, failed := syscall.Syscall(syscall.SYS_FCNTL, w.Fd(), setPipeSize, pipeSize); failed != 0 {
		t.Fatal(failed)
	}
	c := &process{t: t, cmd: exec.Command(os.Args[0], "serve", "-c", file), log: &bytes.Buffer{}}
	c.cmd.Env = append(os.Environ(), asRinghook+"=1", "GODEBUG=inittrace=1")
	c.cmd.Stderr = w
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	deadline := time.Now().Add(wait.Limit)
	for held := int32(0); held < pipeSize-100; time.Sleep(time.Millisecond) {
		if _, _, failed := syscall.Syscall(syscall.SYS_IOCTL, r.Fd(), readable, uintptr(unsafe.Pointer(&held))); failed != 0 || time.Now().After(deadline) {
			t.Fatal(fmt.Errorf("%d bytes are in the pipe: %w", held, failed))
		}
	}
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	reloaded, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(io.TeeReader(r, c.log))
		for lines.Scan() {
			if bytes.Contains(lines.Bytes(), []byte("configuration reloaded")) {
				select {
				case reloaded <- struct{}{}:
				default:
				}
			}
		}
		ended <- lines.Err()
	}()
	c.ready(web)
	select {
	case <-reloaded:
	case <-time.After(wait.Limit):
		t.Error("the configuration is not reloaded")
	}
	c.stop()
	if err := <-ended; err != nil {
		t.Errorf("%v, log:\n%s", err, c.log)
	}
}
