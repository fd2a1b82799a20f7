package account_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/account"
	"ringhook/store/credentials"
)

// folderVariable names the folder of a test program that is to be killed, and urlVariable its token endpoint.
const (
	folderVariable = "RINGHOOK_TEST_FOLDER"
	urlVariable    = "RINGHOOK_TEST_URL"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(folderVariable); folder != "" {
		victim(folder, os.Getenv(urlVariable))
		return
	}
	os.Exit(m.Run())
}

// victim requests one token.
func victim(folder, url string) {
	v, err := credentials.Make(folder)
	if err != nil {
		panic(err)
	}
	a := account.New(v, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	set, err := a.Prepare([]account.Config{configAt(url, "")})
	if err != nil {
		panic(err)
	}
	a.Exchange(set)
	if _, err := set.Tokens("crm").Get(time.Now().Add(time.Minute)); err != nil {
		panic(err)
	}
}

// killing is an issuer that kills the asker before its answer goes out.
type killing struct {
	*issuer
	victim func() *os.Process
	enough atomic.Bool // it kills no further process
}

func (k *killing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.issuer.ServeHTTP(w, r)
	if !k.enough.Load() {
		_ = k.victim().Signal(syscall.SIGKILL)
	}
}

// A process that is killed between the answer of the server and the write leaves a store with which a server that accepts
// the former refresh token until the new one is used goes on, and from which the loss can be seen otherwise. The lock of
// the killed process is free at once.
func TestKilledBeforeWrite(t *testing.T) {
	for _, lenient := range []bool{true, false} {
		i := newIssuer(t)
		i.lenient = lenient
		folder := t.TempDir()
		child := exec.Command(os.Args[0])
		running := make(chan struct{})
		k := &killing{issuer: i, victim: func() *os.Process { <-running; return child.Process }}
		server := httptest.NewServer(k)
		t.Cleanup(server.Close)
		child.Env = append(os.Environ(), folderVariable+"="+folder, urlVariable+"="+server.URL)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		close(running)
		if err := child.Wait(); err == nil {
			t.Fatal("the process was not killed")
		}
		k.enough.Store(true)
		v, err := credentials.Make(folder)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { v.Close() })
		st, err := v.Load("crm")
		if err != nil || st.Started.IsZero() || st.Access != "" {
			t.Errorf("stored %+v, %v", st, err)
		}
		p := start(t, v, configAt(server.URL, ""))
		if lenient {
			p.want(t, "access-2")
			if st, _ = v.Load("crm"); st.Refresh != "refresh-2" || !st.Started.IsZero() {
				t.Errorf("stored %+v", st)
			}
			continue
		}
		if token := p.token(); token != "" {
			t.Errorf("token %q from a server that has replaced the refresh token", token)
		}
		if st, _ = v.Load("crm"); !st.Refused || st.Started.IsZero() {
			t.Errorf("stored %+v", st)
		}
	}
}
