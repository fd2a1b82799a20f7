package app

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
	"testing"
	"time"

	"ringhook/hooks"
)

// asCrash makes the test binary crash, in the way that it says and while it is at
// delivery 17, and write crashFile in its working directory.
const asCrash = "RINGHOOK_TEST_CRASH"

var crashes = map[string]func(){
	"stack": func() { os.Exit(deeper(0)) },
	"panic": func() { panic("poisoned") },
	"child": func() { // a goroutine is at the delivery of the one that began it
		go panic("poisoned")
		select {}
	},
	"other": func() {
		pprof.SetGoroutineLabels(context.Background())
		panic("not by a delivery")
	},
	"abort": func() { // from outside
		_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
		select {}
	},
	"kill": func() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	},
}

func TestMain(m *testing.M) {
	if how := os.Getenv(asCrash); how != "" {
		crashBy(how)
	}
	os.Exit(m.Run())
}

func deeper(n int) int {
	if n < 0 {
		return 0
	}
	return deeper(n+1) + n
}

func crashBy(how string) {
	if err := recordCrashes(crashFile); err != nil {
		panic(err)
	}
	debug.SetMaxStack(1 << 16)
	ended := make(chan struct{})
	for range 3 { // with others at other deliveries
		go func() {
			pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(hooks.DeliveryLabel, "4")))
			<-ended
		}()
	}
	go func() {
		pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(hooks.DeliveryLabel, "17")))
		crashes[how]()
	}()
	<-ended
}

// TestCrashIsBlamed wants a crash to be blamed on the delivery that the goroutine
// at fault worked at, and no delivery to be blamed for another cause.
func TestCrashIsBlamed(t *testing.T) {
	for how, want := range map[string]int64{"stack": 17, "panic": 17, "child": 17, "other": 0, "abort": 0, "kill": 0} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			c := exec.Command(os.Args[0])
			c.Env = append(os.Environ(), asCrash+"="+how)
			c.Dir = folder
			if err := c.Run(); err == nil {
				t.Fatal("it did not crash")
			}
			text, at, err := readCrash(filepath.Join(folder, crashFile))
			if err != nil || (text == "") != (how == "kill") || time.Since(at) > time.Hour {
				t.Fatalf("got %q of %v, %v", text, at, err)
			}
			if got, ok := blamed(text); got != want || ok != (want != 0) {
				t.Errorf("blamed is %d, want %d:\n%s", got, want, text)
			}
		})
	}
}

// TestTrimCrash expects a long traceback to be cut to what is read of it.
func TestTrimCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), crashFile)
	if err := trimCrash(path); err != nil {
		t.Errorf("no file: %v", err)
	}
	for size, want := range map[int]int{100: 100, 3 * crashRead: crashRead} {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := trimCrash(path); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != int64(want) {
			t.Errorf("of %d bytes: %v, %v, want %d", size, info, err, want)
		}
	}
}

// TestCrashFileIsLink expects a symbolic link in place of the crash file to be neither
// read nor written through.
func TestCrashFileIsLink(t *testing.T) {
	folder := t.TempDir()
	other, path := filepath.Join(folder, "other"), filepath.Join(folder, crashFile)
	if err := os.WriteFile(other, []byte("private"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, path); err != nil {
		t.Fatal(err)
	}
	if text, _, err := readCrash(path); err == nil || text != "" {
		t.Errorf("read %q, %v", text, err)
	}
	if err := recordCrashes(path); err == nil {
		t.Error("the link was written through")
	}
	if text, err := os.ReadFile(other); err != nil || string(text) != "private" {
		t.Errorf("the other file has %q, %v", text, err)
	}
}
