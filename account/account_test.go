package account_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/account"
	"ringhook/httpclient"
	"ringhook/test/wait"
)

// issuer is a token endpoint that accepts each refresh token once, and ends the access if one comes a second time, as
// RFC 9700 recommends.
type issuer struct {
	*httptest.Server
	life    int    // of access tokens, in seconds
	lenient bool   // the former refresh token is accepted until the new one is used
	hold    func() // called with each request before it is answered; nil for none

	mu      sync.Mutex
	n       int
	current string // the refresh token that is accepted
	former  string
	ended   bool
	asked   []string // "METHOD grant" of each request
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{life: 3600, current: "first"}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i.hold != nil {
		i.hold()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	i.asked = append(i.asked, r.Method+" "+r.Form.Get("grant_type"))
	w.Header().Set("Content-Type", "application/json")
	refuse := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":%q,"error_description":"%s is not accepted"}`, code, r.Form.Get("refresh_token"))
	}
	if r.Form.Get("client_id") != "app" || r.Form.Get("client_secret") != "s3cret-of-app" || r.Form.Get("redirect_uri") != "https://pbx.example/" {
		refuse("invalid_client")
		return
	}
	switch r.Form.Get("grant_type") {
	case "refresh_token":
		switch given := r.Form.Get("refresh_token"); {
		case i.ended:
			refuse("invalid_grant")
			return
		case given == i.current:
		case given == i.former && i.lenient:
		default:
			i.ended = given == i.former && i.former != ""
			refuse("invalid_grant")
			return
		}
	case "authorization_code":
		if r.Form.Get("code") != "code-30s" {
			refuse("invalid_grant")
			return
		}
		i.ended = false
	default:
		refuse("unsupported_grant_type")
		return
	}
	i.n++
	if r.Form.Get("refresh_token") == i.current {
		i.former = i.current
	}
	i.current = fmt.Sprintf("refresh-%d", i.n)
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprintf("access-%d", i.n), "refresh_token": i.current, "expires_in": i.life})
}

func (i *issuer) requests() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.asked)
}

func (i *issuer) config(method string) account.Config { return configAt(i.URL, method) }

func configAt(url, method string) account.Config {
	return account.Config{Name: "crm", OAuth2: httpclient.Grant{
		OAuth2: httpclient.OAuth2{TokenURL: url + "/oauth/token/", ClientID: "app", ClientSecret: "s3cret-of-app"}, Type: httpclient.GrantRefresh, RefreshToken: "first",
		Params: map[string]string{"redirect_uri": "https://pbx.example/"}, Method: method,
	}}
}

// vault is a store in memory. It counts the holders of its lock, and fails on request.
type vault struct {
	mu     sync.Mutex
	states map[string]account.State
	lock   chan struct{}
	fail   func(account.State) error // of Save; nil for none
}

func newVault() *vault {
	return &vault{states: map[string]account.State{}, lock: make(chan struct{}, 1)}
}

func (v *vault) Load(name string) (account.State, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.states[name], nil
}

func (v *vault) Save(name string, s account.State) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail != nil {
		if err := v.fail(s); err != nil {
			return err
		}
	}
	v.states[name] = s
	return nil
}

func (v *vault) Lock(ctx context.Context, _ string) (func(), error) {
	select {
	case v.lock <- struct{}{}:
		return func() { <-v.lock }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// process is the accounts of one process with a clock of its own.
type process struct {
	*account.Accounts
	tokens *httpclient.Tokens
	log    *strings.Builder
	reg    *prometheus.Registry
	ahead  time.Duration
}

func start(t *testing.T, v account.Vault, cfg account.Config) *process {
	t.Helper()
	p := &process{log: &strings.Builder{}, reg: prometheus.NewRegistry()}
	p.Accounts = account.New(v, slog.New(slog.NewTextHandler(&lockedWriter{w: p.log}, nil)), p.reg)
	p.SetClock(func() time.Time { return time.Now().Add(p.ahead) })
	set, err := p.Prepare([]account.Config{cfg})
	if err != nil {
		t.Fatal(err)
	}
	p.Exchange(set)
	p.tokens = set.Tokens("crm")
	t.Cleanup(func() { p.Close() })
	return p
}

// TestReplacedCertificate checks that a reload uses certificates that were replaced in the same files, and that an account
// without such a change keeps its tokens.
func TestReplacedCertificate(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	server.Close()
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	cfg := configAt("https://127.0.0.1:1/", "POST")
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	write := func(text string) {
		if err := os.WriteFile(cfg.CAFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	p := start(t, newVault(), cfg)
	f := func(kept bool) {
		t.Helper()
		set, err := p.Prepare([]account.Config{cfg})
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Tokens("crm") == p.tokens; got != kept {
			t.Errorf("tokens kept: %v, want %v", got, kept)
		}
	}
	f(true)
	write(text + "\n" + text)
	f(false)
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func (p *process) want(t *testing.T, want string) {
	t.Helper()
	if got, err := p.tokens.Get(time.Now().Add(wait.Limit)); got != want || err != nil {
		t.Fatalf("token %q, %v; want %q", got, err, want)
	}
}

// One request for all who wait, by POST and by GET; the new refresh token is stored, and used after a restart. A stored
// access token is used without a request.
func TestRotation(t *testing.T) {
	for _, method := range []string{"", "GET"} {
		i, v := newIssuer(t), newVault()
		p := start(t, v, i.config(method))
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { p.want(t, "access-1") })
		}
		all.Wait()
		st, _ := v.Load("crm")
		if st.Refresh != "refresh-1" || st.Access != "access-1" || !st.Started.IsZero() || i.requests() != 1 {
			t.Fatalf("%s: stored %+v after %d requests", method, st, i.requests())
		}
		if method == "GET" && i.asked[0] != "GET refresh_token" {
			t.Errorf("asked by %q", i.asked[0])
		}
		p.Close()
		p = start(t, v, i.config(method))
		p.want(t, "access-1")
		if i.requests() != 1 {
			t.Errorf("%d requests after a restart with a valid token", i.requests())
		}
		if err := p.Refresh(t.Context(), "crm"); err != nil {
			t.Fatal(err)
		}
		if st, _ = v.Load("crm"); st.Refresh != "refresh-2" || i.ended {
			t.Errorf("%s: stored %+v, access ended %v", method, st, i.ended)
		}
		p.tokens.Renew()
		p.Close()
	}
}

// Two processes that need a token at once make one request each time, or one after the other, and never use a refresh
// token twice.
func TestTwoProcesses(t *testing.T) {
	i, v := newIssuer(t), newVault()
	i.life = 1 // never usable: each Get requests
	a, b := start(t, v, i.config("")), start(t, v, i.config(""))
	var all sync.WaitGroup
	for _, p := range []*process{a, b} {
		all.Go(func() {
			for range 20 {
				if _, err := p.tokens.Get(time.Now().Add(wait.Limit)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if st, _ := v.Load("crm"); i.ended || st.Refresh != i.current {
		t.Errorf("access ended %v, stored %q, accepted %q", i.ended, st.Refresh, i.current)
	}
}

// The token of another process is used instead of a request.
func TestTokenOfAnotherProcess(t *testing.T) {
	i, v := newIssuer(t), newVault()
	p := start(t, v, i.config(""))
	p.want(t, "access-1")
	if err := start(t, v, i.config("")).Refresh(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	p.tokens.Renew() // as near the end of access-1
	wait.Until(t, func() bool { return p.token() == "access-2" }, "the token of another process is not used")
	if i.requests() != 2 {
		t.Errorf("%d requests", i.requests())
	}
}

func (p *process) token() string {
	token, _ := p.tokens.Get(time.Now().Add(wait.Limit))
	return token
}

// The configured refresh token is used when it changes, and not again before.
func TestConfiguredTokenChanges(t *testing.T) {
	i, v := newIssuer(t), newVault()
	start(t, v, i.config("")).want(t, "access-1")
	i.mu.Lock()
	i.current = "second" // the administrator authorized again
	i.mu.Unlock()
	cfg := i.config("")
	cfg.OAuth2.RefreshToken = "second"
	start(t, v, cfg).want(t, "access-2")
	if st, _ := v.Load("crm"); st.Refresh != "refresh-2" {
		t.Errorf("stored %+v", st)
	}
	start(t, v, cfg).want(t, "access-2")
}

// While the store cannot be written to, no refresh token is used. What was issued before it failed is used from memory,
// and stored as soon as that is possible.
func TestStoreFails(t *testing.T) {
	i, v := newIssuer(t), newVault()
	i.life = 1
	full := errors.New("disk full")
	v.fail = func(account.State) error { return full }
	p := start(t, v, i.config(""))
	if _, err := p.tokens.Get(time.Now().Add(wait.Limit)); !errors.Is(err, full) || i.requests() != 0 {
		t.Errorf("%v after %d requests", err, i.requests())
	}
	v.mu.Lock()
	v.fail = func(s account.State) error {
		if s.Access != "" {
			return full
		}
		return nil
	}
	v.mu.Unlock()
	p.want(t, "access-1")
	if st, _ := v.Load("crm"); st.Refresh != "" || st.Started.IsZero() || !strings.Contains(p.log.String(), "disk full") {
		t.Errorf("stored %+v, logged %s", st, p.log)
	}
	v.mu.Lock()
	v.fail = nil
	v.mu.Unlock()
	p.want(t, "access-2")
	if st, _ := v.Load("crm"); st.Refresh != "refresh-2" || !st.Started.IsZero() || i.ended {
		t.Errorf("stored %+v, access ended %v", st, i.ended)
	}
}

// The clock is set back: neither a stored token nor a failure of the future keep a request from being made, and a token
// that could not be stored is not replaced by one of the future.
func TestClockSetBack(t *testing.T) {
	i, v := newIssuer(t), newVault()
	start(t, v, i.config("")).want(t, "access-1")
	change := func(f func(*account.State)) {
		st, _ := v.Load("crm")
		f(&st)
		if err := v.Save("crm", st); err != nil {
			t.Fatal(err)
		}
	}
	change(func(st *account.State) {
		st.Refreshed, st.Expiry = st.Refreshed.Add(time.Hour), st.Expiry.Add(time.Hour)
	})
	start(t, v, i.config("")).want(t, "access-2")
	change(func(st *account.State) {
		st.Access, st.Failure, st.Failed = "", "status 400", time.Now().Add(time.Hour)
	})
	start(t, v, i.config("")).want(t, "access-3")

	p := start(t, v, i.config(""))
	refresh := func() {
		t.Helper()
		if err := p.Refresh(t.Context(), "crm"); err != nil {
			t.Fatal(err)
		}
	}
	p.ahead = 4 * time.Hour
	refresh()
	p.ahead = 0
	v.mu.Lock()
	v.fail = func(s account.State) error {
		if s.Access != "access-4" {
			return errors.New("disk full")
		}
		return nil
	}
	v.mu.Unlock()
	refresh()
	v.mu.Lock()
	v.fail = nil
	v.mu.Unlock()
	refresh()
	if st, _ := v.Load("crm"); i.ended || st.Refresh != "refresh-6" {
		t.Errorf("access ended %v, stored %+v", i.ended, st)
	}
}

// The answer to a request in progress is stored before the accounts are closed, also if a reload has removed the account
// meanwhile. After Stop there is no further request.
func TestClose(t *testing.T) {
	i, v := newIssuer(t), newVault()
	asked, answer := make(chan bool, 2), make(chan bool)
	i.life, i.hold = 1, func() { asked <- true; <-answer }
	p := start(t, v, i.config(""))
	p.tokens.Renew()
	<-asked
	none, err := p.Prepare(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Exchange(none) // lookups and hooks from before may still use the account
	p.Stop()
	close(answer)
	for range 2 { // the first may get the token of the request in progress
		p.tokens.Get(time.Now().Add(wait.Limit))
	}
	if i.requests() != 1 {
		t.Errorf("%d requests before the accounts are closed", i.requests())
	}
	p.Close()
	if st, _ := v.Load("crm"); st.Refresh != "refresh-1" {
		t.Errorf("stored %+v", st)
	}
	if _, err := p.tokens.Get(time.Now().Add(wait.Limit)); err == nil || i.requests() != 1 {
		t.Errorf("%d requests, %v", i.requests(), err)
	}
}

// A refused refresh token is not used again and again, the secrets of the request are in no text, and a new one that is
// added repairs the account; one that is refused changes nothing.
func TestRefused(t *testing.T) {
	i, v := newIssuer(t), newVault()
	i.current = "another"
	p := start(t, v, i.config(""))
	for range 3 {
		_, err := p.tokens.Get(time.Now().Add(wait.Limit))
		if err == nil || !strings.Contains(err.Error(), "invalid_grant") {
			t.Fatalf("refused with %v", err)
		}
	}
	if i.requests() != 1 {
		t.Errorf("%d requests with a refused token", i.requests())
	}
	p.ahead = time.Hour
	p.tokens.Get(time.Now().Add(wait.Limit))
	if i.requests() != 2 {
		t.Errorf("%d requests an hour later", i.requests())
	}
	st, _ := v.Load("crm")
	if !st.Refused || !strings.Contains(st.Failure, "invalid_grant") {
		t.Errorf("stored %+v", st)
	}
	if err := p.Add(t.Context(), "crm", "wrong", ""); err == nil {
		t.Error("a wrong refresh token is accepted")
	}
	p.ahead = 0
	if err := p.Add(t.Context(), "crm", "", "code-30s"); err != nil {
		t.Error(err)
	}
	p.want(t, "access-1")
	if st, _ = v.Load("crm"); st.Refresh != "refresh-1" || st.Refused || st.Failure != "" {
		t.Errorf("stored %+v", st)
	}
	if err := p.Add(t.Context(), "crm", "wrong", ""); err == nil {
		t.Error("a wrong refresh token is accepted")
	}
	if st, _ = v.Load("crm"); st.Refresh != "refresh-1" || st.Access != "access-1" || st.Refused {
		t.Errorf("stored %+v after a wrong token", st)
	}
	if log := p.log.String(); strings.Contains(log, "first") || strings.Contains(log, "s3cret") || strings.Count(log, "account gets no token") != 1 || !strings.Contains(log, "again") {
		t.Errorf("logged %s", log)
	}
}

// A refusal after a request whose answer did not arrive says that the answer may have replaced the refresh token. After a
// request that was refused, or was not sent, it does not.
func TestLostAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		first http.HandlerFunc // answers the first request; nil does not accept it
		lost  bool
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		}, false},
		"limited":         {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusTooManyRequests) }, false},
		"not sent":        {nil, false},
		"bad gateway":     {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusBadGateway) }, true},
		"no token":        {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }, true},
		"lost on its way": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
	} {
		i, v := newIssuer(t), newVault()
		i.current = "another"
		var requests atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) == 1 && tc.first != nil {
				tc.first(w, r)
				return
			}
			i.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		p := start(t, v, configAt(server.URL, ""))
		if tc.first == nil {
			closed := httptest.NewServer(i)
			closed.Close()
			start(t, v, configAt(closed.URL, "")).token()
		} else {
			p.token()
		}
		if st, _ := v.Load("crm"); st.Failure == "" || st.Started.IsZero() == tc.lost {
			t.Errorf("%s: stored %+v", name, st)
		}
		p.ahead = time.Hour
		p.token()
		if st, _ := v.Load("crm"); !st.Refused || strings.Contains(st.Failure, "was lost") != tc.lost {
			t.Errorf("%s: stored after a refusal %+v", name, st)
		}
	}
}

// Each process logs the first of several failures, and the first token after them, also one that another process got.
// Only requests are counted.
func TestNotes(t *testing.T) {
	i, v := newIssuer(t), newVault()
	check := func(when string, p *process, failures, successes int, metrics string) {
		t.Helper()
		if got := strings.Count(p.log.String(), "account gets no token"); got != failures {
			t.Errorf("%s: %d failures are logged, want %d:\n%s", when, got, failures, p.log)
		}
		if got := strings.Count(p.log.String(), "account gets tokens again"); got != successes {
			t.Errorf("%s: %d ends of failures are logged, want %d:\n%s", when, got, successes, p.log)
		}
		if err := testutil.GatherAndCompare(p.reg, strings.NewReader("# TYPE ringhook_account_failing gauge\n# HELP ringhook_account_failing 1 if the last request for a token failed, else 0.\n"+
			"# TYPE ringhook_account_requests_total counter\n# HELP ringhook_account_requests_total Requests for a token or session, by outcome: ok, refused or failed.\n"+metrics),
			"ringhook_account_failing", "ringhook_account_requests_total"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	counts := func(failing, failed, ok, refused int) string {
		return fmt.Sprintf("ringhook_account_failing{account=\"crm\"} %d\n", failing) + fmt.Sprintf(
			"ringhook_account_requests_total{account=\"crm\",outcome=\"failed\"} %d\nringhook_account_requests_total{account=\"crm\",outcome=\"ok\"} %d\n"+
				"ringhook_account_requests_total{account=\"crm\",outcome=\"refused\"} %d\n", failed, ok, refused)
	}
	cfg := i.config("")
	cfg.OAuth2.RefreshToken = ""
	p := start(t, v, cfg)
	for range 3 {
		p.token()
	}
	check("without a refresh token", p, 1, 0, counts(1, 0, 0, 0))
	if err := start(t, v, cfg).Add(t.Context(), "crm", "first", ""); err != nil {
		t.Fatal(err)
	}
	p.want(t, "access-1")
	check("after another process has added one", p, 1, 1, counts(0, 0, 0, 0))

	i, v = newIssuer(t), newVault()
	i.current = "another"
	p = start(t, v, i.config(""))
	for range 3 {
		p.token()
	}
	check("refused", p, 1, 0, counts(1, 0, 0, 1))
	p = start(t, v, i.config(""))
	p.token()
	check("after a restart", p, 1, 0, counts(1, 0, 0, 0))
	i.current, p.ahead = "first", time.Hour
	p.want(t, "access-1")
	check("accepted", p, 1, 1, counts(0, 0, 1, 0))
}

// A failure that is not stored, such as that of a full disk, ends with a token that was issued after it.
func TestFailureWithoutStore(t *testing.T) {
	i, v := newIssuer(t), newVault()
	p := start(t, v, i.config(""))
	p.want(t, "access-1")
	full := errors.New("disk full")
	v.fail = func(account.State) error { return full }
	if err := p.Refresh(t.Context(), "crm"); !errors.Is(err, full) {
		t.Errorf("refreshed with %v", err)
	}
	check := func(when string, failing float64, ends int) {
		t.Helper()
		p.RenewIdle()
		if err := testutil.GatherAndCompare(p.reg, strings.NewReader(fmt.Sprintf("# TYPE ringhook_account_failing gauge\n"+
			"# HELP ringhook_account_failing 1 if the last request for a token failed, else 0.\nringhook_account_failing{account=\"crm\"} %v\n", failing)),
			"ringhook_account_failing"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if got := strings.Count(p.log.String(), "account gets tokens again"); got != ends {
			t.Errorf("%s: %d ends of failures are logged, want %d:\n%s", when, got, ends, p.log)
		}
	}
	check("disk full", 1, 0)
	v.fail = nil
	if err := start(t, v, i.config("")).Refresh(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	check("after another process has got a token", 0, 1)
	if i.requests() != 2 {
		t.Errorf("%d requests", i.requests())
	}
}

// A refresh token that is not tried because the store cannot be written to leaves nothing to store.
func TestAddWithoutStore(t *testing.T) {
	i, v := newIssuer(t), newVault()
	full := errors.New("disk full")
	v.fail = func(account.State) error { return full }
	p := start(t, v, i.config(""))
	if err := p.Add(t.Context(), "crm", "first", ""); !errors.Is(err, full) || i.requests() != 0 {
		t.Errorf("%v after %d requests", err, i.requests())
	}
	if log := p.log.String(); log != "" {
		t.Errorf("logged %s", log)
	}
}

// A server that refuses every token causes one request, not one for each attempt.
func TestEveryTokenRefused(t *testing.T) {
	i, v := newIssuer(t), newVault()
	p := start(t, v, i.config(""))
	for range 5 {
		p.want(t, "access-1")
		p.tokens.Forget("access-1")
	}
	if i.requests() != 1 {
		t.Errorf("%d requests", i.requests())
	}
}

// Vtiger: a challenge, a login with the MD5 of challenge and key, and a session that ends by an answer with status 200.
// GLPI: one request, and a session in a header.
func TestLogin(t *testing.T) {
	logins := 0
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/initSession" && r.Header.Get("App-Token") == "app" && r.Header.Get("Authorization") == "user_token abc":
			io.WriteString(w, `{"session_token":"glpi-session"}`)
		case r.Method == "GET" && r.URL.Query().Get("operation") == "getchallenge" && r.URL.Query().Get("username") == "admin":
			io.WriteString(w, `{"success":true,"result":{"token":"challenge","serverTime":1}}`)
		case r.Method == "POST" && r.PostFormValue("operation") == "login" && r.PostFormValue("accessKey") == "704ab6e91651edc75922141c3337514b":
			logins++
			fmt.Fprintf(w, `{"success":true,"result":{"sessionName":"session-%d"}}`, logins)
		default:
			io.WriteString(w, `{"success":false,"error":{"code":"INVALID_AUTH_TOKEN"}}`)
		}
	}))
	t.Cleanup(crm.Close)
	vtiger := account.Config{Name: "crm", Query: "sessionName", Life: time.Hour, Expired: `.error.code == "INVALID_SESSIONID"`, Login: []account.Step{
		{URL: crm.URL + "/webservice.php?operation=getchallenge&username=admin", Take: map[string]string{"challenge": ".result.token"}},
		{URL: crm.URL + "/webservice.php", Body: "operation=login&username=admin&accessKey=%proof:md5%",
			Values: map[string]string{"proof": "%challenge%key-of-admin"}, Take: map[string]string{"session": ".result.sessionName"}},
	}}
	v := newVault()
	p := start(t, v, vtiger)
	p.want(t, "session-1")
	req := &httpclient.Request{URL: crm.URL + "/webservice.php?operation=lookup"}
	p.tokens.Authorize(req, "session-1")
	if want := crm.URL + "/webservice.php?operation=lookup&sessionName=session-1"; req.URL != want {
		t.Errorf("sent to %s, want %s", req.URL, want)
	}
	for body, want := range map[string]bool{`{"success":false,"error":{"code":"INVALID_SESSIONID"}}`: true, `{"success":true,"result":[]}`: false, "<html>": false, "": false} {
		if got := p.tokens.Refused(&httpclient.Response{Status: 200, ContentType: "application/json", Body: []byte(body)}); got != want {
			t.Errorf("%s: refused %v", body, got)
		}
	}
	if st, _ := v.Load("crm"); time.Until(st.Expiry) < 59*time.Minute {
		t.Errorf("the session ends at %v", st.Expiry)
	}
	vtiger.Login[1].Values["proof"] = "%challenge%wrong"
	v = newVault()
	p = start(t, v, vtiger)
	if _, err := p.tokens.Get(time.Now().Add(wait.Limit)); err == nil || !strings.Contains(err.Error(), "has no session: are user and key right?") {
		t.Errorf("a wrong key: %v", err)
	}
	// It is tried as seldom as what a server refuses by a status.
	if st, _ := v.Load("crm"); !st.Refused || !st.Started.IsZero() {
		t.Errorf("a wrong key is stored as %+v", st)
	}
	glpi := account.Config{Name: "crm", Header: "Session-Token", Login: []account.Step{{
		URL: crm.URL + "/initSession", Headers: map[string]string{"App-Token": "app", "Authorization": "user_token abc"}, Take: map[string]string{"session": ".session_token"},
	}}}
	p = start(t, newVault(), glpi)
	p.want(t, "glpi-session")
	req = &httpclient.Request{URL: crm.URL}
	p.tokens.Authorize(req, "glpi-session")
	if len(req.Header) != 1 || req.Header[0] != [2]string{"Session-Token", "glpi-session"} {
		t.Errorf("headers %v", req.Header)
	}
}

func TestCheck(t *testing.T) {
	oauth := httpclient.Grant{OAuth2: httpclient.OAuth2{TokenURL: "https://crm.example/token", ClientID: "a", ClientSecret: "b"}}
	session := account.Step{URL: "https://crm.example/login", Take: map[string]string{"session": ".s"}}
	for _, tc := range []struct {
		name string
		cfg  account.Config
		want string // keys
	}{
		{"good", account.Config{Name: "crm", OAuth2: oauth, Scheme: "Zoho-oauthtoken"}, ""},
		{"login", account.Config{Name: "crm", Login: []account.Step{session}, Life: time.Minute}, ""},
		{"name", account.Config{Name: "C R M", OAuth2: oauth}, "name"},
		{"nothing", account.Config{Name: "crm"}, "oauth2"},
		{"both", account.Config{Name: "crm", OAuth2: oauth, Login: []account.Step{session}}, "login"},
		{"two places", account.Config{Name: "crm", OAuth2: oauth, Scheme: "X", Query: "auth"}, "scheme"},
		{"scheme", account.Config{Name: "crm", OAuth2: oauth, Scheme: "a b"}, "scheme"},
		{"header", account.Config{Name: "crm", OAuth2: oauth, Header: "Host"}, "header"},
		{"query", account.Config{Name: "crm", OAuth2: oauth, Query: "a&b"}, "query"},
		{"life of oauth2", account.Config{Name: "crm", OAuth2: oauth, Life: time.Hour}, "life"},
		{"expression", account.Config{Name: "crm", OAuth2: oauth, Expired: ".a ="}, "expired"},
		{"no session", account.Config{Name: "crm", Login: []account.Step{{URL: "https://crm.example/", Take: map[string]string{"x": ".x"}}}}, "login"},
		{"unknown value", account.Config{Name: "crm", Login: []account.Step{{URL: "https://crm.example/%x%", Take: session.Take}}}, "login"},
		{"take", account.Config{Name: "crm", Login: []account.Step{{URL: "https://crm.example/"}}}, "login"},
		{"file", account.Config{Name: "crm", OAuth2: oauth, CAFile: "/nowhere.pem"}, "cert_file"},
	} {
		var keys []string
		tc.cfg.Check(func(key, _ string) { keys = append(keys, key) })
		if got := strings.Join(keys, " "); got != tc.want {
			t.Errorf("%s: reports %q, want %q", tc.name, got, tc.want)
		}
	}
}
