package lookup

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/httpclient"
)

// echo answers with the text of the request. Its credentials are spelled out: an answer that repeats them loses them.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, strings.Join([]string{
		r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), strings.Join(strings.Split(r.Header.Get("Authorization"), ""), "_"), string(body),
	}, "|"))
}

// TestRequests checks the requests that a source gets.
func TestRequests(t *testing.T) {
	params := map[string]string{"queue_id": "5&0", "name": `A"<b>`, "directid": "+78005553535"}
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"query", func(c *Config) { c.URL += "&q=%queue_id%" }, "GET|/who?phone=%2B74951234567&q=5%260|||"},
		{"form", func(c *Config) { c.Body = "p=%callerid%&q=%queue_id%" },
			"POST|/who?phone=%2B74951234567|application/x-www-form-urlencoded||p=%2B74951234567&q=5%260"},
		{"json", func(c *Config) { c.Body, c.BodyType = `{"p":"%callerid%","n":"%name%"}`, "json" },
			`POST|/who?phone=%2B74951234567|application/json||{"p":"+74951234567","n":"A\"<b>"}`},
		{"xml", func(c *Config) { c.Body, c.BodyType = `<p n="%name%"/>`, "xml" },
			`POST|/who?phone=%2B74951234567|application/xml; charset=utf-8||<p n="A&quot;&lt;b&gt;"/>`},
		{"text", func(c *Config) { c.Body, c.BodyType = "%name%", "text" },
			`POST|/who?phone=%2B74951234567|text/plain; charset=utf-8||A"<b>`},
		{"post without a body", func(c *Config) { c.Method = "POST" }, "POST|/who?phone=%2B74951234567|||"},
		{"basic", func(c *Config) { c.Username, c.Password = "me", "s3cret" }, "GET|/who?phone=%2B74951234567||Basic bWU6czNjcmV0|"},
		{"bearer", func(c *Config) { c.Headers = map[string]string{"Authorization": "Bearer s3cret"} }, "GET|/who?phone=%2B74951234567||Bearer s3cret|"},
		{"plus-less", func(c *Config) { c.Spellings = []string{"plus-less"} }, "GET|/who?phone=74951234567|||"},
		{"list", func(c *Config) {
			c.Spellings = []string{"e164", "national", "last:7"}
			c.URL = strings.Replace(c.URL, "%callerid%", "%callerid_all%", 1)
		}, "GET|/who?phone=%2B74951234567%2C84951234567%2C1234567|||"},
		{"spellings at the placeholder", func(c *Config) {
			c.Spellings = []string{"e164", "00", "digits"} // for %callerid% alone: one request
			c.URL = strings.Replace(c.URL, "phone=%callerid%", "a=%callerid:national%&b=%callerid:last:7%&c=%directid:plus-less%", 1)
			c.Body, c.BodyType = `{"q":"x?p=%callerid:national-formatted:escaped%"}`, "json"
		}, `POST|/who?a=84951234567&b=1234567&c=78005553535|application/json||{"q":"x?p=8%20%28495%29%20123-45-67"}`},
		{"path and settings", func(c *Config) {
			c.URL, _, _ = strings.Cut(c.URL, "/who")
			c.URL, c.Path, c.Settings = c.URL+"/api/", "/%module%/find?p=%callerid%&k=%key%", map[string]string{"module": "Contacts", "key": "a&b"}
		}, "GET|/api/Contacts/find?p=%2B74951234567&k=a%26b|||"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := crm(t, echo)
			cfg.Format, cfg.Variable = "text", "echo"
			tc.change(&cfg)
			q := ask(anna)
			q.Param = func(name string) string { return params[name] }
			got := strings.ReplaceAll(await(start(t, cfg).Ask(q)).value("echo"), "_", "")
			// The template packages define the escaping of JSON and XML.
			got = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", "&#34;", "&quot;").Replace(got)
			if got != tc.want {
				t.Errorf("the source got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestBodyIsPartOfTheQuestion checks that questions with different bodies are different.
func TestBodyIsPartOfTheQuestion(t *testing.T) {
	cfg := crm(t, echo)
	cfg.URL = strings.Replace(cfg.URL, "phone=%callerid%", "x", 1)
	cfg.Body, cfg.Format, cfg.Variable = "p=%callerid%", "text", "echo"
	b := start(t, cfg)
	for _, number := range []string{anna, boris} {
		if got := await(b.Ask(ask(number))); !strings.HasSuffix(got.value("echo"), number[1:]) {
			t.Errorf("%s: %+v", number, got)
		}
	}
}

// TestSpellings checks that spellings are tried in order until one finds a customer or fails.
func TestSpellings(t *testing.T) {
	for _, tc := range []struct {
		known    string // the spelling that the source knows
		want     Outcome
		match    string
		requests []string
	}{
		{"+74951234567", Found, "exact", []string{"+74951234567"}},
		{"84951234567", Found, "national", []string{"+74951234567", "74951234567", "84951234567"}},
		{"951234567", Found, "suffix", []string{"+74951234567", "74951234567", "84951234567", "951234567"}},
		{"1", Missing, "none", []string{"+74951234567", "74951234567", "84951234567", "951234567"}},
		{"broken", Failed, "", []string{"+74951234567"}},
	} {
		t.Run(tc.match, func(t *testing.T) {
			var requests []string // needs no lock: the requests are sequential
			cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
				phone := r.FormValue("phone")
				requests = append(requests, phone)
				switch tc.known {
				case phone:
					io.WriteString(w, "name=Anna")
				case "broken":
					w.WriteHeader(500)
				}
			})
			cfg.Spellings = []string{"e164", "plus-less", "digits", "national", "last:9"}
			b := start(t, cfg)
			got := await(b.Ask(ask(anna)))
			if got.Outcome != tc.want || got.value("match") != tc.match || !slices.Equal(requests, tc.requests) {
				t.Errorf("answer = %+v after %q, want %s after %q", got, requests, tc.want, tc.requests)
			}
			if tc.want == Found {
				if got = await(b.Ask(ask(anna))); !got.Cached || got.value("match") != tc.match || len(requests) != len(tc.requests) {
					t.Errorf("second answer = %+v after %q", got, requests)
				}
			}
		})
	}
}

// issuer returns a token endpoint that numbers its tokens.
type issuer struct {
	*httptest.Server
	issued atomic.Int32
	status atomic.Int32
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{}
	i.status.Store(200)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if !ok { // credentials in the form, tried after HTTP Basic was refused
			user, password = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
		}
		if user != "ringhook" || password != "s3cret" || r.PostFormValue("grant_type") != "client_credentials" {
			t.Errorf("token requested with %v, %v", r.Header, r.PostForm)
		}
		n := i.issued.Add(1)
		w.Header().Set("Content-Type", "application/json")
		if status := int(i.status.Load()); status != 200 {
			w.WriteHeader(status)
			io.WriteString(w, `{"error":"invalid_client","error_description":"s3cret is no secret"}`)
			return
		}
		fmt.Fprintf(w, `{"access_token":"t%d","token_type":"bearer","expires_in":3600}`, n)
	}))
	t.Cleanup(i.Close)
	return i
}

func oauthCRM(t *testing.T, i *issuer) Config {
	cfg := crm(t, echo)
	cfg.Format, cfg.Variable, cfg.Cache, cfg.Stale = "text", "echo", 0, 0
	cfg.OAuth2 = httpclient.OAuth2{TokenURL: i.URL + "/token", ClientID: "ringhook", ClientSecret: "s3cret"}
	return cfg
}

func bearer(a Answer) string {
	parts := strings.Split(a.value("echo"), "|")
	return strings.TrimPrefix(strings.ReplaceAll(parts[min(3, len(parts)-1)], "_", ""), "Bearer ")
}

// TestTokenIsKept checks that a token is reused.
func TestTokenIsKept(t *testing.T) {
	i := newIssuer(t)
	b := start(t, oauthCRM(t, i))
	pendings := make([]*Pending, 50)
	for n := range pendings {
		pendings[n] = b.Ask(ask("+7495123456" + string(rune('0'+n%10)) + string(rune('0'+n/10))))
	}
	for _, p := range pendings {
		if got := bearer(await(p)); got != "t1" {
			t.Fatalf("asked with token %q, want t1", got)
		}
	}
	if n := i.issued.Load(); n != 1 {
		t.Errorf("%d tokens issued, want 1", n)
	}
}

// TestTokenIsRefused checks that a token that the source refuses is replaced immediately.
func TestTokenIsRefused(t *testing.T) {
	i := newIssuer(t)
	cfg := oauthCRM(t, i)
	var requests atomic.Int32
	refuse := crm(t, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1); r.Header.Get("Authorization") == "Bearer t1" {
			w.WriteHeader(401)
			return
		}
		echo(w, r)
	})
	cfg.URL = refuse.URL
	if got := bearer(await(start(t, cfg).Ask(ask(anna)))); got != "t2" || requests.Load() != 2 {
		t.Errorf("asked with token %q in %d requests, want t2 in 2", got, requests.Load())
	}
}

// TestNoToken checks failing token requests.
func TestNoToken(t *testing.T) {
	for status, reason := range map[int]string{401: "token", 500: "token", 302: "token"} {
		i := newIssuer(t)
		i.status.Store(int32(status))
		cfg := oauthCRM(t, i)
		b := start(t, cfg)
		if got := await(b.Ask(ask(anna))); got.Outcome != Failed {
			t.Errorf("status %d: %+v, want error", status, got)
		}
		if n := b.count(t, "ringhook_lookup_errors_total", "crm", reason); n != 1 {
			t.Errorf("status %d: counted %v times as %s", status, n, reason)
		}
		if strings.Contains(b.log.text(), "s3cret") {
			t.Errorf("the log contains the secret: %s", b.log.text())
		}
	}
	cfg := crm(t, echo)
	cfg.OAuth2 = httpclient.OAuth2{TokenURL: "http://127.0.0.1:1/?k=s3cret", ClientID: "a", ClientSecret: "s3cret"}
	b := start(t, cfg)
	if got := await(b.Ask(ask(anna))); got.Outcome != Failed {
		t.Errorf("issuer unreachable: %+v, want error", got)
	}
	if n := b.count(t, "ringhook_lookup_errors_total", "crm", "connect"); n != 1 || strings.Contains(b.log.text(), "s3cret") {
		t.Errorf("issuer unreachable: counted %v times as connect, want once: %s", n, b.log.text())
	}
}

// writePEM creates a self-signed certificate and returns its files.
func writePEM(t *testing.T, dir string) (certFile, keyFile string, cert *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ringhook"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile, cert
}

// TestCertificates checks the TLS settings of a lookup.
func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, client := writePEM(t, dir)
	srv := httptest.NewUnstartedServer(answers("name=Anna"))
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	srv.TLS.ClientCAs.AddCert(client)
	srv.StartTLS()
	defer srv.Close()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		ca, cert, key string
		want          Outcome
	}{
		{ca, certFile, keyFile, Found},
		{ca, "", "", Failed},
		{"", certFile, keyFile, Failed},
		{"", "", "", Failed},
	} {
		cfg := crm(t, nil)
		cfg.URL, cfg.CAFile, cfg.CertFile, cfg.KeyFile = srv.URL+"/?p=%callerid%", tc.ca, tc.cert, tc.key
		if got := await(start(t, cfg).Ask(ask(anna))); got.Outcome != tc.want {
			t.Errorf("%+v: %+v, want %s", tc, got, tc.want)
		}
	}
}

// TestKeyCoversTheRequest checks that the whole request is part of the cache key: callers do not share an
// answer because one spelling of their numbers is equal.
func TestKeyCoversTheRequest(t *testing.T) {
	mexico, america := "+522125550123", "+12125550123"
	cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("phone") == america {
			io.WriteString(w, "name=American")
		}
	})
	cfg.Spellings = []string{"national", "e164"}
	b := start(t, cfg)
	if got := await(b.Ask(ask(america))); got.value("name") != "American" {
		t.Fatalf("answer = %+v", got)
	}
	if got := await(b.Ask(ask(mexico))); got.Outcome != Missing || got.Cached {
		t.Errorf("the caller in another country gets %+v, want missing from the source", got)
	}
	numbers := map[string]bool{}
	for _, e := range b.cache.entries {
		numbers[e.Number] = true
	}
	if !numbers[mexico] || !numbers[america] {
		t.Errorf("the cache holds entries of %v, want one of each caller", numbers)
	}
}

// TestEntryBelongsToItsCaller checks that callers with equal last digits have separate entries, which can be
// forgotten, and that a request without the number belongs to no caller.
func TestEntryBelongsToItsCaller(t *testing.T) {
	cfg := crm(t, answers("name=Anna"))
	cfg.Spellings = []string{"last:7"}
	b := start(t, cfg)
	for _, caller := range []string{"+74951234567", "+79991234567", "+493011234567"} {
		if got := await(b.Ask(ask(caller))); got.Cached {
			t.Fatalf("%s got the answer of another caller from the cache", caller)
		}
		if e := <-b.cache.stored; e.Number != caller {
			t.Errorf("entry of %s has the number %q", caller, e.Number)
		}
	}
	cfg = crm(t, answers("name=Anna"))
	cfg.URL = strings.Replace(cfg.URL, "%callerid%", "%queue_id%", 1)
	b = start(t, cfg)
	q := ask(anna)
	q.Param = func(string) string { return "500" }
	await(b.Ask(q))
	if e := <-b.cache.stored; e.Number != "" {
		t.Errorf("entry of a queue has the number %q", e.Number)
	}
	q.Number = boris
	if got := await(b.Ask(q)); !got.Cached {
		t.Errorf("the same question of another caller is %+v, want cached", got)
	}
}

// TestKeyAcrossConfigurations checks that another header changes the cache key, but another password does
// not.
func TestKeyAcrossConfigurations(t *testing.T) {
	key := func(change func(*Config)) string {
		cfg := crm(t, nil)
		cfg.URL = "http://crm.example/?phone=%callerid%"
		cfg.Username, cfg.Password = "me", "s3cret"
		cfg.Headers = map[string]string{"X-Tenant": "a"}
		cfg.Points = []string{"p"}
		change(&cfg)
		tmpl, err := newRequestTemplate(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		q := ask(anna)
		r := tmpl.render(&q)
		return r.key()
	}
	same := key(func(*Config) {})
	for name, change := range map[string]func(*Config){
		"tenant": func(c *Config) { c.Headers = map[string]string{"X-Tenant": "b"} },
		"header": func(c *Config) { c.Headers = map[string]string{"X-Tenants": "a"} },
		"user":   func(c *Config) { c.Username = "you" },
		"method": func(c *Config) { c.Method = "POST" },
		"type":   func(c *Config) { c.Body, c.BodyType = "x", "json" },
	} {
		if key(change) == same {
			t.Errorf("another %s has the same key", name)
		}
	}
	if key(func(c *Config) { c.Password = "new" }) != same {
		t.Error("another password has another key")
	}
}

// TestNoDigits checks that a number with too few digits for a spelling is not looked up: the CRM would
// answer with the first customer without a number.
func TestNoDigits(t *testing.T) {
	for _, tc := range []struct {
		number    string
		spellings []string
		minLength int
		want      []string // requests
	}{
		{"anna.berg", []string{"last:10"}, 0, nil},
		{"anna.berg", []string{"digits"}, 0, nil},
		{"anna.berg", []string{"e164"}, 0, nil},
		{"blocked", []string{"last:10", "e164"}, 0, nil},
		{"+", []string{"digits"}, 0, nil},
		{"*", []string{"plus-less"}, 0, nil},
		{"anna101", []string{"digits"}, 7, nil},
		{"agent1", []string{"digits"}, 0, nil},
		{"*31", []string{"plus-less"}, 0, []string{"*31"}},
		{"1234567", []string{"last:10"}, 0, nil},
		{"101", []string{"last:10", "e164"}, 3, []string{"101"}},
		{"+4930123456", []string{"last:10", "last:15", "last:9"}, 7, []string{"4930123456", "930123456"}},
		{"+4930123456", []string{"last:15"}, 7, nil},
	} {
		placeholders := []string{"%callerid%", "%callerid_all%"}
		if len(tc.spellings) == 1 {
			placeholders = append(placeholders, "%callerid:"+tc.spellings[0]+"%")
		}
		for _, placeholder := range placeholders {
			var requests []string
			cfg := crm(t, func(_ http.ResponseWriter, r *http.Request) { requests = append(requests, r.FormValue("phone")) })
			cfg.URL = strings.Replace(cfg.URL, "%callerid%", placeholder, 1)
			cfg.Spellings, cfg.MinLength = tc.spellings, tc.minLength
			b := start(t, cfg)
			got := await(b.Ask(ask(tc.number)))
			if text := strings.Join(requests, ","); got.Outcome != Missing || text != strings.Join(tc.want, ",") {
				t.Errorf("%q in %v by %s: %s after requests %q, want missing after %q", tc.number, tc.spellings, placeholder, got.Outcome, text, tc.want)
			}
		}
	}
}

// FuzzRender checks that a request rendered into the buffer has the text of its templates, and that
// different requests have different keys.
func FuzzRender(f *testing.F) {
	f.Add("+74951234567", "500", "+493012345678", "500")
	f.Add("a\x00b", "\x00", "a", "b\x00")
	f.Add("", "", "*", "%")
	cfg := DefaultConfig()
	cfg.Name, cfg.URL, cfg.Body, cfg.BodyType = "crm", "http://crm.example/%queue_id%?p=%callerid%", "%queue_id%", "text"
	cfg.Headers = map[string]string{"X-A": "%queue_id%", "X-B": "b"}
	cfg.Spellings = []string{"e164", "digits", "last:4"}
	t, err := newRequestTemplate(&cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(test *testing.T, number, queue, otherNumber, otherQueue string) {
		render := func(number, queue string) rendered {
			return t.render(&Question{Number: number, Param: func(string) string { return queue }})
		}
		r := render(number, queue)
		for _, a := range r.attempts {
			req := r.request(a)
			if string(req.Body) != queue || !strings.HasPrefix(req.URL, "http://crm.example/") || req.Header[1] != [2]string{"X-B", "b"} {
				test.Fatalf("request = %+v", req)
			}
		}
		if other := render(otherNumber, otherQueue); len(r.attempts) > 0 && len(other.attempts) > 0 {
			if (r.key() == other.key()) != (number == otherNumber && queue == otherQueue) {
				test.Fatalf("keys of %q %q and %q %q", number, queue, otherNumber, otherQueue)
			}
		}
	})
}

// TestAccountRate checks that a lookup whose turn at the account comes after its timeout is not made, says so, and does
// not count as a failure of the source.
func TestAccountRate(t *testing.T) {
	var asked atomic.Int32
	cfg := crm(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "Bearer t-1" {
			t.Errorf("Authorization %q", r.Header.Get("Authorization"))
		}
		echo(w, r)
	})
	cfg.Format, cfg.Variable, cfg.Account, cfg.Points = "text", "echo", "crm", []string{"p"}
	late := 0
	quota := httpclient.NewQuota(httpclient.ParseRate("1/h", 0, nil), func(o httpclient.QuotaOutcome) {
		if o == httpclient.QuotaLate {
			late++
		}
	})
	tokens := httpclient.KeepTokens(nil, httpclient.KeptTokens{First: httpclient.Token{Access: "t-1"}, Got: time.Now(), Quota: quota})
	defer tokens.Close()
	svc, err := New([]Config{cfg}, newMemory(), Own{Accounts: func(string) *httpclient.Tokens { return tokens }}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer svc.Close(t.Context())
	if a := await(svc.Ask(ask(anna))); a.Outcome != Found {
		t.Errorf("the first lookup: %+v", a)
	}
	for range tripRow + 1 {
		p := svc.Ask(ask(boris))
		if a := await(p); a.Outcome != Failed || !strings.Contains(p.Sources()[0].Why, "rate: not sent: the rate of the account") {
			t.Fatalf("a lookup beyond the rate: %+v, %+v", a, p.Sources())
		}
	}
	if n := asked.Load(); n != 1 || late != tripRow+1 {
		t.Errorf("%d requests, %d were late", n, late)
	}
}
