//go:build e2e

package lab

import (
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// The numbers that the sample CRMs know.
const (
	pythonCustomer = "79261110001"
	phpCustomer    = "79261110002"
)

// answers are what the lab's CRM says of callers, each by a handler of the
// test that calls. Of others it knows nothing.
type answers struct {
	mu       sync.Mutex
	byNumber map[string]http.HandlerFunc
}

// say has the CRM answer for a number.
func (a *answers) say(number string, answer http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byNumber["+"+number] = answer
}

// ServeHTTP answers /who.
func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	answer := a.byNumber[r.URL.Query().Get("phone")]
	a.mu.Unlock()
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	answer(w, r)
}

// known is the answer of a CRM that knows the caller.
func known(variables ...string) http.HandlerFunc {
	values := url.Values{}
	for i := 0; i < len(variables); i += 2 {
		values.Set(variables[i], variables[i+1])
	}
	return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(values.Encode())) }
}

// silent has the CRM hang when it is asked about a number, and returns what is closed then.
func (a *answers) silent(number string) <-chan struct{} {
	asked := make(chan struct{})
	var once sync.Once
	a.say(number, func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(asked) })
		silence(w, r)
	})
	return asked
}

// silence is the answer of a CRM that hangs.
func silence(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(20 * time.Second):
	}
}

// startSamples starts contrib's own CRMs, the one in Python on port 8081 and
// the one in PHP on 8082.
func startSamples(t *testing.T) {
	t.Helper()
	start := func(address, name string, args ...string) {
		c := exec.Command(name, args...)
		c.Dir = "../../contrib"
		c.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "RINGHOOK_EVENTS="+t.TempDir())
		said, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		defer said.Close()
		c.Stdout, c.Stderr = said, said
		if err := c.Start(); err != nil {
			t.Fatalf("start the sample CRM: %v", err)
		}
		t.Cleanup(func() {
			c.Process.Kill()
			c.Wait()
		})
		eventually(t, name+" listens", func() bool {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	start("127.0.0.1:8081", "python3", "crm.py")
	start("127.0.0.1:8082", "php", "-S", "127.0.0.1:8082", "crm.php")
}
