//go:build e2e

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	asteriskProgram = "/usr/sbin/asterisk"
	// workplace is where an Asterisk in its chroot finds the folder that the
	// test keeps for it.
	workplace = "/mnt"
)

// asterisk is a real one, in its chroot.
type asterisk struct {
	root    string // of the chroot
	folder  string // etc, log, run ... of this run
	net     string // begins its addresses and those of its phones
	version string
	process *exec.Cmd
}

// startAsterisk starts the Asterisk of a Debian with a configuration of its
// own, and stops it when the test ends. The files of over replace those that a lab
// has as a rule.
func startAsterisk(t *testing.T, suite string, over map[string]string) *asterisk {
	t.Helper()
	return startAsteriskOn(t, suite, firstNet, over)
}

// startAsteriskOn does the same at addresses that begin otherwise than those of the lab.
func startAsteriskOn(t *testing.T, suite, net string, over map[string]string) *asterisk {
	t.Helper()
	a := &asterisk{root: filepath.Join(os.Getenv(chrootsVariable), suite), folder: t.TempDir(), net: net}
	for _, sub := range []string{"etc", "run", "log/cdr-csv", "spool", "db"} {
		if err := os.MkdirAll(filepath.Join(a.folder, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a.mount(t)
	version, err := a.command("-V").Output()
	if err != nil {
		t.Fatalf("the Asterisk in %s does not run: %v", a.root, err)
	}
	a.version = strings.TrimSpace(string(version))
	if err := writeConfig(a, over); err != nil {
		t.Fatal(err)
	}

	a.start(t)
	t.Cleanup(a.stop)
	return a
}

// start starts the process, and returns when it is ready.
func (a *asterisk) start(t *testing.T) {
	t.Helper()
	logged := 0
	if info, err := os.Stat(filepath.Join(a.folder, "log", "full")); err == nil {
		logged = int(info.Size())
	}
	a.process = a.command("-f", "-C", workplace+"/etc/asterisk.conf")
	console, err := os.Create(filepath.Join(a.folder, "console"))
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	a.process.Stdout, a.process.Stderr = console, console
	if err := a.process.Start(); err != nil {
		t.Fatalf("start %s: %v", a.version, err)
	}
	eventually(t, a.version+" is ready", func() bool {
		return strings.Contains(a.log(logged), "Asterisk Ready.")
	})
}

// mount provides the chroot with what a process expects of a system, and with the
// folder. Its /etc/hosts has this machine's name, and there is no name server for others:
// Asterisk looks its own name up for each call, and waits for the answer.
func (a *asterisk) mount(t *testing.T) {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"/etc/hosts": "127.0.0.1 localhost " + name + "\n", "/etc/resolv.conf": ""}
	for path, text := range files {
		copied := filepath.Join(a.folder, filepath.Base(path))
		if err := os.WriteFile(copied, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(a.root+path, os.O_CREATE|os.O_RDONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		bind(t, copied, a.root+path)
	}
	bind(t, "/proc", a.root+"/proc")
	bind(t, "/dev", a.root+"/dev")
	bind(t, a.folder, a.root+workplace)
}

func bind(t *testing.T, from, to string) {
	t.Helper()
	if err := syscall.Mount(from, to, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		t.Fatalf("mount %s on %s: %v", from, to, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(to, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", to, err)
		}
	})
}

// entity is the Asterisk's own id, which is in no other of the lab.
func (a *asterisk) entity() string {
	return fmt.Sprintf("02:00:00:00:00:%02d", len(filepath.Base(a.root)))
}

// command is the Asterisk program with arguments, as the chroot has it.
func (a *asterisk) command(args ...string) *exec.Cmd {
	c := exec.Command(asteriskProgram, args...)
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: a.root}
	return c
}

// stop ends the Asterisk, by force where it does not go.
func (a *asterisk) stop() {
	force := time.AfterFunc(10*time.Second, func() { a.process.Process.Kill() })
	defer force.Stop()
	a.process.Process.Signal(syscall.SIGTERM)
	a.process.Wait()
}

// at returns the address of the Asterisk or one of its phones, of that in the lab.
func (a *asterisk) at(ip string) string { return a.net + strings.TrimPrefix(ip, firstNet) }

// kill ends the Asterisk as a crash does.
func (a *asterisk) kill() {
	a.process.Process.Kill()
	a.process.Wait()
}

// cli runs a command of Asterisk's own command line.
func (a *asterisk) cli(t *testing.T, line string) string {
	t.Helper()
	out, err := a.command("-C", workplace+"/etc/asterisk.conf", "-rx", line).CombinedOutput()
	if err != nil {
		t.Fatalf("asterisk -rx %q: %v\n%s", line, err, out)
	}
	return string(out)
}

// channel is what Asterisk reports about one of its channels.
type channel struct {
	name   string
	fields map[string]string // Caller ID Name, LinkedID, ..., and every variable
}

// channelOf finds a call's channel with a device, such as PJSIP/101.
func (a *asterisk) channelOf(t *testing.T, linkedid, device string) channel {
	t.Helper()
	all := a.cli(t, "core show channels concise")
	for line := range strings.Lines(all) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), "!")
		// Of the many on the trunk the call's first one is meant.
		if !strings.HasPrefix(name, device+"-") || device == "PJSIP/trunk" && !strings.HasSuffix(rest, "!"+linkedid) {
			continue
		}
		if c := a.channel(t, name); c.fields["LinkedID"] == linkedid {
			return c
		}
	}
	t.Fatalf("call %s has no channel with %s; there are\n%s", linkedid, device, all)
	return channel{}
}

// channel asks for all that is known of one.
func (a *asterisk) channel(t *testing.T, name string) channel {
	t.Helper()
	c := channel{name: name, fields: map[string]string{}}
	for line := range strings.Lines(a.cli(t, "core show channel "+name)) {
		line = strings.TrimSuffix(line, "\n")
		if key, value, ok := strings.Cut(line, "="); ok && !strings.Contains(key, " ") {
			c.fields[key] = value
		} else if key, value, ok := strings.Cut(line, ": "); ok {
			c.fields[strings.TrimSpace(key)] = value
		}
	}
	return c
}

// log is what Asterisk logged from a place on.
func (a *asterisk) log(from int) string {
	text, err := os.ReadFile(filepath.Join(a.folder, "log", "full"))
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text[min(from, len(text)):])
}
