package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/control"
	"ringhook/dialplan"
	"ringhook/pops"
	"ringhook/recordings"
	accounts "ringhook/store/desk"
)

// answer reads an answer in JSON.
func answer[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

func (h *house) json(c *http.Client, method, path, body string, header ...string) (int, string) {
	h.t.Helper()
	resp, text := h.ask(c, method, path, body, append(header, "Content-Type", "application/json")...)
	return resp.StatusCode, text
}

// TestOwnSettings changes settings of an agent: those of the page, those that a rule allows, and others.
func TestOwnSettings(t *testing.T) {
	h := serve(t)
	changed := 0
	h.changed = func() error { changed++; return nil }
	h.live.Exchange(pops.Setup{Rules: testRules(t, func(c *pops.Config) {
		c.Events, c.Moment, c.AgentMay = []string{"agent-dial", "agent-answer"}, "choose", []string{"moment", "busy"}
	}), Agents: []pops.Agent{{ID: "7", Phone: "101"}}, Screen: h.Desk, MaxCall: time.Hour})
	c := h.signedIn("7")
	for _, one := range []struct {
		body string
		want int
	}{
		{`{"language": "he", "theme": "dark", "sound": "40", "keys": "off", "moment": "agent-answer", "off": "2026-01-15T10:00:00Z"}`, 200},
		{`{"busy": "true"}`, 200}, {`{"busy": ""}`, 200}, {`{}`, 200}, {`{"language": "xx"}`, 400}, {`{"theme": "pink"}`, 400}, {`{"sound": "101"}`, 400},
		{`{"mode": "force"}`, 403}, {`{"busy": "1"}`, 400}, {`{"x": "1"}`, 400}, {`{"off": "later"}`, 400}, {`[]`, 400},
	} {
		body, want := one.body, one.want
		if status, text := h.json(c, "PATCH", "/v1/me/settings", body); status != want {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	_, text := h.ask(c, "GET", "/v1/me/settings", "")
	got := answer[settingsView](t, text)
	if got.Settings["language"] != "he" || got.Settings["moment"] != "agent-answer" || got.Settings["busy"] != "" || !slices.Equal(got.May, []string{"moment", "busy"}) || len(got.Moments) != 2 {
		t.Errorf("settings: %s", text)
	}
	if changed < 4 {
		t.Errorf("put in force %d times", changed)
	}
	if _, text := h.ask(c, "GET", "/v1/me", ""); !strings.Contains(text, `"theme":"dark"`) {
		t.Errorf("snapshot: %s", text)
	}
	if _, text := h.ask(c, "GET", "/desk/", "", "Accept-Language", "fr"); !strings.Contains(text, `lang="he"`) {
		t.Error("the page is not in the agent's language")
	}
}

// TestOwnExceptions adds and removes numbers, in the spelling of calls. Rows D27 and D28.
func TestOwnExceptions(t *testing.T) {
	h := serve(t)
	if err := h.accounts.AddExceptions(accounts.Exception{Number: "+4989*", Note: "trunk"}, accounts.Exception{Number: "+43*", Agent: "8"}); err != nil {
		t.Fatal(err)
	}
	c := h.signedIn("7")
	for path, want := range map[string]int{"+4930*": 200, "%2B44%2020%207946%200142": 200, "101": 200, "anna": 400, "*": 400, "+49%0d30": 400, "1700000001.1": 400} {
		if status, text := h.json(c, "PUT", "/v1/me/exceptions/"+path, `{"note": "x\u202e"}`); status != want {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	_, text := h.ask(c, "GET", "/v1/me/exceptions", "")
	var numbers []string
	for _, e := range answer[struct{ Exceptions []accounts.Exception }](t, text).Exceptions {
		numbers = append(numbers, e.Number+" "+e.Agent+" "+e.Note)
	}
	if want := []string{"+442079460142 7 x", "+4930* 7 x", "+4989*  trunk", "101 7 x"}; !slices.Equal(numbers, want) {
		t.Errorf("got %q, want %q", numbers, want)
	}
	for path, want := range map[string]int{"+4930*": 204, "+4989*": 404, "+43*": 404} {
		if status, text := h.json(c, "DELETE", "/v1/me/exceptions/"+path, ""); status != want {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

// TestNotes writes about calls that the agent has, had and never had.
func TestNotes(t *testing.T) {
	h := serve(t)
	c, other := h.signedIn("7"), h.signedIn("8")
	m := h.listen(c)
	m.next("hello")
	h.say("1.1", "agent-dial", "101", nil)
	m.next("call")
	if status, _ := h.json(c, "PUT", "/v1/me/calls/1.1/note", `{"note": "wants\na call back \u202e<b>"}`); status != 200 {
		t.Errorf("note: %d", status)
	}
	if n := m.next("note"); n["note"] != "wants a call back <b>" {
		t.Errorf("note: %v", n)
	}
	for path, status := range map[string]int{"/v1/me/calls/9.9/note": 404, "/v1/me/calls/" + strings.Repeat("1", 200) + "/note": 400} {
		if got, text := h.json(c, "PUT", path, `{"note": "x"}`); got != status {
			t.Errorf("%s: %d %s", path, got, text)
		}
	}
	var reported []string
	h.notes = func(_ context.Context, linkedid, _, phone, note string) bool {
		reported = append(reported, linkedid+" "+phone+" "+note)
		return true
	}
	for _, note := range []string{"angry", ""} {
		if status, text := h.json(c, "PUT", "/v1/me/calls/1.1/note", `{"note": "`+note+`"}`); status != 200 || text != `{"note":"`+note+`","reported":true}`+"\n" {
			t.Errorf("%q: %d %s", note, status, text)
		}
	}
	if want := []string{"1.1 101 angry", "1.1 101 "}; !slices.Equal(reported, want) {
		t.Errorf("reported: %q, want %q", reported, want)
	}
	if got, _ := h.json(other, "PUT", "/v1/me/calls/1.1/note", `{"note": "x"}`); got != 404 {
		t.Errorf("another agent's call: %d", got)
	}
	h.say("1.1", "call-hangup", "", nil)
	m.next("call")
	if status, _ := h.json(c, "PUT", "/v1/me/calls/1.1/note", `{"note": "done"}`); status != 200 {
		t.Errorf("after the call: %d", status)
	}
	if _, text := h.ask(c, "GET", "/v1/me", ""); !strings.Contains(text, `"1.1":"done"`) {
		t.Errorf("snapshot: %s", text)
	}
}

// TestPopRoutes asks for a page, and reads a pop's parameters by its id.
func TestPopRoutes(t *testing.T) {
	h := serve(t)
	h.control.Configure(control.Settings{Agents: people})
	links := &recordings.Config{URL: "https://rec.example/%file%?key=k7qp0z2mw4xr8vt1"}
	next := *h.current.Load()
	next.Board.Links = links.Shown()
	h.current.Store(&next)
	c, other := h.signedIn("7"), h.signedIn("8")
	m := h.listen(c)
	m.next("hello")
	h.say("1.1", "agent-dial", "101", map[string]any{"recording_url": "https://rec.example/1.wav?key=k7qp0z2mw4xr8vt1"})
	id := m.next("pop")["pop"].(string)
	if _, text := h.ask(c, "GET", "/v1/pops/"+id, ""); !strings.Contains(text, `"callerid":"+442079460142"`) || !strings.Contains(text, "rec.example/1.wav") || strings.Contains(text, "k7qp0z2mw4xr8vt1") {
		t.Errorf("the pop: %s", text)
	}
	for client, path := range map[*http.Client]string{other: "/v1/pops/" + id, c: "/v1/pops/p-none"} {
		if resp, _ := h.ask(client, "GET", path, ""); resp.StatusCode != 404 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	for body, want := range map[string]int{
		`{"linkedid": "1.1", "force": true}`: 202, `{"linkedid": "9.9"}`: 404, `{}`: 400, `{"linkedid": "1.1", "url": "https://evil.example/"}`: 400, `{"linkedid": "1.1", "url": "https://crm.example/other"}`: 202,
	} {
		if status, text := h.json(c, "POST", "/v1/me/pop", body); status != want {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if p := m.next("pop"); p["mode"] != "force" || p["lead"] != true {
		t.Errorf("on demand: %v", p)
	}
	if status, text := h.json(other, "POST", "/v1/me/pop", `{"linkedid": "1.1"}`); status != 404 {
		t.Errorf("of another agent's call: %d %s", status, text)
	}
}

// TestTokenOfAgent is row L38: a CRM's own workplace uses all routes of an agent with a token, the stream too, also from a
// page of a configured origin.
func TestTokenOfAgent(t *testing.T) {
	h := serve(t)
	cur := *h.current.Load()
	cur.Config.Origins = []string{"https://crm.example"}
	h.current.Store(&cur)
	token, err := h.accounts.(*accounts.Desk).AddToken(accounts.Token{Name: "crm", Agent: "7", Rights: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	program, err := h.accounts.(*accounts.Desk).AddToken(accounts.Token{Name: "all", Rights: "administrator"})
	if err != nil {
		t.Fatal(err)
	}
	c := h.browser()
	for name, one := range map[string]struct {
		want   int
		header []string
	}{
		"token":          {200, []string{"Authorization", "Bearer " + token}},
		"page":           {200, []string{"Authorization", "Bearer " + token, "Origin", "https://crm.example", "Sec-Fetch-Site", "cross-site"}},
		"no agent":       {401, []string{"Authorization", "Bearer " + program}},
		"wrong":          {401, []string{"Authorization", "Bearer rh_0"}},
		"other's cookie": {401, []string{"Authorization", "Bearer rh_0", "Cookie", "ringhook=x"}},
	} {
		resp, text := h.ask(c, "GET", "/v1/me", "", one.header...)
		if resp.StatusCode != one.want {
			t.Errorf("%s: %d %s", name, resp.StatusCode, text)
		}
		if got := resp.Header.Get("Access-Control-Allow-Origin"); (got != "") != (name == "page") || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: allowed origin %q", name, got)
		}
	}
	if status, text := h.json(c, "PATCH", "/v1/me/settings", `{"theme": "dark"}`, "Authorization", "Bearer "+token, "Origin", "https://crm.example", "Sec-Fetch-Site", "cross-site"); status != 200 {
		t.Errorf("a change: %d %s", status, text)
	}
	for origin, want := range map[string]string{"https://crm.example": "https://crm.example", "https://evil.example": ""} {
		resp, _ := h.ask(c, "OPTIONS", "/v1/me/calls", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
		if got := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != 204 || got != want {
			t.Errorf("preflight of %s: %d %q", origin, resp.StatusCode, got)
		}
	}
	// A page of a configured origin gains nothing from the agent's cookie.
	signed := h.signedIn("7")
	if status, _ := h.json(signed, "POST", "/v1/me/login", `{}`, "Origin", "https://crm.example", "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("a cookie from another site: %d", status)
	}
	if removed, err := h.accounts.(*accounts.Desk).RemoveToken("crm"); !removed || err != nil {
		t.Fatal(removed, err)
	}
	if h.valid(&visitor{agent: people[0], token: token}) {
		t.Error("a stream outlives its token")
	}
}

// TestProxyUser checks that the header of a proxy counts only from its address, and that the address of a client is the one
// that the proxy says.
func TestProxyUser(t *testing.T) {
	h := serve(t)
	ask := func(header ...string) int {
		resp, _ := h.ask(h.browser(), "GET", "/v1/me", "", header...)
		return resp.StatusCode
	}
	if status := ask("X-Remote-User", "7"); status != 401 {
		t.Errorf("without a setting: %d", status)
	}
	cur := *h.current.Load()
	cur.Config.ProxyUserHeader, cur.proxies = "X-Remote-User", []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	h.current.Store(&cur)
	if status := ask("X-Remote-User", "7"); status != 401 {
		t.Errorf("of no proxy: %d", status)
	}
	next := cur
	next.proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24")}
	h.current.Store(&next)
	for user, want := range map[string]int{"7": 200, "99": 401, "": 401} {
		if status := ask("X-Remote-User", user); status != want {
			t.Errorf("%q: %d", user, status)
		}
	}
	if resp, _ := h.ask(h.browser(), "POST", "/v1/me/focus", "{}", "Content-Type", "application/json", "X-Remote-User", "7", "Sec-Fetch-Site", "cross-site"); resp.StatusCode != 403 {
		t.Errorf("another site: %d", resp.StatusCode)
	}
	for forwarded, want := range map[string]string{
		"198.51.100.7": "198.51.100.7", "203.0.113.9, 198.51.100.7, 192.0.2.5": "198.51.100.7", "": "127.0.0.1", "x": "127.0.0.1", "2001:db8::1": "2001:db8::1",
	} {
		r, err := http.NewRequest("GET", h.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("X-Forwarded-For", forwarded)
		if got := next.clientOf(r).String(); got != want {
			t.Errorf("%q: got %s, want %s", forwarded, got, want)
		}
	}
	r, _ := http.NewRequest("GET", h.url, nil)
	r.RemoteAddr = "198.51.100.1:1"
	r.Header.Set("X-Forwarded-For", "10.0.0.1")
	if got := next.clientOf(r).String(); got != "198.51.100.1" {
		t.Errorf("a client that is no proxy: %s", got)
	}
}

// TestSessionRoute is row L39: sign in and out by requests.
func TestSessionRoute(t *testing.T) {
	h := serve(t)
	h.signedIn("7")
	c := h.browser()
	for body, want := range map[string]int{`{"login": "7", "password": "wrong password"}`: 401, `{"login": "99", "password": "x"}`: 401, `{"login": 7}`: 400} {
		if status, text := h.json(c, "POST", "/v1/session", body); status != want {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	status, text := h.json(c, "POST", "/v1/session", `{"login": "7", "password": "`+password+`"}`)
	if status != 201 || !strings.Contains(text, `"role":"agent"`) {
		t.Errorf("sign in: %d %s", status, text)
	}
	_, text = h.ask(c, "GET", "/v1/me/sessions", "")
	list := answer[struct {
		Sessions []struct {
			ID      string
			Current bool
		}
	}](t, text).Sessions
	if len(list) != 2 || list[0].Current == list[1].Current {
		t.Fatalf("sessions: %s", text)
	}
	for _, s := range list {
		if !s.Current {
			if status, _ := h.json(c, "DELETE", "/v1/me/sessions/"+s.ID, ""); status != 204 {
				t.Errorf("sign out there: %d", status)
			}
			if status, _ := h.json(c, "DELETE", "/v1/me/sessions/"+s.ID, ""); status != 404 {
				t.Errorf("a second time: %d", status)
			}
		}
	}
	code, err := h.accounts.(*accounts.Desk).Invite("8", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		body string
		want int
	}{
		{`{"code": "x", "password": "` + password + `"}`, 404}, {`{"code": "` + code + `", "password": "short"}`, 400}, {`{"code": "` + code + `"}`, 400},
		{`{"code": "` + code + `", "password": "` + password + `"}`, 201}, {`{"code": "` + code + `", "password": "` + password + `"}`, 404},
	} {
		if status, text := h.json(c, "POST", "/v1/invitation", row.body); status != row.want || status == 201 && !strings.Contains(text, `"agent":"8"`) {
			t.Errorf("%s: %d %s", row.body, status, text)
		}
	}
	if status, _ := h.json(c, "DELETE", "/v1/session", ""); status != 204 {
		t.Errorf("sign out: %d", status)
	}
	if resp, _ := h.ask(c, "GET", "/v1/me", ""); resp.StatusCode != 401 {
		t.Errorf("signed out: %d", resp.StatusCode)
	}
}

// TestShowVarsPage is row L22: names and values as they arrived, as text, in a frame of the desk alone.
func TestShowVarsPage(t *testing.T) {
	h := serve(t)
	c := h.signedIn("7")
	resp, text := h.ask(c, "GET", "/desk/show_vars?aon=%2B4930123456&name=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&empty=&bad=%zz", "")
	if !strings.Contains(resp.Header.Get("Content-Security-Policy"), "frame-ancestors 'self'") {
		t.Errorf("policy: %s", resp.Header.Get("Content-Security-Policy"))
	}
	for _, want := range []string{"&#43;4930123456", "&lt;img src=x onerror=alert(1)&gt;", "%zz"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if strings.Contains(text, "<img src=x") {
		t.Error("a value is markup")
	}
	resp, text = h.ask(c, "GET", "/desk/show_vars/crm", "")
	if resp.StatusCode != 200 || !strings.Contains(text, "https://crm.example/?p=") || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("the rule: %d %s", resp.StatusCode, text)
	}
	if resp, _ := h.ask(c, "GET", "/desk/show_vars/other", ""); resp.StatusCode != 404 {
		t.Errorf("no rule: %d", resp.StatusCode)
	}
	if resp, _ := h.ask(h.browser(), "GET", "/desk/show_vars?x=1", ""); resp.StatusCode != 303 {
		t.Errorf("signed out: %d", resp.StatusCode)
	}
}

// TestSchemeFile is row D22: the file that has Windows open a program's URLs, for the schemes of rules alone.
func TestSchemeFile(t *testing.T) {
	h := serve(t)
	c := h.signedIn("7")
	rules := testRules(t, func(c *pops.Config) { c.Open, c.URL = "scheme", "ctidivalto:%callerid%" })
	h.live.Exchange(pops.Setup{Rules: rules, Agents: []pops.Agent{{ID: "7", Phone: "101"}}, Screen: h.Desk, MaxCall: time.Hour})
	if resp, text := h.ask(c, "GET", "/desk/scheme?scheme=ctidivalto", ""); resp.StatusCode != 200 || !strings.Contains(text, `Classes\ctidivalto\shell`) || !strings.Contains(text, h.url) {
		t.Errorf("file: %d %s", resp.StatusCode, text)
	}
	for _, scheme := range []string{"https", "", `x\\y`} {
		if resp, _ := h.ask(c, "GET", "/desk/scheme?scheme="+scheme, ""); resp.StatusCode != 404 {
			t.Errorf("%q: %d", scheme, resp.StatusCode)
		}
	}
	if resp, _ := h.ask(c, "GET", "/desk/call?n=tel:+4930123", ""); resp.StatusCode != 303 || resp.Header.Get("Location") != "/desk/#call=+4930123" && resp.Header.Get("Location") != "/desk/#call=4930123" && !strings.HasPrefix(resp.Header.Get("Location"), "/desk/#call=") {
		t.Errorf("a link: %d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
}

// TestContacts checks to whom an agent can transfer calls: not to the own phone, and never more than a page offers.
func TestContacts(t *testing.T) {
	s := Settings{Queues: []dialplan.Queue{{ID: "500", Name: "Sales"}}, Agents: []dialplan.Agent{{ID: "9", Name: "Vera"}}}
	for n := range 2 * maxPeople {
		s.Agents = append(s.Agents, dialplan.Agent{ID: fmt.Sprint("a", n), Phone: fmt.Sprint(1000 + n), Name: fmt.Sprintf("A%04d", n)})
	}
	c := &current{contacts: contactsOf(&s)}
	for agent, want := range map[string]string{"a0": "1001", "a1": "1000", "9": "1000"} {
		if got := c.peopleFor(agent); len(got) != maxPeople || got[0].Number != want {
			t.Errorf("agent %s: %d contacts, the first is %+v", agent, len(got), got[0])
		}
	}
	s.Agents = s.Agents[:2]
	c.contacts = contactsOf(&s)
	if got := c.peopleFor("a0"); !slices.Equal(got, []person{{"Sales", "500"}}) {
		t.Errorf("got %+v", got)
	}
}
