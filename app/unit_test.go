package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ringhook/api"
	"ringhook/conf"
)

const unitFile = "../contrib/systemd/ringhook.service"

// unit reads the unit: the values of each key, in their order.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			values[key] = append(values[key], value)
		}
	}
	return values
}

// TestUnit expects the unit to agree with the program: command lines, watchdog, limit of
// open files, and stop timeout.
func TestUnit(t *testing.T) {
	u := unit(t)
	for key, want := range map[string]string{
		"Type": "notify", "User": "ringhook", "Restart": "on-failure", "TimeoutStopSec": "20", "WatchdogSec": "30", "StateDirectory": "ringhook", "StateDirectoryMode": "0700",
		"UMask": "0077", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "", "WorkingDirectory": "/var/lib/ringhook",
	} {
		if got := strings.Join(u[key], "|"); got != want || u[key] == nil {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
	for _, line := range append(u["ExecStart"], u["ExecReload"]...) {
		if args := strings.Fields(line); args[0] != "/usr/bin/ringhook" || len(args) != 4 || args[2] != "-c" || args[3] != "/etc/ringhook/ringhook.toml" {
			t.Errorf("the unit starts %s", line)
		}
	}
	if got := u["RestartPreventExitStatus"]; got != nil {
		t.Errorf("RestartPreventExitStatus=%s: a panic, and the watchdog's SIGABRT, end a Go program with 2 as well", got)
	}
	files, err := strconv.ParseUint(u["LimitNOFILE"][0], 10, 64)
	if needed := filesNeeded(conf.Default(), api.MaxConnections); err != nil || files < max(needed, 65536) {
		t.Errorf("LimitNOFILE=%d (%v), and %d are needed", files, err, needed)
	}
	if drain := stopTime + httpDrain + 2*stopGrace + lastLines; drain.Seconds() > 19 {
		t.Errorf("the way out may take %v", drain)
	}
}

// TestUnitVerified has systemd read the unit, and judge how exposed it leaves the service.
func TestUnitVerified(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("the unit is not tried: systemd-analyze is not installed (Debian has it in the package systemd)")
	}
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "ringhook.service")
	here := strings.ReplaceAll(string(text), "/usr/bin/ringhook", os.Args[0]) // verify wants the program to be there
	if err := os.WriteFile(copied, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"verify", "--man=no", copied},
		{"security", "--offline=true", "--no-pager", "--threshold=20", copied},
	} {
		if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil || args[0] == "verify" && strings.Contains(string(out), "ringhook.service") {
			t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
