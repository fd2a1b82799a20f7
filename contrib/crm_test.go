// Package contrib tests the samples.
package contrib

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ringhook/test/wait"
)

// start starts a sample CRM on a free port, and returns its URL.
func start(t *testing.T, stdout *os.File, env, program string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip(program + " is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	l.Close()
	for i, arg := range args {
		args[i] = strings.NewReplacer("ADDR", addr, "PORT", port).Replace(arg)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env)
	cmd.Stdout = stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // killed
	})
	wait.Until(t, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, "%s does not listen", program)
	return "http://" + addr
}

// answers sends bodies to /cti and checks the status of each answer.
func answers(t *testing.T, url string, want int, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		resp, err := http.Post(url+"/cti", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body) //nolint:errcheck // to use the connection again
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s got %d, want %d", body, resp.StatusCode, want)
		}
	}
}

const event = `{"event": "call-hangup", "event_id": "1"}`

// An event that cannot be stored is answered 500, so that ringhook sends it again.
func TestCRMInPHP(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "events")
	url := start(t, nil, "RINGHOOK_EVENTS="+folder, "php", "-q", "-S", "ADDR", "crm.php")
	answers(t, url, http.StatusNoContent, event, event, `{"event": "call-hangup", "event_id": "2"}`)
	answers(t, url, http.StatusBadRequest, ``, `7`, `"event"`, `{}`, `{"event": "x", "event_id": 1}`)
	if files, err := os.ReadDir(folder); err != nil || len(files) != 2 {
		t.Errorf("%d events are stored, %v; want 2", len(files), err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	answers(t, start(t, nil, "RINGHOOK_EVENTS="+file+"/events", "php", "-q", "-S", "ADDR", "crm.php"), http.StatusInternalServerError, event, event)
}

func TestCRMInPython(t *testing.T) {
	answers(t, start(t, nil, "", "python3", "crm.py", "PORT"), http.StatusNoContent, event, event)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	url := start(t, full, "", "python3", "crm.py", "PORT")
	answers(t, url, http.StatusInternalServerError, event, event)
	answers(t, url, http.StatusBadRequest, ``, `7`, `"event"`, `{}`)
}
