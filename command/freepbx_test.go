package command

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/app"
)

var updatePlans = flag.Bool("update-plans", false, "write the golden files of freepbx plan")

// runFreePBX runs a command with the configuration file of the folder of the plans.
func runFreePBX(config string, args ...string) (code int, out, errOut string) {
	var stdout, stderr bytes.Buffer
	code = Run(context.Background(), app.Build{}, append([]string{"-c", config, "freepbx", "plan"}, args...), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// TestFreePBXPlan compares the plans for the folders of testdata with their golden files.
func TestFreePBXPlan(t *testing.T) {
	const folder = "../freepbx/testdata/"
	for _, name := range []string{"freepbx16", "freepbx17", "issabel"} {
		for _, level := range []string{"1", "2", "3"} {
			code, out, errOut := runFreePBX(folder+"ringhook.toml", folder+name, "--level", level)
			if (code == exitOK) != (name != "issabel" || level != "2") {
				t.Errorf("%s, level %s: exit code %d: %s", name, level, code, errOut)
			}
			got, golden := out+errOut, folder+name+".level"+level+".golden"
			if *updatePlans {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s, level %s: got\n%s\nwant\n%s", name, level, got, want)
			}
		}
	}
}

// TestFreePBXWrite checks what an administrator does: write, check, remove.
func TestFreePBXWrite(t *testing.T) {
	folder := t.TempDir()
	etc := filepath.Join(folder, "asterisk")
	if err := os.CopyFS(etc, os.DirFS("../freepbx/testdata/freepbx17")); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(folder, "ringhook.toml")
	if err := os.WriteFile(config, []byte("[[queue]]\nid = \"500\"\nname = \"Sales\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(want string, args ...string) {
		t.Helper()
		if code, out, errOut := runFreePBX(config, append(args, etc)...); code != exitOK || !strings.Contains(out, want) {
			t.Fatalf("%v: %d\n%s%s\nwant %q", args, code, out, errOut, want)
		}
	}
	run("Nothing was written")
	if code, _, errOut := runFreePBX(config, etc, "--write"); code != exitFailure || !strings.Contains(errOut, "conf.d") {
		t.Errorf("without conf.d: %d %s", code, errOut)
	}
	if _, err := os.Stat(filepath.Join(etc, "extensions_custom.conf")); err == nil {
		t.Error("a file was written although conf.d is missing")
	}
	if err := os.Mkdir(filepath.Join(folder, "conf.d"), 0o750); err != nil {
		t.Fatal(err)
	}
	run("Written", "--write", "--level", "2")
	run("nothing to change", "--level", "2")
	var out, errOut bytes.Buffer
	if code := Run(context.Background(), app.Build{}, []string{"-c", config, "check"}, &out, &errOut); code != exitOK || !strings.Contains(out.String(), "5 queues, 3 agents; FastAGI on 127.0.0.1:4575") {
		t.Errorf("check: %d %s%s", code, &out, &errOut)
	}
	run("Removed", "--remove")
	if _, err := os.Stat(filepath.Join(folder, "conf.d", "freepbx.toml")); err == nil {
		t.Error("the settings are still there")
	}
	if code, _, errOut := runFreePBX(config, etc, "--remove"); code != exitFailure || !strings.Contains(errOut, "no file of") {
		t.Errorf("a second remove: %d %s", code, errOut)
	}
}
