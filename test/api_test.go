package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"ringhook/api"
	"ringhook/test/wait"
)

const testToken = "0123456789abcdef"

// configured writes a configuration with a token for the API.
func configured(t *testing.T, token, more string) (file, web string) {
	t.Helper()
	file, _, web = config(t, more)
	text, err := os.ReadFile(file)
	if err == nil {
		text = bytes.Replace(text, []byte("[http]\n"), []byte("[http]\ntoken = \""+token+"\"\n"), 1)
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file, web
}

// daemon runs ringhook serve in this process until the test ends. It returns the configuration file and the
// address of the HTTP server.
func daemon(t *testing.T, token, more string) (file, web string) {
	t.Helper()
	return daemonLogging(t, token, more, new(bytes.Buffer))
}

// daemonLogging is daemon with a log that can be read after its end.
func daemonLogging(t *testing.T, token, more string, log *bytes.Buffer) (file, web string) {
	t.Helper()
	file, web = configured(t, token, more)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"serve", "-c", file}, io.Discard, log) }()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != exitOK {
			t.Errorf("ringhook serve ended with %d:\n%s", code, log)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	wait.Until(t, func() bool { return ready(web) }, "ringhook is not ready")
	return file, web
}

// withCRM is a configuration with a CRM that counts its requests.
func withCRM(t *testing.T, asked *atomic.Int32) string {
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		fmt.Fprintf(w, "CALLERID(name)=Zo%%C3%%AB&tier=gold&SHELL(id)=1&call_info=%s", r.URL.Query().Get("queue"))
	}))
	t.Cleanup(crm.Close)
	return "[number]\ncountry = \"GB\"\n" +
		"[[queue]]\nid = \"500\"\nname = \"Sales\"\n" +
		"[[lookup]]\nname = \"crm\"\npoints = [\"queue-dial\"]\nurl = \"" + crm.URL + "/?api_key=s3cret&phone=%callerid%&queue=%queue_name%\"\n"
}

// request makes a valid request to the API, modified by change.
func request(t *testing.T, url, body string, change func(*http.Request)) (status int, header http.Header, answer string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testToken)
	req.Header.Set("Content-Type", "application/json")
	change(req)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// TestAPIRefuses checks which requests are refused (T-API-01, T-API-03, T-API-04).
func TestAPIRefuses(t *testing.T) {
	var asked atomic.Int32
	_, web := daemon(t, testToken, withCRM(t, &asked))
	const number = `{"number": "+442079460142"}`
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, tc := range []struct {
		name, path, body string
		change           func(*http.Request)
		status           int
		answer           string // part of it
	}{
		{"right", "forget", number, func(*http.Request) {}, 200, `{"forgotten":0}`},
		{"right, by name", "forget", number, func(r *http.Request) { r.Host = "LOCALHOST:4580" }, 200, "forgotten"},
		{"right, IPv6", "forget", number, func(r *http.Request) { r.Host = "[::1]:80" }, 200, "forgotten"},
		{"right, with a charset", "forget", number, set("Content-Type", "application/json; charset=utf-8"), 200, "forgotten"},
		{"no token", "forget", number, func(r *http.Request) { r.Header.Del("Authorization") }, 401, "Bearer"},
		{"wrong token", "forget", number, set("Authorization", "Bearer 0123456789abcdeF"), 401, "token"},
		{"another scheme", "forget", number, set("Authorization", "Basic "+testToken), 401, "token"},
		{"wrong token, no path", "nothing", number, set("Authorization", "Bearer x"), 401, "token"},
		{"another host", "forget", number, func(r *http.Request) { r.Host = "rebound.example" }, 403, "Host"},
		{"a host that looks local", "forget", number, func(r *http.Request) { r.Host = "127.0.0.1.example" }, 403, "Host"},
		{"a browser", "forget", number, set("Origin", "http://127.0.0.1"), 403, "browsers"},
		{"an image of a page", "forget", number, set("Sec-Fetch-Site", "cross-site"), 403, "browsers"},
		{"a page of this machine", "forget", number, set("Sec-Fetch-Site", "same-site"), 403, "browsers"},
		{"no path", "nothing", number, func(*http.Request) {}, 404, "/v1/lookup"},
		{"GET", "forget", "", func(r *http.Request) { r.Method = http.MethodGet }, 405, "POST"},
		{"a form", "forget", number, set("Content-Type", "application/x-www-form-urlencoded"), 415, "application/json"},
		{"no type", "forget", number, func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "application/json"},
		{"chunks", "forget", number, func(r *http.Request) { r.ContentLength = -1 }, 411, "Content-Length"},
		{"no JSON", "forget", "number=1", func(*http.Request) {}, 400, "expected"},
		{"more after it", "forget", number + "x", func(*http.Request) {}, 400, "after"},
		{"another key", "forget", `{"phone": "1"}`, func(*http.Request) {}, 400, "phone"},
		{"nobody", "forget", `{"number": "anonymous"}`, func(*http.Request) {}, 400, "not a caller"},
		{"a word", "forget", `{"number": "anna"}`, func(*http.Request) {}, 400, "not a caller"},
		{"unknown point", "lookup", `{"number": "1", "point": "queue"}`, func(*http.Request) {}, 400, "unknown point"},
		{"a point without lookups", "lookup", `{"number": "1", "point": "call-dial"}`, func(*http.Request) {}, 400, "call-dial"},
		{"no number", "lookup", `{}`, func(*http.Request) {}, 400, "number"},
	} {
		path := "/v1/cache/forget"
		if tc.path != "forget" {
			path = "/v1/" + tc.path
		}
		status, header, answer := request(t, web+path, tc.body, tc.change)
		if status != tc.status || !strings.Contains(answer, tc.answer) || strings.Contains(answer, testToken) {
			t.Errorf("%s: got %d %s, want %d %s", tc.name, status, answer, tc.status, tc.answer)
		}
		if status == 401 && header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", tc.name)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("the CRM was asked %d times", asked.Load())
	}
}

// TestAPIBodies checks that a body that is too large is not read, and that a request with an ambiguous
// length is refused (T-API-04, T-API-05).
func TestAPIBodies(t *testing.T) {
	var asked atomic.Int32
	_, web := daemon(t, testToken, withCRM(t, &asked))
	for name, rest := range map[string]string{
		"too large":   "Content-Length: 2000000\r\n\r\n",
		"two lengths": "Content-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n{\"number\":\"+1\"}\r\n0\r\n\r\n",
		"headers":     "X-Long: " + strings.Repeat("x", 8<<10) + "\r\n\r\n",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(web, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /v1/cache/forget HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s", testToken, rest)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if resp.Body.Close(); resp.StatusCode < 400 {
			t.Errorf("%s: got %d, want a refusal", name, resp.StatusCode)
		}
		c.Close()
	}
}

// TestAPIOff checks that the API is off if the configuration has no token.
func TestAPIOff(t *testing.T) {
	_, web := daemon(t, "", "")
	for _, token := range []string{"", testToken} {
		status, _, answer := request(t, web+"/v1/lookup", `{"number": "1"}`, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
		if status != 404 || !strings.Contains(answer, "[http] token") {
			t.Errorf("token %q: got %d %s, want 404", token, status, answer)
		}
	}
}

// T-API-02: after ten wrong tokens no other token from this address is checked. The right
// one is still accepted. Requests without a token do not count, because any page in the
// administrator's browser can send them.
func TestAPIThrottled(t *testing.T) {
	var asked atomic.Int32
	file, web := daemon(t, testToken, withCRM(t, &asked))
	send := func(token string) (status int, header http.Header) {
		t.Helper()
		status, header, _ = request(t, web+"/v1/cache/forget", `{"number": "+442079460142"}`, func(r *http.Request) {
			r.Header.Del("Authorization")
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
		})
		return status, header
	}
	for range 20 {
		if status, _ := send(""); status != 401 {
			t.Fatalf("without a token: got %d, want 401", status)
		}
	}
	for n := range 10 {
		if status, _ := send("guess"); status != 401 {
			t.Fatalf("wrong token %d: got %d, want 401", n+1, status)
		}
	}
	if status, header := send("guess"); status != 429 || header.Get("Retry-After") == "" {
		t.Errorf("wrong token 11: got %d with Retry-After %q, want 429 with one", status, header.Get("Retry-After"))
	}
	if status, _ := send(""); status != 401 {
		t.Errorf("without a token: got %d, want 401", status)
	}
	if status, _ := send(testToken); status != 200 {
		t.Errorf("the right token: got %d, want 200", status)
	}
	ringhook(t, "lookup", "020 7946 0142", "-c", file)
}

// TestLookup checks that the server and the command print the same lookup of a number, without a secret.
func TestLookup(t *testing.T) {
	var asked atomic.Int32
	file, web := daemon(t, testToken, withCRM(t, &asked))
	alone, _ := configured(t, testToken, withCRM(t, &asked))
	for where, file := range map[string]string{"the server": file, "this command": alone} {
		var out, errOut bytes.Buffer
		args := []string{"lookup", "020 7946 0142", "queue_id=500", "--point", "queue-dial", "-c", file}
		if code := run(t.Context(), args, &out, &errOut); code != exitOK {
			t.Errorf("%s: ended with %d: %s", where, code, &errOut)
		}
		for _, want := range []string{
			"is read as +442079460142 (normal), London", "asked by " + where, "crm: FOUND", "api_key=***", "queue=Sales", "status   200",
			"cached   nothing", "CALLERID(name) = Zoë", "from crm", "RINGHOOK_STATUS = FOUND", "call_info = Sales",
			"only events get tier, match, match_count", "refused SHELL(id) ([dialplan] variables does not allow this name)",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is missing in\n%s", where, want, &out)
			}
		}
		if strings.Contains(out.String()+errOut.String(), "s3cret") || strings.Contains(out.String()+errOut.String(), testToken) {
			t.Errorf("%s tells a secret:\n%s%s", where, &out, &errOut)
		}
		out.Reset()
		if code := run(t.Context(), append(args, "--json"), &out, &errOut); code != exitOK {
			t.Errorf("%s: ended with %d: %s", where, code, &errOut)
		}
		var report api.LookupReport
		if err := json.Unmarshal(out.Bytes(), &report); err != nil || report.Outcome != "found" || len(report.Sources) != 1 ||
			report.Number.Read != "+442079460142" || len(report.Channel.Refused) != 1 {
			t.Errorf("%s: %v, %s", where, err, &out)
		}
	}
	if asked.Load() != 4 {
		t.Errorf("the CRM was asked %d times, want 4: nothing is kept", asked.Load())
	}
	_, _, answer := request(t, web+"/v1/lookup", `{"number": "020 7946 0142", "params": {"queue_id": "500"}}`, func(*http.Request) {})
	if !strings.Contains(answer, `"value":"Sales"`) || strings.Contains(answer, "s3cret") {
		t.Errorf("answer %s", answer)
	}
}

// TestLookupFails checks that a command of which a source does not answer fails, and that one without a customer does not.
func TestLookupFails(t *testing.T) {
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[bool]int{true: http.StatusInternalServerError, false: http.StatusNotFound}[r.FormValue("n") == "+442079460142"])
	}))
	defer crm.Close()
	file, _ := configured(t, testToken, fmt.Sprintf("[[lookup]]\nname = \"crm\"\npoints = [\"queue-dial\"]\nurl = \"%s/?n=%%callerid%%\"\n", crm.URL))
	for number, want := range map[string]struct {
		code int
		text string
	}{
		"+442079460142": {exitFailure, "no answer: crm ERROR"},
		"+442079460143": {exitOK, "a call gets now: NOTFOUND"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), []string{"lookup", number, "-c", file}, &out, &out); code != want.code || !strings.Contains(out.String(), want.text) {
			t.Errorf("%s: ended with %d, want %d and %q:\n%s", number, code, want.code, want.text, &out)
		}
	}
}

// F21: a client that holds connections and sends nothing does not block /healthz
// for other clients, and is served again after it closed them.
func TestHTTPSlowLoris(t *testing.T) {
	_, web := daemon(t, testToken, "")
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, 9, 9)}}
	var held []net.Conn
	for range api.MaxConnections {
		c, err := from.Dial("tcp", strings.TrimPrefix(web, "http://"))
		if err != nil {
			t.Skip("this system has one loopback address:", err)
		}
		defer c.Close()
		c.Write([]byte("GET /healthz HTTP/1.1\r\nX-Slow: "))
		held = append(held, c)
	}
	if body := get(t, web+"/healthz"); body != "ok\n" {
		t.Errorf("/healthz says %q beside %d connections that say nothing", body, api.MaxConnections)
	}
	for _, c := range held {
		c.Close()
	}
	client := http.Client{Transport: &http.Transport{DialContext: from.DialContext, DisableKeepAlives: true}}
	wait.Until(t, func() bool {
		resp, err := client.Get(web + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	}, "an address whose connections are closed is not served again")
}

// Values of a CRM or a receiver reach the administrator's terminal without escape sequences, line breaks and
// direction overrides.
func TestTerminalIsSafe(t *testing.T) {
	const evil = "\x1b]0;owned\x07\x1b[2J\u009b2J\r\nfake\u202etxet\x00"
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusInternalServerError)
		}
		io.WriteString(w, "call_info="+url.QueryEscape(evil)+"&note="+evil)
	}))
	defer crm.Close()
	file, _ := daemon(t, testToken, "[[lookup]]\nname = \"crm\"\npoints = [\"queue-dial\"]\nformat = \"pairs\"\nurl = \""+crm.URL+"/\"\n"+
		"[[hook]]\nname = \"journal\"\nevents = [\"*\"]\nurl = \""+crm.URL+"/\"\n")
	for _, args := range [][]string{{"lookup", "+442079460142"}, {"hook", "test", "journal"}} {
		var out bytes.Buffer
		run(t.Context(), append(args, "-c", file), &out, &out)
		if !strings.Contains(out.String(), "owned") {
			t.Errorf("%v does not show what came:\n%s", args, &out)
		}
		if bad := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' }); bad >= 0 {
			t.Errorf("%v prints %q", args, out.String()[bad:])
		}
		if strings.Contains(out.String(), "\nfake") {
			t.Errorf("%v lets an answer begin a line:\n%s", args, &out)
		}
	}
}
