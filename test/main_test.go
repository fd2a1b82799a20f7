package test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ringhook/app"
	"ringhook/command"
	"ringhook/test/port"
	"ringhook/test/wait"
)

// asRinghook makes the test binary run ringhook, for tests that need a separate process.
const asRinghook = "RINGHOOK_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asRinghook) != "" {
		command.Main(build)
		return
	}
	if addr := os.Getenv(asNeighbour); addr != "" {
		neighbour(addr)
		return
	}
	os.Exit(m.Run())
}

var build = app.Build{Version: "test"}

// The exit codes, which systemd and scripts read.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// run runs a command in this process.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	return command.Run(ctx, build, args, out, errOut)
}

// process is ringhook in a separate process.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	log *bytes.Buffer
}

// start starts ringhook serve.
func start(t *testing.T, config string, env ...string) *process {
	t.Helper()
	c := &process{t: t, cmd: exec.Command(os.Args[0], "serve", "-c", config), log: &bytes.Buffer{}}
	c.cmd.Env = append(append(os.Environ(), asRinghook+"=1"), env...)
	c.cmd.Stderr = c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// spawn starts ringhook serve and returns when it is ready.
func spawn(t *testing.T, config, health string) *process {
	t.Helper()
	c := start(t, config)
	c.ready(health)
	return c
}

// ready waits until the process reports it.
func (c *process) ready(health string) {
	c.t.Helper()
	wait.Until(c.t, func() bool { return ready(health) }, "ringhook is not ready:\n%s", c.log)
}

// ready reports whether a server is.
func ready(web string) bool {
	resp, err := http.Get(web + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// kill ends the process with SIGKILL.
func (c *process) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// stop ends the process like systemd, and checks that it ends with 0.
func (c *process) stop() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("ringhook ended with %v:\n%s", err, c.log)
	}
}

// untilMetric waits until /metrics has a line. A session is counted after its end, for which the caller does
// not wait.
func (c *process) untilMetric(web, line string) {
	c.t.Helper()
	wait.Until(c.t, func() bool { return strings.Contains(get(c.t, web+"/metrics"), line) }, "/metrics does not come to say %s", line)
}

// config writes a configuration that uses free ports, and returns the file and the two
// addresses.
func config(t *testing.T, more string) (file, agi, web string) {
	t.Helper()
	folder := t.TempDir()
	agi, web = port.Free(t), port.Free(t)
	file = filepath.Join(folder, "ringhook.toml")
	text := "[fastagi]\nlisten = \"" + agi + "\"\n[http]\nlisten = \"" + web + "\"\n[store]\nfolder = \"" + filepath.Join(folder, "data") + "\"\n" + more
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, agi, "http://" + web
}

// TestCommandLine checks the output and the exit codes of commands.
func TestCommandLine(t *testing.T) {
	good, _, _ := config(t, "")
	doubtful, _, _ := config(t, "[[hook]]\nname = \"crm\"\nevents = [\"agent-hangpu\"]\nurl = \"http://127.0.0.1:1/\"\n")
	bad := filepath.Join(t.TempDir(), "bad.toml")
	if err := os.WriteFile(bad, []byte("[fastagi]\nlissten = \"x\"\nbudget = \"soon\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		out  string // part of stdout or stderr
	}{
		{"--help", exitOK, "play asterisk"},
		{"version", exitOK, "ringhook "},
		{"--version", exitOK, "ringhook "},
		{"outbox list -c " + good, exitFailure, "configuration: " + good},
		{"check", exitOK, "built-in defaults: good"},
		{"check -c " + good, exitOK, ": good"},
		{"check -c " + doubtful, exitOK, "ringhook.toml:9: hook.events: no point emits"},
		{"check -c " + bad, exitFailure, "bad.toml:2"},
		{"check -c " + bad, exitFailure, "bad.toml:3"},
		{"check -c nowhere.toml", exitFailure, "nowhere.toml"},
		{"check --dialplan ../contrib/extensions_ringhook.conf", exitOK, "errors: 0, warnings: 0, notes: 0"},
		{"check --dialplan ../dialplan/extensions/testdata/point.conf", exitFailure, "point.conf:2: error:"},
		{"check --dialplan ../dialplan/extensions/testdata/raw.conf", exitOK, "raw.conf:2: warning:"},
		{"check --dialplan nowhere.conf", exitFailure, "nowhere.conf"},
		{"serve -c " + bad, exitFailure, "bad.toml:2"},
		{"dance", exitUsage, "dance"},
		{"call queue-dial 500", exitUsage, "NAME=VALUE"},
		{"call queue-dial queue_id=500 --server 127.0.0.1:1", exitFailure, "is ringhook serving"},
		{"lookup +442079460142", exitFailure, "no [[lookup]]"},
		{"outbox list -c " + good, exitFailure, "outbox"},
		{"outbox retry", exitUsage, "--hook"},
		{"outbox list --since soon", exitUsage, "is not a time"},
		{"outbox replay --hook journal", exitUsage, "--since"},
		{"presets", exitOK, "sipsim"},
		{"presets show sipsim", exitOK, "incoming_call_start_chain_member_call"},
		{"presets show sipsin", exitUsage, "linia24"},
		{"hook test journal -c " + good, exitFailure, "no hook"},
	} {
		var out bytes.Buffer
		code := run(context.Background(), strings.Fields(c.args), &out, &out)
		if code != c.code || !strings.Contains(strings.ToLower(out.String()), strings.ToLower(c.out)) {
			t.Errorf("ringhook %s ended with %d and printed\n%s\nwant %d and %q", c.args, code, &out, c.code, c.out)
		}
	}
}

// TestDemo runs the demo once, like make run. It runs with the limits of a real call, which a machine may be too busy
// for at one moment; such a run is repeated.
func TestDemo(t *testing.T) {
	var out, errOut bytes.Buffer
	for range 10 {
		out.Reset()
		errOut.Reset()
		code := run(context.Background(), []string{"demo", "--once"}, &out, &errOut)
		if strings.Contains(errOut.String(), "deadline exceeded") {
			t.Logf("too busy: %s", &errOut)
			continue
		}
		if code != exitOK {
			t.Fatalf("the demo ended with %d:\n%s\n%s", code, &out, &errOut)
		}
		break
	}
	for _, want := range []string{"CALLERID(name) = Zoë Müller", "RINGHOOK_STATUS = FOUND", "status busy", "talked 2 s", "(final)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not show %q:\n%s", want, &out)
		}
	}
	if errOut.Len() > 0 {
		t.Errorf("the demo complains:\n%s", &errOut)
	}
}

// TestServe runs the daemon like systemd: ready, reloaded with a good and a bad file, stopped.
func TestServe(t *testing.T) {
	file, agi, web := config(t, "[number]\ncountry = \"GB\"\n")
	c := spawn(t, file, web)
	defer c.kill()
	if body := get(t, web+"/healthz"); body != "ok\n" {
		t.Errorf("/healthz says %q", body)
	}
	c.played(agi, 1)
	for _, want := range []string{
		`ringhook_agi_sessions_total{point="queue-dial",status="OK"} 1`, "ringhook_agi_sessions_active 0",
		"ringhook_config_last_reload_successful 1", "ringhook_build_info{", "ringhook_store_commit_duration_seconds_count",
	} {
		c.untilMetric(web, want)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ text, want string }{
		{string(before) + "wrong = 1\n", "ringhook_config_last_reload_successful 0"},
		{string(before), "ringhook_config_last_reload_successful 1"},
		{strings.Replace(string(before), "[http]", "[store]\nfolder = \"other\"\n[http]", 1), "ringhook_config_last_reload_successful 0"},
	} {
		if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.cmd.Process.Signal(syscall.SIGHUP)
		c.untilMetric(web, step.want)
	}
	c.stop()
}

// setting returns a number that an environment variable sets.
func setting(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number", name, text)
	}
	return n
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
