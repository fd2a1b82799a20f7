//go:build e2e

package lab

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"ringhook/control"
)

// config is what an administrator writes to look up callers and to send
// events to the CRM; the verbs are the ports, the token and the folder of the store.
const config = `
[fastagi]
listen = "127.0.0.1:%d"

[http]
listen = %q
token = %q

[[ami]]
username = "ringhook"
secret = "lab-s3cret"

[number]
country = "RU"

[store]
folder = %q

[[lookup]]
name = "crm"
points = ["queue-dial", "agent-dial", "lookup"]
url = "http://127.0.0.1:8080/who?phone=%%callerid%%"

[[hook]]
name = "journal"
events = ["*"]
url = "http://127.0.0.1:8080/cti"
`

// server is a running ringhook.
type server struct {
	folder  string
	http    string
	ami     string // the [[ami]] table whose queues live returns; empty for all
	process *exec.Cmd
}

// newServer makes the place of a server that listens on its own ports.
func newServer(t *testing.T, agi, http int) *server {
	t.Helper()
	s := &server{folder: t.TempDir(), http: fmt.Sprintf("127.0.0.1:%d", http)}
	text := fmt.Sprintf(config, agi, s.http, token, filepath.Join(s.folder, "data")) + agentsConfig + yemotConfig
	if err := os.WriteFile(filepath.Join(s.folder, "ringhook.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// extend adds to the configuration of a server that does not run.
func (s *server) extend(t *testing.T, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(s.folder, "ringhook.toml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// awaitLive waits until the server is connected to every Asterisk.
func (s *server) awaitLive(t *testing.T) {
	t.Helper()
	eventually(t, "ringhook is connected to the manager interface", func() bool {
		now, ok := s.live()
		return ok && len(now.Servers) > 0 && !slices.ContainsFunc(now.Servers, func(s control.Server) bool { return !s.Connected })
	})
}

// start starts the server, and returns when it is ready.
func (s *server) start(t *testing.T) {
	t.Helper()
	var err error
	if s.process, err = s.launch("debug"); err != nil {
		t.Fatal(err)
	}
	s.awaitReady(t)
}

// launch starts a process that logs to the server's file.
func (s *server) launch(level string) (*exec.Cmd, error) {
	said, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer said.Close()
	c := exec.Command(os.Getenv(binaryVariable), "serve", "--log-level", level, "-c", filepath.Join(s.folder, "ringhook.toml"))
	c.Stdout, c.Stderr = said, said
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start ringhook: %w", err)
	}
	return c, nil
}

func (s *server) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, "ringhook is ready", func() bool {
		resp, err := http.Get("http://" + s.http + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// stop ends the server as systemd does.
func (s *server) stop() { s.end(syscall.SIGTERM) }

// kill ends it as a crash does.
func (s *server) kill() { s.end(syscall.SIGKILL) }

func (s *server) end(how syscall.Signal) {
	if s.process == nil {
		return
	}
	force := time.AfterFunc(30*time.Second, func() { s.process.Process.Kill() })
	defer force.Stop()
	s.process.Process.Signal(how)
	s.process.Wait()
	s.process = nil
}

// log is what the server logged from a place on.
func (s *server) log(from int) string {
	text, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text[min(from, len(text)):])
}
