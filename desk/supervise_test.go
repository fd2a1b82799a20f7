package desk

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/control"
	"ringhook/desk/board"
	"ringhook/dialplan"
	"ringhook/dialplan/kept"
	"ringhook/hooks"
	"ringhook/pops"
	"ringhook/recordings"
	"ringhook/store"
	accounts "ringhook/store/desk"
)

const (
	// hostileName is a name that is markup, turns the text after it, and is longer than any phone shows.
	hostileName = `=HYPERLINK("http://evil")<img src=x onerror=alert(1)>` + "\u202e\u2066"
	ownNumber   = "+442079460142" // calls in 500
	otherNumber = "+74950000999"  // calls in 600
)

// staff are an agent of 500, one of 600, a supervisor of 500 and an administrator.
var staff = []dialplan.Agent{
	{ID: "7", Phone: "101", Name: hostileName, Role: dialplan.RoleAgent, Queues: []string{"500"}},
	{ID: "8", Phone: "102", Name: "Boris", Role: dialplan.RoleAgent, Queues: []string{"600"}},
	{ID: "9", Name: "Vera", Role: dialplan.RoleSupervisor, Supervises: []string{"500"}},
	{ID: "1", Name: "Root", Role: dialplan.RoleAdministrator},
}

// office is a desk with a store, in which Anna answered a call of 500, Boris one of 600, and one caller waits in 500.
type office struct {
	*house
	store *store.Store
}

func newOffice(t *testing.T, change func(*Config)) *office {
	t.Helper()
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	cfg := store.DefaultConfig()
	cfg.Folder, cfg.Synchronous, cfg.MaxSize = filepath.Join(t.TempDir(), "data"), "normal", 64<<20
	st, err := store.Open(cfg, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{store: st}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hook := testHook()
	hook.Environment = []string{"open-sesame"} // as conf has hooks hide the secrets of [recordings]
	dispatcher, err := hooks.New([]hooks.Config{hook}, st.Outbox(), log, reg)
	if err != nil {
		t.Fatal(err)
	}
	live := pops.NewLive(pops.Setup{Rules: testRules(t, nil), MaxCall: time.Hour}, st.Journal(), log, reg)
	c := control.New(log, reg)
	queues := []dialplan.Queue{{ID: "500", Name: "Sales"}, {ID: "600", Name: "Secret"}}
	c.Configure(control.Settings{Agents: staff, Queues: queues})
	deskConfig := DefaultConfig()
	deskConfig.Listen, deskConfig.URL = l.Addr().String(), "http://"+l.Addr().String()
	if change != nil {
		change(&deskConfig)
	}
	d, err := New(Settings{
		Config: deskConfig, Agents: staff, Queues: queues,
		Board: board.Settings{Moments: []string{"agent-dial"}, Kept: 24 * time.Hour, Hooks: func() *hooks.Dispatcher { return dispatcher },
			Links: (&recordings.Config{URL: "https://rec.example/%file%?key=open-sesame"}).Shown()},
	}, Parts{Live: live, Control: c, API: newAPI(t, st, c, live), Accounts: st.Desk(), Store: st.Browse()}, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, err := range []error{d.Shutdown(ctx), <-ended, live.Close(), dispatcher.Close(ctx), st.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	o.house = &house{Desk: d, t: t, url: deskConfig.URL, live: live}
	now := time.Now()
	o.keep("1.1", "500", "101", ownNumber, hostileName, now.Add(-2*time.Minute), true)
	o.keep("2.1", "600", "102", otherNumber, "Hidden person", now.Add(-2*time.Minute), true)
	o.keep("3.1", "500", "", ownNumber, "Waiting", now.Add(-time.Minute), false)
	return o
}

func testHook() hooks.Config {
	h := hooks.DefaultConfig()
	h.Name, h.Events, h.URL = "crm", []string{"*"}, hooks.Addresses{"http://127.0.0.1:9/"} // no receiver
	return h
}

// keep stores a call that one agent answered, or that waits.
func (o *office) keep(id, queue, phone, number, name string, began time.Time, ended bool) {
	o.t.Helper()
	m := kept.Marker{UniqueID: id, N: 1, What: queue}
	c := &kept.Call{
		LinkedID: id, Direction: "incoming", Began: began, Known: map[string]any{"callerid": number, "callerid_name": name, "directid": "+44207000000", "recording_url": "https://rec.example/a.wav?key=open-sesame"},
		Visits: []kept.Visit{{Marker: m, Began: began}},
	}
	if ended {
		c.Answered, c.Ended = began.Add(10*time.Second), began.Add(70*time.Second)
		c.Visits[0].Answered, c.Visits[0].Ended, c.Visits[0].Agent, c.Visits[0].Outcome = c.Answered, c.Ended, phone, "answer"
		c.Rings = []kept.Ring{{Phone: phone, Visit: m, Began: began.Add(5 * time.Second), Answered: c.Answered, Ended: c.Ended}}
	}
	state, err := json.Marshal(c)
	if err != nil {
		o.t.Fatal(err)
	}
	record := dialplan.Record{Call: id, State: state}
	if ended {
		record.Events = []dialplan.Accepted{{
			Event: hooks.Event{ID: "e" + id, Name: "call-hangup", LinkedID: id, Time: began, Params: map[string]any{"callerid": number, "callerid_name": name, "recording_url": c.Known["recording_url"]}},
			Hooks: []hooks.Route{{Hook: "crm", Key: id}},
		}}
	}
	commit, err := o.store.Journal().Queue(o.t.Context(), record)
	if err == nil {
		_, err = commit.Wait(o.t.Context())
	}
	if err != nil {
		o.t.Fatal(err)
	}
	o.store.Journal().Trace(began, dialplan.EncodeTrace(&dialplan.PointTrace{
		At: began, Point: "agent-dial", LinkedID: id, UniqueID: id, Channel: "PJSIP/trunk", Caller: number, CallerName: name, Status: "OK",
		Events: []dialplan.TracedEvent{{Name: "agent-dial", Hooks: 1}},
	}))
	for i := range staff {
		if a := &staff[i]; a.Phone == phone && phone != "" {
			named := pops.Agent{ID: a.ID, Phone: a.Phone, Name: a.Name}
			o.store.Journal().Trace(began, dialplan.EncodeTrace(&dialplan.PointTrace{
				At: began, Point: pops.TracePoint, LinkedID: id, Caller: number, Status: string(pops.Busy),
				Set: []dialplan.TracedValue{{Name: "event", Value: "agent-dial"}, {Name: "agent", Value: named.String()}, {Name: "rule", Value: "crm"}},
			}))
		}
	}
}

// TestRights checks each route of supervisors for each role. A route without a row fails.
func TestRights(t *testing.T) {
	o := newOffice(t, nil)
	type row struct{ agent, supervisor, administrator int }
	const away = http.StatusServiceUnavailable // there is no Asterisk: the command was allowed
	table := map[string]row{
		"GET /desk/live":               {403, 200, 200},
		"GET /desk/wall":               {403, 200, 200},
		"GET /desk/figures":            {403, 200, 200},
		"GET /desk/figures/queues.csv": {403, 200, 200},
		"GET /desk/figures/agents.csv": {403, 200, 200},
		"GET /desk/figures/hours.csv":  {403, 200, 200},
		"GET /desk/calls":              {403, 200, 200},
		"GET /desk/calls.csv":          {403, 200, 200},
		"GET /desk/calls/1.1":          {403, 200, 200},
		"GET /desk/calls/2.1":          {403, 404, 200}, // of another queue
		"GET /desk/calls/none":         {403, 404, 404},
		"GET /desk/pops":               {403, 200, 200},
		"GET /desk/pops?call=2.1":      {403, 404, 200},
		"GET /desk/outbox":             {403, 403, 200},
		"GET /desk/outbox/1":           {403, 403, 200},
		"GET /desk/outbox/999":         {403, 403, 404},
		"POST /desk/outbox/retry":      {403, 403, 400}, // nothing is chosen
		"POST /desk/outbox/drop":       {403, 403, 400},
		"POST /desk/outbox/nonsense":   {403, 403, 404},

		"GET /desk/calls/%3Cscript%3E":             {403, 404, 404},
		"GET /desk/calls?q=%00&queue=600&outcome=": {403, 200, 200},

		"GET /v1/openapi.json":                         {200, 200, 200},
		"GET /v1/commands":                             {403, 403, 200},
		"GET /v1/agents":                               {200, 200, 200},
		"GET /v1/agents/7":                             {200, 200, 200},
		"GET /v1/agents/8":                             {403, 403, 200},
		"GET /v1/agents/7/times":                       {200, 200, 200},
		"GET /v1/agents/8/times":                       {403, 403, 200},
		"POST /v1/agents/7/login":                      {away, away, away}, // an agent may do all that as me
		"POST /v1/agents/8/login":                      {403, 403, away},
		"POST /v1/agents/7/logout":                     {away, away, away},
		"POST /v1/agents/8/logout":                     {403, 403, away},
		"PUT /v1/agents/7/pause":                       {away, away, away},
		"PUT /v1/agents/8/pause":                       {403, 403, away},
		"DELETE /v1/agents/7/pause":                    {away, away, away},
		"DELETE /v1/agents/8/pause":                    {403, 403, away},
		"POST /v1/agents/7/pop":                        {400, 400, 400}, // no call is named
		"POST /v1/agents/8/pop":                        {403, 403, 400},
		"POST /v1/agents/7/calls":                      {400, 400, 400}, // no number
		"POST /v1/agents/8/calls":                      {403, 403, 400},
		"POST /v1/agents/7/calls/1.1/hangup":           {away, away, away},
		"POST /v1/agents/7/calls/2.1/hangup":           {away, 403, away}, // a call of another queue
		"POST /v1/agents/8/calls/2.1/hangup":           {403, 403, away},
		"POST /v1/agents/7/calls/1.1/mute":             {away, away, away},
		"POST /v1/agents/7/calls/2.1/mute":             {away, 403, away},
		"POST /v1/agents/7/calls/2.1/unmute":           {away, 403, away},
		"POST /v1/agents/7/calls/1.1/dtmf":             {away, away, away},
		"POST /v1/agents/7/calls/2.1/dtmf":             {away, 403, away},
		"POST /v1/agents/7/calls/1.1/answer":           {away, away, away},
		"POST /v1/agents/7/calls/2.1/answer":           {away, 403, away},
		"POST /v1/agents/7/calls/1.1/hold":             {away, away, away},
		"POST /v1/agents/7/calls/2.1/hold":             {away, 403, away},
		"POST /v1/agents/7/calls/1.1/resume":           {away, away, away},
		"POST /v1/agents/7/calls/2.1/resume":           {away, 403, away},
		"POST /v1/agents/7/calls/1.1/transfer":         {400, 400, 400},
		"POST /v1/agents/7/calls/2.1/transfer":         {400, 403, 400},
		"POST /v1/agents/8/calls/none/transfer":        {403, 403, 400},
		"POST /v1/agents/7/transfers/x/complete":       {away, away, away},
		"POST /v1/agents/8/transfers/x/complete":       {403, 403, away},
		"DELETE /v1/agents/7/transfers/x":              {away, away, away},
		"DELETE /v1/agents/8/transfers/x":              {403, 403, away},
		"POST /v1/agents/99/login":                     {404, 404, 404},
		"POST /v1/agents/%3Cb%3E/login":                {404, 404, 404},
		"POST /v1/agents/7/calls/..%2f1.1/hangup":      {away, 403, away},
		"POST /v1/agents/7/calls/..%2f..%2f1.1/hangup": {away, 403, away},
		"POST /v1/queues/500/kick":                     {403, 400, 400}, // no call is named
		"POST /v1/queues/600/kick":                     {403, 403, 400},
		"POST /v1/queues/%2e%2e/kick":                  {403, 403, 400},
		"PUT /v1/queues/500/calls/1.1/priority":        {403, 400, 400}, // no priority
		"PUT /v1/queues/600/calls/1.1/priority":        {403, 403, 400},
		"GET /v1/queues":                               {403, away, away},
		"GET /v1/queues/500":                           {403, away, away},
		"GET /v1/calls":                                {403, 403, away},
		"GET /v1/calls/1.1":                            {403, 403, 200}, // from the store
		"GET /v1/calls/none":                           {403, 403, away},
		"POST /v1/calls/1.1/hangup":                    {403, 403, away},
		"POST /v1/calls/1.1/mute":                      {403, 403, away},
		"POST /v1/calls/1.1/unmute":                    {403, 403, away},
		"POST /v1/calls/1.1/dtmf":                      {403, 403, away},
		"GET /v1/exceptions":                           {403, 403, 200},
		"PUT /v1/exceptions/101":                       {403, 403, 200},
		"DELETE /v1/exceptions/999":                    {403, 403, 404},
		"GET /v1/pops/p-1":                             {404, 404, 404},
		"GET /v1/phones":                               {403, away, away},
		"GET /v1/phones/101":                           {403, away, away},
		"POST /v1/campaigns":                           {403, 403, 404},
		"GET /v1/campaigns":                            {403, 403, 200},
		"GET /v1/campaigns/c1":                         {403, 403, 404},
		"DELETE /v1/campaigns/c1":                      {403, 403, 404},
		"POST /v1/accounts":                            {403, 403, 404},
		"GET /v1/accounts":                             {403, 403, 404}, // they are off,
		"PATCH /v1/accounts/201":                       {403, 403, 404},
		"DELETE /v1/accounts/201":                      {403, 403, 404},
		"GET /v1/outbox":                               {404, 404, 404}, // on the port of the API only
	}
	var all []string
	for _, r := range board.Routes() {
		all = append(all, r.Pattern)
	}
	all = append(all, o.described()...)
	for _, p := range all {
		want := regexp.MustCompile("^" + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(p), "[^/?]+") + "$")
		found := false
		for route := range table {
			found = found || want.MatchString(route)
		}
		if !found {
			t.Errorf("the table has no row for %s", p)
		}
	}
	clients := map[string]*http.Client{"7": o.signedIn("7"), "9": o.signedIn("9"), "1": o.signedIn("1")}
	for route, want := range table {
		method, path, _ := strings.Cut(route, " ")
		for id, status := range map[string]int{"7": want.agent, "9": want.supervisor, "1": want.administrator} {
			header := []string{"Content-Type", "application/json"}
			body := "{}"
			if strings.HasPrefix(path, "/desk/") {
				header, body = []string{"Content-Type", "application/x-www-form-urlencoded"}, ""
			}
			if resp, text := o.ask(clients[id], method, path, body, header...); resp.StatusCode != status {
				t.Errorf("%s as %s: got %d, want %d: %.300s", route, id, resp.StatusCode, status, text)
			}
		}
		if resp, text := o.ask(o.browser(), method, path, "{}", "Content-Type", "application/json"); resp.StatusCode < 400 && !strings.Contains(text, `action="/desk/sign-in"`) {
			t.Errorf("%s signed out: %d", route, resp.StatusCode)
		}
		if method == "POST" {
			if resp, _ := o.ask(clients["1"], method, path, "{}", "Content-Type", "application/json", "Sec-Fetch-Site", "cross-site"); resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s of another site: %d", route, resp.StatusCode)
			}
		}
	}
	if resp, _ := o.ask(clients["7"], "GET", "/v1/live/events", ""); resp.StatusCode != 403 {
		t.Errorf("the stream as an agent: %d", resp.StatusCode)
	}
	if resp, _ := o.ask(clients["9"], "GET", "/desk/", ""); resp.StatusCode != 303 || resp.Header.Get("Location") != "/desk/live" {
		t.Errorf("a supervisor without a phone: %d", resp.StatusCode)
	}
}

// described returns the routes of the port's description, but those of agents themselves, of signing in, and the stream.
func (o *office) described() (patterns []string) {
	o.t.Helper()
	_, text := o.ask(o.signedIn("1"), "GET", "/v1/openapi.json", "")
	var doc struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal([]byte(text), &doc); err != nil || len(doc.Paths) == 0 {
		o.t.Fatalf("%v in %.200s", err, text)
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			if path != "/v1/me" && !strings.HasPrefix(path, "/v1/me/") && !slices.Contains([]string{"/v1/session", "/v1/invitation", "/v1/live/events"}, path) {
				patterns = append(patterns, strings.ToUpper(method)+" "+path)
			}
		}
	}
	return patterns
}

// TestTokensOfPrograms checks what tokens may do that name no agent but a right.
func TestTokensOfPrograms(t *testing.T) {
	o := newOffice(t, nil)
	o.traced("1.1")
	for _, row := range []struct {
		rights, route, body string
		status              int
		want                string
	}{
		{"supervisor", "GET /v1/queues", "", 503, "away"},
		{"supervisor", "GET /v1/agents", "", 200, `"agent":"7"`},
		{"supervisor", "GET /v1/agents/8", "", 403, "forbidden"},
		{"supervisor", "GET /v1/calls", "", 403, "forbidden"},
		{"supervisor", "POST /v1/agents/7/login", "", 503, "away"},
		{"supervisor", "POST /v1/agents/7/login?server=pbx", "", 404, "unknown"},
		{"supervisor", "POST /v1/agents/7/login?sever=pbx", "", 400, "bad-request"},
		{"supervisor", "POST /v1/agents/7/calls/1.1/hangup", "", 503, "away"},
		{"supervisor", "POST /v1/agents/7/calls/2.1/hangup", "", 403, "forbidden"},
		{"supervisor", "DELETE /v1/agents/7/pause", `{"queues":["500","500"]}`, 400, "named twice"},
		{"supervisor", "POST /v1/me/login", "", 403, "names no agent"},
		{"supervisor", "GET /v1/me", "", 401, "signed-out"},
		{"supervisor", "GET /v1/me/settings", "", 401, "signed-out"},
		{"supervisor", "GET /desk/calls", "", 200, "/desk/sign-in"},
		{"administrator", "GET /v1/calls/1.1", "", 200, `"state":"ended"`},
		{"administrator", "GET /v1/calls/1.1", "", 200, `"events":[{"event":"call-hangup","event_id":"e1.1"`},
		{"administrator", "GET /v1/calls/1.1", "", 200, `"deliveries":[{"id":1,"hook":"crm"`},
		{"administrator", "GET /v1/calls/1.1", "", 200, `"point":"agent-dial"`},
		{"administrator", "GET /v1/calls/1.1", "", 200, `"rule":"crm","event":"agent-dial","outcome":"busy"`},
		{"administrator", "GET /v1/calls/3.1", "", 200, `"state":"unknown"`},
		{"administrator", "HEAD /v1/agents", "", 200, ""},
		{"administrator", "POST /v1/agents/7/pause", "{}", 405, "PUT or DELETE"},
		{"administrator", "POST /v1/agents/7/login", "x", 400, "bad-request"},
		{"administrator", "POST /v1/agents/7/calls", "", 400, "the body is missing"},
		{"administrator", "POST /v1/agents/7/login", `{"queues":["` + strings.Repeat("x", maxBody) + `"]}`, 413, "larger"},
		{"administrator", "POST /v1/campaigns", `{"numbers":["` + strings.Repeat("1", maxBody) + `"]}`, 404, "campaigns are off"},
		{"administrator", "POST /v1/campaigns", `{"numbers":["` + strings.Repeat("1", maxList) + `"]}`, 413, "larger"},
		{"administrator", "GET /v1/hooks", "", 404, "no such path"},
	} {
		name := rand.Text()
		token, err := o.store.Desk().AddToken(accounts.Token{Name: name, Rights: row.rights, Queues: []string{"500"}})
		if err != nil {
			t.Fatal(err)
		}
		method, path, _ := strings.Cut(row.route, " ")
		header := []string{"Authorization", "Bearer " + token}
		if row.body != "" {
			header = append(header, "Content-Type", "application/json")
		}
		resp, text := o.ask(o.browser(), method, path, row.body, header...)
		if resp.StatusCode != row.status || !strings.Contains(text, row.want) {
			t.Errorf("%s %.80s as %s: got %d %.300s, want %d %s", row.route, row.body, row.rights, resp.StatusCode, text, row.status, row.want)
		}
		if resp.StatusCode == 405 && resp.Header.Get("Allow") != "GET, PUT, DELETE" {
			t.Errorf("%s: Allow: %s", row.route, resp.Header.Get("Allow"))
		}
	}
}

// TestWhoGaveCommands checks that commands on others, and exceptions, are recorded with who gave them: a person, or a token.
func TestWhoGaveCommands(t *testing.T) {
	o := newOffice(t, nil)
	o.control.Use(o.store.Desk(), nil)
	t.Cleanup(func() {
		if err := o.control.Close(); err != nil {
			t.Error(err)
		}
	})
	token, err := o.store.Desk().AddToken(accounts.Token{Name: "roster", Agent: "9", Rights: "agent"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"agent 9", "token roster"} {
		c, header := o.browser(), []string{"Authorization", "Bearer " + token}
		if want == "agent 9" {
			c, header = o.signedIn("9"), nil
		}
		if status, text := o.json(c, "POST", "/v1/agents/7/login", "{}", header...); status != http.StatusServiceUnavailable {
			t.Fatalf("%d %s", status, text)
		}
		list, err := o.store.Desk().Commands(accounts.CommandFilter{Limit: 1})
		if err != nil || len(list) != 1 || list[0].Who != want {
			t.Errorf("the command of %s: %+v, %v", want, list, err)
		}
		if status, text := o.json(c, "PUT", "/v1/me/exceptions/101", "{}", header...); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("the exception of %s: %d %s", want, status, text)
		}
	}
}

// TestOnlyOwnQueues checks that no page shows a supervisor anything of another queue.
func TestOnlyOwnQueues(t *testing.T) {
	o := newOffice(t, nil)
	o.traced("2.1")
	boss, root := o.signedIn("9"), o.signedIn("1")
	for _, path := range []string{"/desk/calls", "/desk/calls.csv", "/desk/pops", "/desk/pops?agent=8", "/desk/figures/queues.csv", "/desk/figures/agents.csv", "/desk/figures/hours.csv", "/desk/calls?agent=8", "/desk/calls?queue=600", "/desk/calls/1.1"} {
		_, text := o.ask(boss, "GET", path, "")
		for _, secret := range []string{"950000999", "Hidden person", "Secret", "Boris", "2.1<"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s", path, secret)
			}
		}
	}
	entries := o.board.Look(time.Now()).Entries(o.viewerOf("9"))
	text, err := json.Marshal(entries)
	if err != nil || strings.Contains(string(text), "Secret") || strings.Contains(string(text), "Boris") || !strings.Contains(string(text), "Sales") || !strings.Contains(string(text), "Waiting") {
		t.Errorf("the stream: %s, %v", text, err)
	}
	if _, text := o.ask(root, "GET", "/desk/calls", ""); !strings.Contains(text, "Hidden person") || !strings.Contains(text, "Sales") {
		t.Errorf("the administrator: %s", text)
	}
	if _, text := o.ask(root, "GET", "/desk/pops", ""); !strings.Contains(text, "Boris") || !strings.Contains(text, texts(t, "en", "explain_busy")) {
		t.Errorf("the administrator's pops: %s", text)
	}
}

// texts returns a text of a page of the board.
func texts(t *testing.T, tag, key string) string {
	t.Helper()
	f := board.Frame{Tag: tag}
	return f.T(key)
}

func (o *office) viewerOf(agent string) *board.Viewer {
	o.t.Helper()
	v, may := o.viewer(agent, "agent "+agent)
	if !may {
		o.t.Fatalf("%s sees nothing", agent)
	}
	return &v
}

// traced waits until the trace of a call can be read.
func (o *office) traced(call string) {
	o.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if points, err := o.store.Points(call); err == nil && len(points) >= 2 {
			return
		} else if time.Now().After(end) {
			o.t.Fatalf("no trace of %s: %v", call, err)
		}
	}
}

// TestHostile checks that values of callers become text in every page, and no formula in a table for spreadsheets.
func TestHostile(t *testing.T) {
	o := newOffice(t, nil)
	long := strings.Repeat("ж", 2000)
	o.keep("4.1", "500", "101", "=1+1", long, time.Now().Add(-time.Minute), true)
	o.traced("1.1")
	root := o.signedIn("1")
	for _, path := range []string{"/desk/live", "/desk/calls", "/desk/calls/1.1", "/desk/calls/4.1", "/desk/pops", "/desk/pops?call=1.1", "/desk/outbox", "/desk/outbox/1", "/desk/figures", "/desk/wall"} {
		for _, lang := range Languages() {
			resp, text := o.ask(root, "GET", path, "", "Accept-Language", lang)
			if resp.StatusCode != 200 || strings.Contains(text, "<img") || strings.ContainsAny(text, "\u202e\u2066") || strings.Contains(text, strings.Repeat("ж", 500)) {
				t.Errorf("%s in %s: %d, markup, direction or length of a caller's name", path, lang, resp.StatusCode)
			}
			if regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=["a-z]`).MatchString(strings.ReplaceAll(text, "onerror=alert", "")) {
				t.Errorf("%s in %s has inline code", path, lang)
			}
			if !strings.Contains(text, `lang="`+lang+`"`) || strings.Contains(text, "<no value>") {
				t.Errorf("%s in %s: %.200s", path, lang, text)
			}
		}
	}
	for _, path := range []string{"/desk/calls.csv", "/desk/figures/agents.csv", "/desk/figures/queues.csv", "/desk/figures/hours.csv"} {
		for lang, comma := range map[string]rune{"en": ',', "ru": ';', "fr": ';', "he": ','} {
			resp, text := o.ask(root, "GET", path, "", "Accept-Language", lang)
			if resp.StatusCode != 200 || !strings.HasPrefix(text, "\ufeff") || !strings.Contains(resp.Header.Get("Content-Disposition"), "attachment") {
				t.Fatalf("%s: %d %.80q", path, resp.StatusCode, text)
			}
			r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
			r.Comma = comma
			rows, err := r.ReadAll()
			if err != nil || len(rows) < 2 {
				t.Errorf("%s in %s: %d rows, %v", path, lang, len(rows), err)
			}
			for _, row := range rows {
				for _, cell := range row {
					if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@\t\r|") || strings.ContainsAny(cell, "\n\r") {
						t.Errorf("%s in %s: the cell %q is a formula", path, lang, cell)
					}
				}
			}
		}
	}
}

// TestMasked checks that a supervisor does not see the last digits of numbers, in no page and not by a search.
func TestMasked(t *testing.T) {
	o := newOffice(t, func(c *Config) { c.MaskNumbers = true })
	o.traced("1.1")
	boss, root := o.signedIn("9"), o.signedIn("1")
	for _, path := range []string{"/desk/calls", "/desk/calls.csv", "/desk/calls/1.1", "/desk/pops", "/desk/pops?call=1.1"} {
		_, text := o.ask(boss, "GET", path, "")
		if strings.Contains(text, "460142") || !strings.Contains(text, "442079460•••") {
			t.Errorf("%s: %s", path, text)
		}
		if _, text := o.ask(root, "GET", path, ""); !strings.Contains(text, "442079460142") {
			t.Errorf("%s as an administrator: %s", path, text)
		}
	}
	for search, found := range map[string]bool{"79460": true, "460142": false, "142": false} {
		if _, text := o.ask(boss, "GET", "/desk/calls?q="+search, ""); strings.Contains(text, "/desk/calls/1.1") != found {
			t.Errorf("the search for %s: found %t", search, !found)
		}
	}
	text, err := json.Marshal(o.board.Look(time.Now()).Entries(o.viewerOf("9")))
	if err != nil || strings.Contains(string(text), "460142") {
		t.Errorf("the stream: %s, %v", text, err)
	}
}

// TestLiveStream checks that a supervisor's page gets everything at first, then what changes, and that slow and many tabs
// are bounded.
func TestLiveStream(t *testing.T) {
	o := newOffice(t, nil)
	boss := o.signedIn("9")
	m := o.live500(boss)
	first := m.next("live")
	set := first["set"].(map[string]any)
	if first["all"] != true || set["figures/500"] == nil || set["figures/600"] != nil || set["wait//3.1"] == nil || set["agent/7"] == nil || set["agent/8"] != nil {
		t.Fatalf("first message: %v", first)
	}
	o.keep("5.1", "500", "", ownNumber, "Zoë", time.Now(), false)
	for {
		next := m.next("live")
		if next["all"] == true {
			t.Fatal("a second snapshot")
		}
		if w, ok := next["set"].(map[string]any)["wait//5.1"].(map[string]any); ok {
			if w["person"] != "Zoë" || w["caller"] != ownNumber {
				t.Errorf("who waits: %v", w)
			}
			break
		}
	}
	o.keep("5.1", "500", "101", ownNumber, "Zoë", time.Now(), true)
	for {
		next := m.next("live")
		if gone, _ := next["gone"].([]any); slices.Contains(gone, any("wait//5.1")) {
			break
		}
	}
	// One that never reads ends; it holds no more than its buffer.
	o.mu.Lock()
	slow := &stream{id: "slow", out: make(chan []byte, streamRoom), gone: make(chan string, 1)}
	o.lives["9"].streams = append(o.lives["9"].streams, slow)
	o.mu.Unlock()
	for i := range 2 * streamRoom {
		o.sendLive("9", map[string]json.RawMessage{"x": json.RawMessage(fmt.Sprint(i))}, true, time.Now())
	}
	if len(slow.out) != streamRoom || <-slow.gone != byeAge {
		t.Errorf("a slow tab holds %d messages", len(slow.out))
	}
	v := o.viewerOf("9")
	var last *stream
	for range 3 * maxTabs {
		s, status := o.openLive("9", v, "")
		if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		last = s
	}
	o.mu.Lock()
	if n := len(o.lives["9"].streams); n > maxTabs {
		t.Errorf("%d tabs", n)
	}
	o.mu.Unlock()
	o.sendLive("9", nil, false, time.Now()) // the role was taken
	if why := <-last.gone; why != byeSignedOut {
		t.Errorf("the tab got %s", why)
	}
}

// TestManyLiveTabs opens many tabs of a supervisor, who is an agent too: the limits of agents' tabs hold, those of one
// browser over HTTP/1.1 for both kinds together, and the tabs beyond them sleep.
func TestManyLiveTabs(t *testing.T) {
	o := newOffice(t, nil)
	v := o.viewerOf("9")
	slept := func(s *stream) bool {
		select {
		case why := <-s.gone:
			return why == byeSleep
		default:
			return false
		}
	}
	var live []*stream
	for range maxPlain + 1 {
		s, status := o.openLive("9", v, "a session")
		if status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		live = append(live, s)
	}
	if !slept(live[0]) || slept(live[1]) {
		t.Error("of a browser over HTTP/1.1 another tab than the oldest sleeps")
	}
	agent, _, status := o.open("9", "", "a session")
	if status != http.StatusOK || !slept(live[1]) || slept(live[2]) || slept(agent) {
		t.Errorf("a tab as an agent: %d", status)
	}
	for range 2 {
		if _, _, status := o.open("9", "", "a session"); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	if !slept(live[2]) || !slept(live[3]) || slept(agent) {
		t.Error("tabs of a supervisor do not sleep before those of an agent")
	}
	for range maxTabs + 1 {
		s, _ := o.openLive("9", v, "")
		live = append(live, s)
	}
	if !slept(live[maxPlain+1]) || slept(live[maxPlain+2]) {
		t.Error("of many tabs another one than the oldest sleeps")
	}
}

// live500 opens the stream of a supervisor.
func (o *office) live500(c *http.Client) *messages {
	o.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	o.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", o.url+"/v1/live/events?wall", nil)
	if err != nil {
		o.t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return &messages{o.t, lines, cancel}
}

// TestLinksOfCalls checks that the links to a call and to its pops lead there, whatever is in the name of its Asterisk.
func TestLinksOfCalls(t *testing.T) {
	o := newOffice(t, nil)
	for _, id := range []string{"pb/x-1700000200.1", "pb/../x&y?z%2F#-1700000200.2"} {
		o.keep(id, "500", "101", ownNumber, "Slash", time.Now().Add(-time.Minute), true)
		root, path := o.signedIn("1"), "/desk/calls/"+url.PathEscape(id)
		list, err := o.store.Operator().List(store.Filter{Call: id, Limit: 1})
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		for _, page := range []string{"/desk/calls", "/desk/outbox", "/desk/outbox/" + strconv.FormatInt(list[0].ID, 10), "/desk/pops?call=" + url.QueryEscape(id)} {
			_, text := o.ask(root, "GET", page, "")
			if !strings.Contains(text, `href="`+html.EscapeString(path)+`"`) {
				t.Errorf("%s has no link to %s", page, path)
			}
		}
		if resp, text := o.ask(root, "GET", path, ""); resp.StatusCode != 200 || !strings.Contains(text, "Slash") {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

// TestLinksToRecordings checks that pages do not show the secrets of links to recordings.
func TestLinksToRecordings(t *testing.T) {
	o := newOffice(t, nil)
	root := o.signedIn("1")
	for _, path := range []string{"/desk/calls/1.1", "/desk/outbox/1"} {
		if _, text := o.ask(root, "GET", path, ""); !strings.Contains(text, "https://rec.example/a.wav?key=***") || strings.Contains(text, "open-sesame") {
			t.Errorf("%s: %s", path, text)
		}
	}
}

// TestOutbox retries and drops deliveries as an administrator does.
func TestOutbox(t *testing.T) {
	o := newOffice(t, nil)
	root := o.signedIn("1")
	if _, text := o.ask(root, "GET", "/desk/outbox", ""); !strings.Contains(text, "/desk/outbox/1") || !strings.Contains(text, "call-hangup") {
		t.Errorf("the list: %s", text)
	}
	resp, _ := o.form(root, "/desk/outbox/drop", "id", "1")
	if at := resp.Header.Get("Location"); resp.StatusCode != 303 || at != "/desk/outbox?changed=1&did=drop" {
		t.Errorf("drop: %d %s", resp.StatusCode, at)
	}
	if d, _, err := o.store.Operator().Show(1); err != nil || d.State != hooks.Dropped {
		t.Errorf("%+v, %v", d, err)
	}
	if resp, _ := o.form(root, "/desk/outbox/retry", "id", "1", "hook", "crm"); resp.Header.Get("Location") != "/desk/outbox?changed=1&did=retry&hook=crm" {
		t.Errorf("retry: %d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	if resp, _ := o.form(root, "/desk/outbox/drop", "all", "1", "state", "pending"); !strings.HasPrefix(resp.Header.Get("Location"), "/desk/outbox?changed=2") {
		t.Errorf("drop all: %d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	for _, bad := range []string{"x", "1e9", "-"} {
		if resp, _ := o.form(root, "/desk/outbox/drop", "id", bad); resp.StatusCode != 400 {
			t.Errorf("the number %q: %d", bad, resp.StatusCode)
		}
	}
	if resp, text := o.ask(root, "GET", "/desk/outbox/1", ""); resp.StatusCode != 200 || !strings.Contains(text, "127.0.0.1:9") {
		t.Errorf("a delivery: %d %s", resp.StatusCode, text)
	}
}

// TestLanguageReturns checks that the choice of a language leads back to the page, and nowhere else.
func TestLanguageReturns(t *testing.T) {
	o := newOffice(t, nil)
	c := o.signedIn("9")
	for to, want := range map[string]string{
		"/desk/calls?q=1": "/desk/calls?q=1", "": "/desk/", "//evil/desk/": "/desk/", "https://evil/desk/": "/desk/", "/v1/me": "/desk/", "/desk/../..//evil": "/desk/",
	} {
		if resp, _ := o.form(c, "/desk/language", "language", "fr", "to", to); resp.Header.Get("Location") != want {
			t.Errorf("to %q: %s, want %s", to, resp.Header.Get("Location"), want)
		}
	}
}
