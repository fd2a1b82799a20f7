package desk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/api"
	"ringhook/api/yemot"
	"ringhook/control"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/pops"
	"ringhook/pops/getevent"
	"ringhook/store"
	accounts "ringhook/store/desk"
)

// house is a desk that is served on loopback.
type house struct {
	*Desk
	t    *testing.T
	url  string
	live *pops.Live
}

type noTrace struct{}

func (noTrace) Trace(time.Time, []byte) {}

var people = []dialplan.Agent{{ID: "7", Phone: "101", Name: "Anna"}, {ID: "8", Phone: "102", Name: "Boris"}}

func testRules(t *testing.T, change func(*pops.Config)) *pops.Rules {
	t.Helper()
	c := pops.DefaultConfig()
	c.Name, c.Events, c.Open, c.URL, c.Title = "crm", []string{"agent-dial"}, string(pops.Frame), "https://crm.example/?p=%callerid%", "%callerid_name%"
	if change != nil {
		change(&c)
	}
	rules, err := pops.Compile([]pops.Config{c})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// newStore returns a store that is closed at the end of the test.
func newStore(t *testing.T) *store.Store {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.Folder, cfg.Synchronous, cfg.MaxSize = filepath.Join(t.TempDir(), "data"), "normal", 64<<20
	st, err := store.Open(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// newAPI returns the API of a desk.
func newAPI(t *testing.T, st *store.Store, c *control.Control, live *pops.Live) *api.API {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	lookups, err := lookup.New(nil, st.Cache(), lookup.Own{}, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	a := api.New(log, st.Desk(), st.Cache(), st.Browse(), c, nil)
	a.Exchange("", yemot.Config{}, api.NewExplainer(dialplan.Settings{}, number.NewReader(number.DefaultConfig()), lookups), nil, nil)
	a.SetPops(live)
	return a
}

// newDesk returns a desk that is not served, with its rules. Without a store it serves no requests.
func newDesk(t *testing.T, st *store.Store, cfg Config, rules *pops.Rules) (*Desk, *pops.Live) {
	t.Helper()
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	setup := pops.Setup{Rules: rules, MaxCall: time.Hour}
	for _, a := range people {
		setup.Agents = append(setup.Agents, pops.Agent{ID: a.ID, Phone: a.Phone, Name: a.Name})
	}
	live := pops.NewLive(setup, noTrace{}, log, reg)
	polls := getevent.DefaultConfig()
	polls.Path, polls.Allow = "/cti", []string{"127.0.0.1"}
	parts := Parts{Live: live, Control: control.New(log, reg)}
	parts.Control.Configure(control.Settings{Agents: people})
	if st != nil {
		parts.Accounts, parts.Store, parts.API = st.Desk(), st.Browse(), newAPI(t, st, parts.Control, live)
	}
	desk, err := New(Settings{Config: cfg, Agents: people, Frames: rules.Frames(), Polls: getevent.New(polls, live), Yemot: yemot.Config{Path: "/ym/api/", Token: "fedcba9876543210"}}, parts, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	setup.Screen = desk
	live.Exchange(setup)
	return desk, live
}

func serve(t *testing.T) *house {
	t.Helper()
	st := newStore(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Listen, cfg.URL = l.Addr().String(), "http://"+l.Addr().String()
	desk, live := newDesk(t, st, cfg, testRules(t, nil))
	ended := make(chan error, 1)
	go func() { ended <- desk.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, err := range []error{desk.Shutdown(ctx), <-ended, live.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return &house{Desk: desk, t: t, url: cfg.URL, live: live}
}

// browser is a client with cookies that does not follow redirects.
func (h *house) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	transport := &http.Transport{}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask sends a request and returns the answer. Header has names and values in turn.
func (h *house) ask(c *http.Client, method, path, body string, header ...string) (*http.Response, string) {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp, string(text)
}

func (h *house) form(c *http.Client, path string, values ...string) (*http.Response, string) {
	h.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(values); i += 2 {
		v.Set(values[i], values[i+1])
	}
	return h.ask(c, "POST", path, v.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

const password = "correct horse battery"

// signedIn returns a browser in which an agent has signed in by an invitation.
func (h *house) signedIn(agent string) *http.Client {
	h.t.Helper()
	code, err := h.accounts.(*accounts.Desk).Invite(agent, time.Now().Add(time.Hour))
	if err != nil {
		h.t.Fatal(err)
	}
	c := h.browser()
	if resp, text := h.form(c, "/desk/invite", "code", code, "password", password, "repeat", password); resp.StatusCode != http.StatusSeeOther {
		h.t.Fatalf("invitation: %d %s", resp.StatusCode, text)
	}
	return c
}

func TestSignIn(t *testing.T) {
	h := serve(t)
	c := h.browser()
	if _, text := h.ask(c, "GET", "/desk/", ""); !strings.Contains(text, `action="/desk/sign-in"`) {
		t.Errorf("signed out: %s", text)
	}
	code, err := h.accounts.(*accounts.Desk).Invite("7", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if resp, text := h.ask(c, "GET", "/desk/invite?code="+code, ""); resp.StatusCode != 200 || !strings.Contains(text, "Anna") {
		t.Errorf("invitation: %d %s", resp.StatusCode, text)
	}
	for _, bad := range [][2]string{{"short", "short"}, {password, "another password"}} {
		if resp, _ := h.form(c, "/desk/invite", "code", code, "password", bad[0], "repeat", bad[1]); resp.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("password %q and %q: %d", bad[0], bad[1], resp.StatusCode)
		}
	}
	resp, _ := h.form(c, "/desk/invite", "code", code, "password", password, "repeat", password)
	if cookie := resp.Header.Get("Set-Cookie"); resp.StatusCode != 303 || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
		t.Errorf("accepted: %d %s", resp.StatusCode, cookie)
	}
	if resp, _ := h.form(h.browser(), "/desk/invite", "code", code, "password", password, "repeat", password); resp.StatusCode != 404 {
		t.Errorf("the link works twice: %d", resp.StatusCode)
	}
	if _, text := h.ask(c, "GET", "/desk/", ""); !strings.Contains(text, `data-agent="7"`) {
		t.Errorf("signed in: %s", text)
	}
	if resp, _ := h.form(c, "/desk/sign-out"); resp.StatusCode != 303 {
		t.Errorf("sign out: %d", resp.StatusCode)
	}
	if resp, _ := h.ask(c, "GET", "/v1/me/sessions", ""); resp.StatusCode != 401 {
		t.Errorf("signed out: %d", resp.StatusCode)
	}
	if resp, _ := h.form(c, "/desk/sign-in", "agent", "7", "password", password); resp.StatusCode != 303 {
		t.Errorf("password: %d", resp.StatusCode)
	}
	var answers []string
	for _, who := range []string{"7", "8", "99"} {
		resp, text := h.form(h.browser(), "/desk/sign-in", "agent", who, "password", "wrong password")
		if resp.StatusCode != 401 {
			t.Errorf("wrong password of %s: %d", who, resp.StatusCode)
		}
		answers = append(answers, strings.ReplaceAll(text, `value="`+who+`"`, ""))
	}
	if answers[0] != answers[1] || answers[1] != answers[2] {
		t.Error("the answer reveals which agents there are")
	}
}

func TestGuessing(t *testing.T) {
	h := serve(t)
	c := h.signedIn("7")
	for range maxFailures {
		h.guessed.fail("agent 7", time.Now())
	}
	if resp, _ := h.form(h.browser(), "/desk/sign-in", "agent", "7", "password", password); resp.StatusCode != 429 {
		t.Errorf("after %d failures: %d", maxFailures, resp.StatusCode)
	}
	if resp, _ := h.ask(c, "GET", "/v1/me/sessions", ""); resp.StatusCode != 200 {
		t.Errorf("an open session: %d", resp.StatusCode)
	}
}

func TestSessionsEnd(t *testing.T) {
	h := serve(t)
	for name, s := range map[string]accounts.Session{
		"over":    {Agent: "7", Created: time.Now().Add(-time.Hour), Ends: time.Now().Add(-time.Second)},
		"idle":    {Agent: "7", Created: time.Now().Add(-idleTime), Ends: time.Now().Add(time.Hour)},
		"removed": {Agent: "99", Created: time.Now(), Ends: time.Now().Add(time.Hour)},
	} {
		secret, err := h.accounts.AddSession(s)
		if err != nil {
			t.Fatal(err)
		}
		if resp, _ := h.ask(h.browser(), "GET", "/v1/me/sessions", "", "Cookie", "ringhook="+secret); resp.StatusCode != 401 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}

// TestGuard checks hosts, origins and headers, and that every route of an agent needs a session.
func TestGuard(t *testing.T) {
	h := serve(t)
	c := h.signedIn("7")
	if resp, _ := h.ask(c, "GET", "/desk/", "", "Host", "evil.example"); resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d", resp.StatusCode)
	}
	for name, header := range map[string][]string{
		"cross-site": {"Sec-Fetch-Site", "cross-site"}, "same-site": {"Sec-Fetch-Site", "same-site"}, "origin": {"Origin", "https://evil.example"},
	} {
		if resp, _ := h.ask(c, "POST", "/v1/me/focus", "{}", append(header, "Content-Type", "application/json")...); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	if resp, _ := h.ask(c, "POST", "/v1/me/focus", "stream=1", "Content-Type", "text/plain"); resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("no JSON: %d", resp.StatusCode)
	}
	for _, path := range []string{
		"GET /v1/me/events", "POST /v1/me/focus", "POST /v1/me/pops/p-1/receipt", "GET /v1/me/sessions", "DELETE /v1/me/sessions", "POST /v1/me/login",
		"POST /v1/me/logout", "PUT /v1/me/pause", "GET /v1/me", "POST /v1/me/calls", "POST /v1/me/calls/1.1/hold", "POST /v1/me/calls/1.1/transfer", "POST /v1/me/calls/1.1/answer",
		"POST /v1/me/calls/1.1/dtmf", "POST /v1/me/calls/1.1/resume", "POST /v1/me/transfers/1/complete", "DELETE /v1/me/transfers/1", "PUT /v1/me/calls/1.1/note", "POST /v1/me/pop",
		"GET /v1/me/settings", "PATCH /v1/me/settings", "GET /v1/me/exceptions", "PUT /v1/me/exceptions/1", "DELETE /v1/me/exceptions/1", "DELETE /v1/me/sessions/1", "GET /v1/pops/p-1", "DELETE /v1/me/pause", "POST /v1/me/calls/1.1/hangup", "POST /v1/me/calls/1.1/mute", "POST /v1/me/calls/1.1/unmute",
	} {
		method, path, _ := strings.Cut(path, " ")
		if resp, _ := h.ask(h.browser(), method, path, "{}", "Content-Type", "application/json"); resp.StatusCode != 401 {
			t.Errorf("%s %s without a session: %d", method, path, resp.StatusCode)
		}
	}
	resp, _ := h.ask(c, "GET", "/desk/", "")
	for name, want := range map[string]string{
		"Content-Security-Policy": "frame-src https://crm.example;", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Cross-Origin-Opener-Policy": "same-origin-allow-popups", "Referrer-Policy": "no-referrer",
	} {
		if got := resp.Header.Get(name); !strings.Contains(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if resp, _ := h.ask(c, "GET", "/desk/window", ""); resp.Header.Get("Cross-Origin-Opener-Policy") != "" {
		t.Error("the page of the window has an opener policy: the desk would lose the window")
	}
	if resp, text := h.ask(h.browser(), "GET", "/cti?telorg=101", ""); resp.StatusCode != 200 || !strings.Contains(text, `"tel":""`) {
		t.Errorf("getevent: %d %s", resp.StatusCode, text)
	}
	for target, want := range map[string]string{
		"/ym/api/GetQueueRealTime?queuePath=500&token=fedcba9876543210": `"not connected to Asterisk"`,
		"/ym/api/GetQueueRealTime?queuePath=500":                        `"token is missing"`,
		"/ym/api/GetQueueRealTime?queuePath=500&token=fedcba987654321x": `"token is wrong"`,
	} {
		if resp, text := h.ask(h.browser(), "GET", target, ""); resp.StatusCode != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", target, resp.StatusCode, text)
		}
	}
	if resp, text := h.ask(h.browser(), "GET", "/ym/api/GetQueueRealTime?token=fedcba9876543210", "", "Sec-Fetch-Site", "cross-site"); resp.StatusCode != 200 || !strings.Contains(text, "browsers are not served here") {
		t.Errorf("the Yemot dialect to a page: %d %s", resp.StatusCode, text)
	}
	if resp, _ := h.ask(h.browser(), "GET", "/nothing", ""); resp.StatusCode != 404 {
		t.Errorf("no page: %d", resp.StatusCode)
	}
}

// TestPagesHaveNoInlineScript checks that pages work under their policy.
func TestPagesHaveNoInlineScript(t *testing.T) {
	h := serve(t)
	c := h.signedIn("7")
	inline := regexp.MustCompile(`(?i)<script(?:[^>]*)>[^<]|<style| style=| on[a-z]+=`)
	for _, path := range []string{"/desk/", "/desk/window"} {
		for _, lang := range Languages() {
			_, text := h.ask(c, "GET", path, "", "Accept-Language", lang)
			if inline.MatchString(text) {
				t.Errorf("%s has inline code: %q", path, inline.FindString(text))
			}
			if !strings.Contains(text, `lang="`+lang+`"`) || lang == "he" && !strings.Contains(text, `dir="rtl"`) {
				t.Errorf("%s in %s: %.200s", path, lang, text)
			}
			for _, file := range regexp.MustCompile(`(?:src|href)="(/desk/assets/[^"]+)"`).FindAllStringSubmatch(text, -1) {
				if resp, _ := h.ask(c, "GET", file[1], ""); resp.StatusCode != 200 || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
					t.Errorf("%s: %d %s", file[1], resp.StatusCode, resp.Header.Get("Cache-Control"))
				}
			}
		}
	}
}

// messages reads an event stream.
type messages struct {
	t    *testing.T
	lead *bufio.Scanner
	end  context.CancelFunc
}

// listen opens the stream of a tab.
func (h *house) listen(c *http.Client) *messages {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", h.url+"/v1/me/events", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		h.t.Fatalf("stream: %d", resp.StatusCode)
	}
	return &messages{h.t, bufio.NewScanner(resp.Body), cancel}
}

// next returns the next message of a type.
func (m *messages) next(event string) map[string]any {
	m.t.Helper()
	found := false
	for m.lead.Scan() {
		line := m.lead.Text()
		if rest, ok := strings.CutPrefix(line, "event: "); ok {
			found = rest == event
		}
		if rest, ok := strings.CutPrefix(line, "data: "); ok && found {
			var v map[string]any
			if err := json.Unmarshal([]byte(rest), &v); err != nil {
				m.t.Fatal(err)
			}
			return v
		}
	}
	m.t.Fatalf("the stream ended before %s: %v", event, m.lead.Err())
	return nil
}

// say reports an event of a call.
func (h *house) say(call, name, phone string, params map[string]any) {
	p := map[string]any{
		"event": name, "agent_phone": phone, "call_uuid": call, "linkedid": call, "callerid": "+442079460142", "callerid_name": "Zoë <img src=x onerror=alert(1)>\u202e",
		"direction": "incoming", "queue_name": "Sales",
	}
	for k, v := range params {
		p[k] = v
	}
	h.live.Heard(&hooks.Event{ID: "msg_" + call + name + phone, Name: name, LinkedID: call, Time: time.Now(), Final: name == "call-hangup", Params: p}, "found")
}

// TestCallOnScreen plays a call that rings at two agents, from the ring to the end.
func TestCallOnScreen(t *testing.T) {
	h := serve(t)
	anna, boris := h.signedIn("7"), h.signedIn("8")
	first, second := h.listen(anna), h.listen(boris)
	hello := first.next("hello")
	stream := hello["stream"].(string)
	second.next("hello")
	h.say("1.1", "agent-dial", "101", nil)
	h.say("1.1", "agent-dial", "102", nil)
	card := first.next("call")
	if card["state"] != "ringing" || card["name"] != "Zoë <img src=x onerror=alert(1)>" || card["number"] != "+442079460142" {
		t.Errorf("card: %v", card)
	}
	pop := first.next("pop")
	if pop["lead"] != true || pop["url"] != "https://crm.example/?p=%2B442079460142" || pop["way"] != "frame" || strings.Contains(pop["title"].(string), "\u202e") {
		t.Errorf("pop: %v", pop)
	}
	other := second.next("pop")
	receipt := func(c *http.Client, pop map[string]any, fate string) int {
		body, err := json.Marshal(map[string]string{"stream": stream, "fate": fate})
		if err != nil {
			t.Fatal(err)
		}
		resp, _ := h.ask(c, "POST", "/v1/me/pops/"+pop["pop"].(string)+"/receipt", string(body), "Content-Type", "application/json")
		return resp.StatusCode
	}
	if status := receipt(anna, other, "shown"); status != 409 {
		t.Errorf("another agent's pop: %d", status)
	}
	if status := receipt(anna, pop, "elsewhere"); status != 400 {
		t.Errorf("a fate that no tab reports: %d", status)
	}
	for _, c := range []struct {
		client *http.Client
		pop    map[string]any
	}{{anna, pop}, {boris, other}} {
		if status := receipt(c.client, c.pop, "shown"); status != 204 {
			t.Errorf("receipt: %d", status)
		}
	}
	h.say("1.1", "agent-answer", "102", nil)
	if closed := first.next("pop-closed"); closed["fate"] != "elsewhere" || closed["pop"] != pop["pop"] {
		t.Errorf("closed: %v", closed)
	}
	taken := first.next("call")
	if taken["state"] != "ended" || taken["outcome"] != "elsewhere" || taken["by"] != "Boris" {
		t.Errorf("taken: %v", taken)
	}
	// After a reload the talk is there, and the pop that was shown.
	again := h.listen(boris).next("hello")
	if calls := again["calls"].([]any); len(calls) != 1 || calls[0].(map[string]any)["state"] != "talking" {
		t.Errorf("after a reload: %v", again["calls"])
	}
	if list := again["pops"].([]any); len(list) != 1 || list[0].(map[string]any)["fate"] != "shown" {
		t.Errorf("after a reload: %v", again["pops"])
	}
	h.say("1.1", "call-hangup", "", nil)
	if ended := second.next("pop-closed"); ended["fate"] != "ended" {
		t.Errorf("ended: %v", ended)
	}
	if recent := h.listen(anna).next("hello")["recent"].([]any); len(recent) != 1 {
		t.Errorf("recent: %v", recent)
	}
}

// TestSignedOutStream checks that a stream ends with its session.
func TestSignedOutStream(t *testing.T) {
	h := serve(t)
	c := h.signedIn("7")
	m := h.listen(c)
	m.next("hello")
	if resp, _ := h.ask(c, "DELETE", "/v1/me/sessions", ""); resp.StatusCode != 204 {
		t.Errorf("sign out everywhere: %d", resp.StatusCode)
	}
	if bye := m.next("bye"); bye["reason"] != byeSignedOut {
		t.Errorf("got %v", bye)
	}
}

// TestTexts checks that each language has every text.
func TestTexts(t *testing.T) {
	for _, code := range Languages() {
		data, err := textFiles.ReadFile("assets/text/" + code + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		for key := range languages["en"].text {
			if !bytes.Contains(data, []byte("\n"+key+" = ")) && !bytes.HasPrefix(data, []byte(key+" = ")) {
				t.Errorf("%s has no %s", code, key)
			}
		}
	}
	for _, reason := range pops.Reasons() {
		if reason != pops.Popped && reason != pops.NoRule && reason != pops.Repeat && languages["en"].text["why_"+string(reason)] == "" {
			t.Errorf("no text for the reason %s", reason)
		}
	}
}

// TestConnectionsAreLimited checks that connections beyond the maximum are closed, and that there is room after others end.
func TestConnectionsAreLimited(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	l := &limitedListener{Listener: inner, most: func() int { return 1 }}
	accepted := make(chan net.Conn, 4)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	first := <-accepted
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Error("a connection beyond the maximum is served")
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	dial()
	if err := (<-accepted).Close(); err != nil {
		t.Error(err)
	}
}
