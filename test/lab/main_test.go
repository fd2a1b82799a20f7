//go:build e2e

package lab

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"unsafe"
)

// suites are the Debians whose Asterisk the calls are tried on: 16 and 22. In the namespaces it is one of them, or
// both for what needs both.
var suites = []string{"bullseye", "sid"}

// The environment names for the tests in the namespaces what was prepared outside.
const (
	binaryVariable  = "RINGHOOK_LAB_BINARY"
	chrootsVariable = "RINGHOOK_LAB_CHROOTS"
	suiteVariable   = "RINGHOOK_LAB_SUITE"
)

func TestMain(m *testing.M) {
	if os.Getenv(binaryVariable) == "" {
		os.Exit(outside())
	}
	flag.Parse()
	if suite := os.Getenv(suiteVariable); suite != "" {
		suites = []string{suite}
	}
	// The calls wait more than they work: more of them than there are processors.
	err := errors.Join(inside(), flag.Set("test.parallel", fmt.Sprint(min(10, 3+2*runtime.NumCPU()))))
	if err != nil {
		fmt.Fprintln(os.Stderr, "prepare the lab:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// outside builds ringhook and runs this test once more for each Asterisk, in namespaces of their own, which end, with
// all that was started in them, when it does. Both run at once, except where times are measured, and under fire on a
// machine with few processors: calls would fail between SIPp and Asterisk. A suite that the environment names runs alone,
// and its output is seen at once.
func outside() int {
	chroots, err := findChroots()
	if err != nil {
		fmt.Fprintf(os.Stderr, "The calls cannot be tried on this machine:\n%v\n", err)
		return 1
	}
	folder, err := os.MkdirTemp("", "ringhook-lab-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	binary := filepath.Join(folder, "ringhook")
	build := exec.Command("go", "build", "-tags", "sqlite_omit_load_extension", "-o", binary, "ringhook")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build ringhook:", err)
		return 1
	}

	environment := append(os.Environ(), binaryVariable+"="+binary, chrootsVariable+"="+chroots)
	if os.Getenv(timesVariable) != "" || os.Getenv(suiteVariable) != "" {
		return again(environment, os.Stdout)
	}
	codes := make([]int, len(suites))
	said := make([]bytes.Buffer, len(suites))
	apart := os.Getenv(fireVariable) != "" && runtime.NumCPU() < 4
	var running sync.WaitGroup
	for i, suite := range suites {
		play := func() { codes[i] = again(append(slices.Clone(environment), suiteVariable+"="+suite), &said[i]) }
		if apart {
			play()
		} else {
			running.Go(play)
		}
	}
	running.Wait()
	for i := range said {
		os.Stdout.Write(said[i].Bytes())
	}
	return slices.Max(codes)
}

// again runs this test in namespaces of its own, and returns its exit code.
func again(environment []string, out io.Writer) int {
	runtime.LockOSThread() // Pdeathsig looks at the thread that started the child
	defer runtime.UnlockOSThread()
	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	child.Stdout, child.Stderr, child.Env = out, out, environment
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	err := child.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	}
	fmt.Fprintln(out, "run in namespaces of its own:", err)
	return 1
}

// findChroots looks for all that the lab needs, and says what is missing.
func findChroots() (string, error) {
	var missing []error
	if os.Geteuid() != 0 {
		missing = append(missing, errors.New("  root is needed, for chroots and namespaces"))
	}
	for tool, pkg := range map[string]string{"sipp": "sip-tester", "python3": "python3", "php": "php-cli"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, fmt.Errorf("  %s is not installed: apt-get install %s", tool, pkg))
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", errors.Join(append(missing, err)...)
	}
	chroots := filepath.Join(cache, "ringhook", "lab")
	for _, suite := range suites {
		if _, err := os.Stat(filepath.Join(chroots, suite, asteriskProgram)); err != nil {
			missing = append(missing, fmt.Errorf("  there is no Asterisk in %s: make lab", filepath.Join(chroots, suite)))
		}
	}
	return chroots, errors.Join(missing...)
}

// inside makes the namespaces fit to live in. The folders of the tests are in
// memory: what is tried here are calls, and not how busy this machine's disk is.
func inside() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep the mounts to ourselves: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	folder, err := os.MkdirTemp(filepath.Dir(os.Getenv(binaryVariable)), "memory-")
	err = errors.Join(err, syscall.Mount("tmpfs", folder, "tmpfs", 0, ""), os.Setenv("TMPDIR", folder))
	if err != nil {
		return fmt.Errorf("make a folder in memory: %w", err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	loopback := struct { // struct ifreq of netdevice(7)
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(loopback.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&loopback))); errno != 0 {
		return fmt.Errorf("bring the loopback up: %w", errno)
	}
	return nil
}
