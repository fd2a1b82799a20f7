package importer_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/BurntSushi/toml"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/text/encoding/charmap"

	"ringhook/conf"
	"ringhook/hooks"
	"ringhook/httpclient"
	"ringhook/importer"
	"ringhook/lookup"
	"ringhook/lookup/answer"
	"ringhook/test/wait"
)

// convert reads a sample.
func convert(t *testing.T, file string) *importer.Result {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	read := importer.Yeastar
	if strings.HasPrefix(file, "3cx") {
		read = importer.ThreeCX
	}
	r, err := read(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// load reads what was written as a configuration.
func load(t *testing.T, r *importer.Result, env map[string]string) *conf.Config {
	t.Helper()
	text := string(r.TOML()) + "\n[number]\ncountry = \"GB\"\n"
	c, err := conf.Parse("imported.toml", []byte(text), func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return c
}

// wantLeft checks that the notes are exactly about these words, in any order.
func wantLeft(t *testing.T, r *importer.Result, words ...string) {
	t.Helper()
	if len(r.Left) != len(words) {
		t.Errorf("%d notes, want %d:\n%s", len(r.Left), len(words), strings.Join(r.Left, "\n"))
	}
	for _, word := range words {
		found := false
		for _, left := range r.Left {
			found = found || strings.Contains(left, word)
		}
		if !found {
			t.Errorf("no note about %q:\n%s", word, strings.Join(r.Left, "\n"))
		}
	}
}

// noCache keeps nothing.
type noCache struct{}

func (noCache) Get(string) (lookup.Entry, bool) { return lookup.Entry{}, false }
func (noCache) Put(lookup.Entry)                {}

// ask asks the imported lookups for a number.
func ask(t *testing.T, c *conf.Config, accounts httpclient.Accounts, number string) lookup.Answer {
	t.Helper()
	for i := range c.Lookups {
		c.Lookups[i].Timeout = time.Minute
	}
	svc, err := lookup.New(c.Lookups, noCache{}, lookup.Own{Accounts: accounts}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer svc.Close(t.Context())
	p := svc.Ask(lookup.Question{Point: "queue-dial", Number: number, Deadline: time.Now().Add(wait.Limit)})
	done := make(chan struct{})
	p.OnDone(func() { close(done) })
	<-done
	return p.Answer()
}

func wantVars(t *testing.T, a lookup.Answer, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := answer.Record(a.Vars).Value(name); got != value {
			t.Errorf("%s is %q, want %q (%s, %v)", name, got, value, a.Outcome, a.Vars)
		}
	}
}

// send sends an event to an imported hook, if the hook wants it.
func send(t *testing.T, c *conf.Config, accounts httpclient.Accounts, hook string, params map[string]any) bool {
	t.Helper()
	ev := &hooks.Event{ID: "msg_1", Name: "call-hangup", LinkedID: "1768469400.17", Time: time.Unix(1768469483, 0).UTC(), Params: params}
	_, a, wanted, err := hooks.Try(c.Hooks, hooks.Shared{Accounts: accounts}, ev, hook, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if wanted && a.Class != "delivered" {
		t.Errorf("hook %s: %+v", hook, a)
	}
	return wanted
}

// call are the parameters of an incoming call that agent 101 answered.
func call(changes ...any) map[string]any {
	params := map[string]any{
		"direction": "incoming", "status": "answer", "callerid": "+442079460142", "agent_phone": "101", "talk_time": int64(83), "customer_id": "17",
		"started": "2026-01-15T10:30:00+01:00", "answered": "2026-01-15T10:30:05+01:00", "ended": "2026-01-15T10:31:28+01:00", "linkedid": "1768469400.17",
	}
	for i := 0; i < len(changes); i += 2 {
		params[changes[i].(string)] = changes[i+1]
	}
	return params
}

// crm is a strict product: it fails the test for every request that is not one of those that it knows, and records the
// bodies of the others.
type crm struct {
	*httptest.Server
	t      *testing.T
	answer map[string]string // by "METHOD path?query"
	header map[string]string // that every request must have

	mu     sync.Mutex
	bodies []string
}

func newCRM(t *testing.T, header, answer map[string]string) *crm {
	c := &crm{t: t, answer: answer, header: header}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *crm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	c.bodies = append(c.bodies, string(body))
	c.mu.Unlock()
	for name, want := range c.header {
		if got := r.Header.Get(name); got != want {
			c.t.Errorf("%s %s: the header %s is %q, want %q", r.Method, r.URL, name, got, want)
		}
	}
	key := r.Method + " " + r.URL.RequestURI()
	text, known := c.answer[key]
	if !known {
		c.t.Errorf("unexpected request %s", key)
		http.Error(w, "unexpected", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, text)
}

// last returns the body of the last request, which must be JSON.
func (c *crm) last(t *testing.T) (v map[string]any) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := json.Unmarshal([]byte(c.bodies[len(c.bodies)-1]), &v); err != nil {
		t.Errorf("%v in %s", err, c.bodies[len(c.bodies)-1])
	}
	return v
}

func TestThreeCXContacts(t *testing.T) {
	r := convert(t, "3cx-contacts.xml")
	wantLeft(t, r, "Fax", "LookupByEmail", "MaxConcurrentRequests", "DateTime is in UTC", "Duration is sent in seconds", "when: [CallEndTimeLocal]")
	c := newCRM(t, nil, map[string]string{
		"GET /api/contacts?phone=%2B442079460142": `{"contacts":[{"id":17,"name":{"first":"Zoë","last":"Müller"},"company":"ACME"}]}`,
		"GET /api/contacts?phone=%2B442079460143": `{"contacts":[]}`,
		"POST /api/calls":                         `{}`,
	})
	cfg := load(t, r, map[string]string{"CRM_BASEURL": c.URL, "CRM_APIKEY": "hush-hush"})
	c.header = map[string]string{"X-Api-Key": "hush-hush"}
	wantVars(t, ask(t, cfg, nil, "+442079460142"), map[string]string{
		"CALLERID(name)": "Zoë Müller", "call_info": "https://acme.example/contacts/17", "customer_id": "17", "customer_type": "Contacts", "company": "ACME",
	})
	if a := ask(t, cfg, nil, "+442079460143"); a.Outcome != lookup.Missing {
		t.Errorf("an unknown caller: %+v", a)
	}
	if !send(t, cfg, nil, "acme-crm-reportcall", call()) {
		t.Error("an answered call is not reported")
	}
	want := `map[call:map[contact:17 seconds:83 start:2026-01-15T09:30:00 tags:[Inbound "3cx"]] subject:Call by the PBX text:2026-01-15 09:30:00: +442079460142 to 101 (83)]`
	if got := fmt.Sprint(c.last(t)); got != want {
		t.Errorf("sent %s\nwant %s", got, want)
	}
	for name, params := range map[string]map[string]any{"missed": call("status", "noanswer"), "unknown": call("customer_id", ""), "outgoing": call("direction", "outgoing")} {
		if wants(t, cfg, "acme-crm-reportcall", params) {
			t.Errorf("the hook of answered calls of known customers wants one that is %s", name)
		}
	}
	c.header = nil
	if !send(t, cfg, nil, "acme-crm-reportcallmissed", call("status", "noanswer", "customer_id", "")) {
		t.Error("a missed call is not reported")
	}
	if got := fmt.Sprint(c.last(t)); got != "map[missed:+442079460142]" {
		t.Errorf("sent %s", got)
	}
}

func wants(t *testing.T, c *conf.Config, hook string, params map[string]any) bool {
	t.Helper()
	want, err := hooks.Wants(c.Hooks, hook, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return want(&hooks.Event{ID: "msg_1", Name: "call-hangup", Time: time.Now(), Params: params})
}

func TestThreeCXSingle(t *testing.T) {
	r := convert(t, "3cx-single.xml")
	wantLeft(t, r)
	c := newCRM(t, map[string]string{"Authorization": "Basic dG9rZW46aHVzaC1odXNo"}, map[string]string{
		"POST /lookup": `{"contact_id":"A/1","first_name":"Anna","last_name":null}`, "POST /journal": ``,
	})
	cfg := load(t, r, map[string]string{"CRM_HOST": c.URL, "CRM_TOKEN": "hush-hush"})
	wantVars(t, ask(t, cfg, nil, "+442079460142"), map[string]string{"CALLERID(name)": "Anna", "call_info": c.URL + "/card/A/1?from=pbx", "customer_id": "A/1"})
	if got := c.bodies[0]; got != "phone=00442079460142&limit=3" {
		t.Errorf("asked with %s", got)
	}
	c.answer["POST /lookup"] = `{"contact_id":null}`
	if a := ask(t, cfg, nil, "+442079460143"); a.Outcome != lookup.Missing {
		t.Errorf("an unknown caller: %+v", a)
	}
	for _, tc := range []struct {
		hook   string
		params map[string]any
		want   string
	}{
		{"single-co-reportcall-in", call(), "number=%2B442079460142&direction=Inbound&type=Inbound&agent=101&note=a+%26+b+%3D+100%25"},
		{"single-co-reportcall-in", call("status", "noanswer"), "number=%2B442079460142&direction=Inbound&type=Missed&agent=101&note=a+%26+b+%3D+100%25"},
		{"single-co-reportcall-out", call("direction", "outgoing", "dialed", "0207"), "number=0207&direction=Outbound&type=Outbound&agent=101&note=a+%26+b+%3D+100%25"},
	} {
		name := tc.hook
		if !send(t, cfg, nil, name, tc.params) {
			t.Errorf("%s does not want its call", name)
		}
		if got := c.bodies[len(c.bodies)-1]; got != tc.want {
			t.Errorf("%s sent %s\nwant %s", name, got, tc.want)
		}
	}
}

// hookNamed returns the name of the hook that begins so.
func hookNamed(t *testing.T, c *conf.Config, beginning string) string {
	t.Helper()
	var names []string
	for i := range c.Hooks {
		if names = append(names, c.Hooks[i].Name); strings.HasPrefix(c.Hooks[i].Name, beginning) {
			return c.Hooks[i].Name
		}
	}
	t.Fatalf("no hook %s, only %v", beginning, names)
	return ""
}

func TestYeastarHelpdesk(t *testing.T) {
	r := convert(t, "yeastar-helpdesk.xml")
	wantLeft(t, r, "CreateNewContact", "GetIdentities", "BusinessNumber2", "UserAssociation: write the header", "UserAssociation: set info")
	c := newCRM(t, map[string]string{"Authorization": "Basic Ym9iL3Rva2VuOmh1c2gtaHVzaA==", "Accept": "application/json"}, map[string]string{
		"GET /api/users?phone=%2B442079460142": `{"users":[{"id":17,"name":"Anna","organization":{"name":"ACME"}}],"identities":[]}`, "POST /api/calls": ``,
		"GET /api/users?phone=%2B442079460143": `{"users":[]}`,
	})
	cfg := load(t, r, map[string]string{"CRM_DESK_URL": c.URL, "CRM_EMAIL": "bob", "CRM_API_TOKEN": "hush-hush"})
	wantVars(t, ask(t, cfg, nil, "+442079460142"), map[string]string{"CALLERID(name)": "Anna", "call_info": c.URL + "/agent/users/17", "customer_id": "17", "company": "ACME"})
	if a := ask(t, cfg, nil, "+442079460143"); a.Outcome != lookup.Missing {
		t.Errorf("an unknown caller: %+v", a)
	}
	send(t, cfg, nil, hookNamed(t, cfg, "acme-desk-journal-in"), call())
	want := "map[call:map[direction:Inbound from:+442079460142 seconds:83 start:2026-01-15T09:30:00.000Z start_ms:1.7684694e+12 to:101 user:17]]"
	if got := fmt.Sprint(c.last(t)); got != want {
		t.Errorf("sent %s\nwant %s", got, want)
	}
	send(t, cfg, nil, hookNamed(t, cfg, "acme-desk-journal-out"), call("direction", "outgoing", "dialed", "0207"))
	if got := fmt.Sprint(c.last(t)); !strings.Contains(got, "direction:Outbound from:101") || !strings.Contains(got, "to:0207") {
		t.Errorf("sent %s", got)
	}
	if len(cfg.Lists) != 1 || cfg.Lists[0].Map["info"] != `.["email"]?` {
		t.Errorf("lists of agents: %+v", cfg.Lists)
	}
}

func TestYeastarCRM(t *testing.T) {
	r := convert(t, "yeastar-crm.xml")
	wantLeft(t, r, "OAuth2", "page size", "Comment")
	c := newCRM(t, map[string]string{"Authorization": "Zoho-oauthtoken token-1"}, map[string]string{
		"GET /contacts/%2B442079460142": `[{"id":"c1","given":"Anna","family":"Orlova","links":{"self":"https://acme.example/c1"}}]`,
		"GET /contacts/%2B442079460143": `[]`, "POST /leads/search": `{"lead":{"id":5,"name":"Ben"}}`, "PUT /calls/1768469400.17": ``,
	})
	cfg := load(t, r, map[string]string{"CRM_ACCOUNTS_URL": c.URL, "CRM_API_URL": c.URL, "CRM_CLIENT_ID": "app", "CRM_CLIENT_SECRET": "hush-hush"})
	if a := cfg.Shared; len(a) != 1 || a[0].OAuth2.TokenURL != c.URL+"/oauth/token" || a[0].OAuth2.Scope != "read write" || a[0].Scheme != "Zoho-oauthtoken" {
		t.Fatalf("accounts %+v", a)
	}
	tokens := httpclient.KeepTokens(nil, httpclient.KeptTokens{Carry: httpclient.Carry{Scheme: cfg.Shared[0].Scheme}, First: httpclient.Token{Access: "token-1"}})
	accounts := func(name string) *httpclient.Tokens { return map[string]*httpclient.Tokens{"acme-crm": tokens}[name] }
	wantVars(t, ask(t, cfg, accounts, "+442079460142"), map[string]string{"CALLERID(name)": "Anna Orlova", "call_info": "https://acme.example/c1", "customer_id": "c1"})
	wantVars(t, ask(t, cfg, accounts, "+442079460143"), map[string]string{"CALLERID(name)": "Ben", "customer_id": "5"})
	name := hookNamed(t, cfg, "acme-crm-journal-in")
	if wants(t, cfg, name, call()) {
		t.Error("a call without a recording is reported")
	}
	send(t, cfg, accounts, name, call("recording_url", "https://pbx.example/1.wav"))
	if got := fmt.Sprint(c.last(t)); got != "map[recording:https://pbx.example/1.wav start:1.7684694e+09]" {
		t.Errorf("sent %s", got)
	}
}

// journal3CX converts a template of 3CX with one scenario that reports calls.
func journal3CX(t *testing.T, request string) *importer.Result {
	t.Helper()
	r, err := importer.ThreeCX([]byte(`<Crm Name="x"><Number Prefix="Plus"/><Scenarios><Scenario Id="ReportCall">` + request + `</Scenario></Scenarios></Crm>`))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A journal without a body sends its address alone, no parameters of the call. One whose message cannot be carried over
// sends nothing.
func TestJournalWithoutBody(t *testing.T) {
	yeastar := func(request string) *importer.Result {
		r, err := importer.Yeastar([]byte(`<Information Name="x"><Scenarios><Scenario Id="CallJournal"><Requests>` + request + `</Requests></Scenario></Scenarios></Information>`))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	c := newCRM(t, nil, map[string]string{"GET /j?n=%2B442079460142": ``, "POST /j?n=%2B442079460142": ``, "GET /j/101": ``})
	for _, tc := range []struct {
		name string
		r    *importer.Result
		hook string
	}{
		{"3CX, GET", journal3CX(t, `<Request Url="`+c.URL+`/j?n=[Number]" RequestType="Get"/>`), "x-reportcall-in"},
		{"3CX, path", journal3CX(t, `<Request Url="`+c.URL+`/j/[Agent]"/>`), "x-reportcall-in"},
		{"3CX, POST", journal3CX(t, `<Request Url="`+c.URL+`/j?n=[Number]" RequestType="Post" RequestEncoding="Json"/>`), "x-reportcall-in"},
		{"Yeastar, GET", yeastar(`<Request Name="a" Method="GET" URLFormat="` + c.URL + `/j?n={{.CallerNumber}}"/>`), "x-journal-in"},
		{"Yeastar, POST", yeastar(`<Request Name="a" Method="POST" URLFormat="` + c.URL + `/j?n={{.CallerNumber}}"/>`), "x-journal-in"},
	} {
		c.bodies = nil
		if !send(t, load(t, tc.r, nil), nil, tc.hook, call()) || len(c.bodies) != 1 || c.bodies[0] != "" {
			t.Errorf("%s: sent %q", tc.name, c.bodies)
		}
	}
	r := journal3CX(t, `<Request Url="`+c.URL+`/j" RequestType="Post" Message="[[Number].Substring(1)]"/>`)
	if cfg := load(t, r, nil); len(cfg.Hooks) != 0 || !strings.Contains(strings.Join(r.Left, "\n"), "its message") {
		t.Errorf("a message that cannot be carried over: %d hooks, %v", len(cfg.Hooks), r.Left)
	}
}

// A journal reports the types of calls that its condition leaves. What the condition says beside them is noted.
func TestJournalTypes(t *testing.T) {
	kinds := []struct{ name, direction, status string }{
		{"Inbound", "incoming", "answer"}, {"Missed", "incoming", "noanswer"}, {"Outbound", "outgoing", "answer"}, {"Notanswered", "outgoing", "noanswer"},
	}
	const all = "Inbound Missed Outbound Notanswered"
	for skip, tc := range map[string]struct {
		want string
		note bool
	}{
		``:                            {all, false},
		`[ReportCallEnabled]!=True`:   {all, false},
		`[EntityId]==""`:              {all, true}, // the lookup answers none
		`[CallType]!=Inbound`:         {"Inbound", false},
		`[CallType] != "Notanswered"`: {"Notanswered", false},
		`[IIf([CallType]!=Inbound&&[CallType]!=Missed,True,False)]`:                                                           {"Inbound Missed", false},
		`[IIf([ReportCallEnabled]!=True||[EntityId]=="",True,[IIf([CallType]!=Missed&&[CallType]!=Notanswered,True,False)])]`: {"Missed Notanswered", true},
		`[IIf(([CallType]!=Inbound)&&([CallType]!=Outbound),True,False)]`:                                                     {"Inbound Outbound", false},
		`[CallType]==Missed`:                                                              {"Inbound Outbound Notanswered", false},
		`[CallType]==Missed||[CallType]==Notanswered`:                                     {"Inbound Outbound", false},
		`[CallType]!=Inbound||[CallType]!=Missed`:                                         {all, true},
		`[CallType]!=Inbound&&[CallType]==Missed`:                                         {all, true},
		`[IIf([CallType]!=Inbound,False,True)]`:                                           {all, true},
		`[CallType]<>Inbound`:                                                             {all, true},
		`[CallType]!=Inbound&&[Duration]==0`:                                              {all, true},
		`[CallType]=="Inbound"&&[EntityId]==""`:                                           {all, true},
		`[CallType]!="Inbound"&&[EntityId]==""`:                                           {all, true},
		`[ReportCallEnabled]!=True&&[CallType]!=Inbound`:                                  {all, true},
		`[ReportCallEnabled]!=True||[CallType]!=Inbound&&[CallType]!=Missed`:              {"Inbound Missed", false},
		`([ReportCallEnabled]!=True||[CallType]!=Inbound)&&[CallType]!=Missed`:            {all, true},
		`[ReportCallEnabled]==True||[CallType]!=Inbound`:                                  {all, true},
		`([ReportCallEnabled]==False)||([CallType]=='Missed'||([CallType]==Notanswered))`: {"Inbound Outbound", false},
		`!([CallType]==Inbound)`:                                                          {all, true},
		`[IIf([CallType]==Inbound,[IIf([EntityId]=="",True,False)],True)]`:                {all, true},
		`[IIf([CallType]==Inbound,True,[IIf([EntityId]=="",False,True)])]`:                {all, true},
		`[IIf([CallType]!=Inbound,false,true)]`:                                           {all, true},
		`[IIf([CallType]!=Inbound,true,false)]`:                                           {"Inbound", false},
		`[IIf([CallType]!=Inbound,True)]`:                                                 {all, true},
		`[CallType]==Missed||[CallType]!=Inbound`:                                         {all, true},
		`[CallType]!=Inbound)||([CallType]!=Inbound`:                                      {all, true},
		strings.Repeat(`(`, 5000) + `[CallType]!=Inbound` + strings.Repeat(`)`, 5000):     {all, true},
		`[EntityId]!=""`:                       {all, true},
		`[CallType]!=Chat`:                     {"", true},
		`[CallType]!=Chat&&[CallType]!=Missed`: {"Missed", true},
	} {
		escaped := strings.NewReplacer("&", "&amp;", `"`, "&quot;", "<", "&lt;").Replace(skip)
		r := journal3CX(t, `<Request SkipIf="`+escaped+`" Url="https://crm.example/j?n=[Number]"/>`)
		cfg := load(t, r, nil)
		var got []string
		for _, kind := range kinds {
			for i := range cfg.Hooks {
				if wants(t, cfg, cfg.Hooks[i].Name, call("direction", kind.direction, "status", kind.status)) {
					got = append(got, kind.name)
				}
			}
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: reports %v, want %s", skip, got, tc.want)
		}
		if note := strings.Contains(strings.Join(r.Left, "\n"), "scenario ReportCall"); note != tc.note {
			t.Errorf("%s: notes %q", skip, r.Left)
		}
	}
}

// A journal that leaves out unknown callers does so also if it stands before the lookup.
func TestJournalBeforeLookup(t *testing.T) {
	r, err := importer.ThreeCX([]byte(`<Crm Name="x"><Number Prefix="Plus"/><Scenarios>
		<Scenario Id="ReportCall"><Request SkipIf="[EntityId]==&quot;&quot;" Url="https://crm.example/j?n=[Number]"/></Scenario>
		<Scenario Id=""><Request Url="https://crm.example/l?n=[Number]"/><Variables><Variable Name="I" Path="id"/></Variables>
			<Outputs><Output Type="EntityId" Value="[I]"/></Outputs></Scenario></Scenarios></Crm>`))
	if err != nil {
		t.Fatal(err)
	}
	cfg := load(t, r, nil)
	if !wants(t, cfg, "x-reportcall-in", call()) || wants(t, cfg, "x-reportcall-in", call("customer_id", "")) {
		t.Errorf("the journal is not of known callers alone:\n%s", r.TOML())
	}
}

// What is no template is refused within bounds.
func TestRefused(t *testing.T) {
	deep := strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100)
	wide := "<Crm>" + strings.Repeat("<a/>", 30000) + "</Crm>"
	for name, text := range map[string]string{
		"empty": "", "text": "hello", "other root": "<x/>", "deep": deep, "wide": wide, "large": "<Crm>" + strings.Repeat(" ", importer.MaxSize) + "</Crm>",
		"entity": `<!DOCTYPE Crm [<!ENTITY x "y">]><Crm>&x;</Crm>`, "unclosed": "<Crm>",
	} {
		if r, err := importer.ThreeCX([]byte(text)); err == nil {
			t.Errorf("%s: %v", name, r)
		}
		if r, err := importer.Yeastar([]byte(text)); err == nil {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// A small template that makes much is refused: parameters that name each other, credentials and headers of every request,
// and long paths that an output repeats.
func TestTooMuch(t *testing.T) {
	many := func(s string) string { return strings.Repeat(s, 100) }
	threeCX := func(inner string) string { return `<Crm Name="x"><Number Prefix="Plus"/>` + inner + `</Crm>` }
	lookup := func(url, more string) string {
		return `<Scenarios><Scenario Id=""><Request Url="` + url + `" RequestType="Get"/>` + more + `</Scenario></Scenarios>`
	}
	parameters := ""
	for i, text := range []string{many("[B]"), many("[C]"), many("https://crm.example/")} {
		parameters += fmt.Sprintf(`<Parameter Name="%c" Default="%s"/>`, 'A'+i, text)
	}
	parameters = "<Parameters>" + parameters + "</Parameters>"
	request := `<Request Name="a" URLFormat="https://crm.example/"/>`
	for name, tc := range map[string]struct {
		text string
		read func([]byte) (*importer.Result, error)
	}{
		"parameters": {threeCX(parameters + lookup("[A]", "")), importer.ThreeCX},
		"values": {threeCX(parameters + `<Scenarios><Scenario Id="ReportCall"><Request Url="https://crm.example/" RequestType="Post"><PostValues><Value Key="a">[A]</Value>` +
			`</PostValues></Request></Scenario></Scenarios>`), importer.ThreeCX},
		"credentials": {threeCX(`<Authentication Type="Basic"><Value>` + strings.Repeat("u", 100_000) + `:p</Value></Authentication><Scenarios>` +
			many(`<Scenario Id="ReportCall"><Request Url="https://crm.example/" RequestType="Get"/></Scenario>`) + `</Scenarios>`), importer.ThreeCX},
		"path": {threeCX(lookup("https://crm.example/", `<Rules><Rule Type="Any">id</Rule></Rules><Variables><Variable Name="V" Path="`+strings.Repeat("n.", 2000)+`n"/></Variables>`+
			`<Outputs><Output Type="ContactUrl" Value="`+many("[V]")+`"/></Outputs>`)), importer.ThreeCX},
		"headers": {`<Information Name="x"><Scenarios><Scenario Id="AuthMethod"><Parameters><Parameter Name="X-A" Type="Header" Value="` + strings.Repeat("u", 100_000) +
			`"/></Parameters></Scenario><Scenario Id="CallJournal"><Requests>` + many(request) + `</Requests></Scenario></Scenarios></Information>`, importer.Yeastar},
		"link": {`<Information Name="x"><Scenarios><Scenario Id="SyncContactAuto"><Parameters><Parameter Name="URLFormat" Value="` + strings.Repeat("u", 100_000) +
			`"/></Parameters><Requests>` + many(request) + `</Requests></Scenario></Scenarios></Information>`, importer.Yeastar},
	} {
		r, err := tc.read([]byte(tc.text))
		if err == nil {
			t.Errorf("%s: %d bytes make %d", name, len(tc.text), len(r.TOML()))
		} else if !strings.Contains(err.Error(), "the maximum") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// threeCXOf returns a template with a lookup of an address.
func threeCXOf(parameters, url string) string {
	return `<Crm Name="x"><Number Prefix="Plus"/><Parameters>` + parameters + `</Parameters><Scenarios><Scenario Id=""><Request Url="` + url +
		`" RequestType="Get"/><Rules><Rule Type="Any">id</Rule></Rules></Scenario></Scenarios></Crm>`
}

// Parameters whose names differ have different environment variables, also if they are not ASCII.
func TestNamesOfParameters(t *testing.T) {
	r, err := importer.ThreeCX([]byte(threeCXOf(`<Parameter Name="Key" Title="a"/><Parameter Name="KEY" Title="b"/><Parameter Name="Логин" Title="c"/>`+
		`<Parameter Name="Клю́ч" Title="d"/><Parameter Name="My key" Title="e"/><Parameter Name="Код" Default="код"/>`,
		"https://crm.example/[Key]/[KEY]/[Логин]/[Клю́ч]/[My key]/[Код]/[Key]?n=[Number]")))
	if err != nil {
		t.Fatal(err)
	}
	about := map[string]bool{}
	for name, text := range r.Variables {
		about[text] = true
		if strings.Count(string(r.TOML()), "${"+name+"}") == 0 {
			t.Errorf("the variable %s is not used", name)
		}
	}
	if out := string(r.TOML()); len(r.Variables) != 5 || len(about) != 5 || strings.Contains(out, "[Л") || !strings.Contains(out, "/код/") {
		t.Errorf("variables %v in\n%s", r.Variables, out)
	}
	r, err = importer.ThreeCX([]byte(threeCXOf("", "https://crm.example/[Логины]")))
	if err != nil || !r.Empty() || !strings.Contains(strings.Join(r.Left, "\n"), "Логины") {
		t.Errorf("%+v, %v", r, err)
	}
}

// Values of a query are encoded as one, and placeholders stay.
func TestQueryParameters(t *testing.T) {
	r, err := importer.Yeastar([]byte(`<Information Name="x"><Scenarios><Scenario Id="CallJournal"><Requests><Request Name="a" URLFormat="https://crm.example/">` +
		`<Parameters><Parameter Type="Query" Name="a b" Value="x y&amp;z=1#+ü"/><Parameter Type="Query" Name="n" Value="+{{.Phone}}"/></Parameters></Request></Requests></Scenario></Scenarios></Information>`))
	if err != nil {
		t.Fatal(err)
	}
	if want := `url = "https://crm.example/?a%20b=x%20y%26z%3D1%23%2B%C3%BC&n=%2B%callerid%"`; !strings.Contains(string(r.TOML()), want) {
		t.Errorf("no %s in\n%s", want, r.TOML())
	}
}

// Templates are read in the encoding that they name, and in UTF-16.
func TestEncodings(t *testing.T) {
	text := `<?xml version="1.0" encoding="NAME"?>` + threeCXOf(`<Parameter Name="a" Title="Имя"/>`, "https://crm.example/[a]")
	windows, err := charmap.Windows1251.NewEncoder().String(strings.Replace(text, "NAME", "windows-1251", 1))
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"UTF-8": strings.Replace(text, "NAME", "UTF-8", 1), "windows-1251": windows,
		"UTF-16LE": wide(strings.Replace(text, "NAME", "utf-16", 1), false), "UTF-16BE": wide(strings.Replace(text, "NAME", "UTF-16", 1), true),
	} {
		r, err := importer.ThreeCX([]byte(file))
		if err != nil || r.Variables["CRM_A"] != "Имя" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	for _, name := range []string{"utf-16", "klingon"} {
		if _, err := importer.ThreeCX([]byte(strings.Replace(text, "NAME", name, 1))); err == nil || !strings.Contains(err.Error(), "save it as UTF-8") || strings.Contains(err.Error(), "xml:") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// wide returns a text in UTF-16 with its mark.
func wide(s string, big bool) string {
	var out []byte
	for _, c := range utf16.Encode([]rune("\ufeff" + s)) {
		if big {
			out = binary.BigEndian.AppendUint16(out, c)
		} else {
			out = binary.LittleEndian.AppendUint16(out, c)
		}
	}
	return string(out)
}

// A template cannot write more than values: its texts are quoted, and name no environment variable of their own.
func TestHostileTemplate(t *testing.T) {
	text := `<Crm Name="x&#10;[store]&#10;folder = 1"><Parameters><Parameter Name="a&#10;b" Title="t&#10;[desk]" Default=""/></Parameters><Scenarios><Scenario Id="">
		<Request Url="https://crm.example/[a&#10;b]?h=\&quot;${HOME}" RequestType="Get"><Headers><Value Key="X">${SECRET}"&#10;y = 1</Value></Headers></Request>
		<Rules><Rule Type="Any">a"b.id</Rule></Rules><Variables><Variable Name="N" Path="a&quot;b.n&quot;]|input"/></Variables><Outputs><Output Type="FirstName" Value="[N]"/></Outputs></Scenario></Scenarios></Crm>`
	r, err := importer.ThreeCX([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out := string(r.TOML())
	for _, line := range strings.Split(out, "\n") {
		if strings.HasPrefix(line, "[store]") || strings.HasPrefix(line, "[desk]") || strings.HasPrefix(line, "y =") || strings.HasPrefix(line, "folder") {
			t.Errorf("the template wrote the line %q", line)
		}
	}
	r, err = importer.ThreeCX([]byte(strings.NewReplacer(`Name="x`, "Name=\"x\u202e\u009b", `SECRET}"`, "SECRET}\u202e\u009b\U000e0041\"").Replace(text)))
	if err != nil {
		t.Fatal(err)
	}
	marked := string(r.TOML())
	if strings.ContainsAny(marked, "\u202e\u009b\U000e0041") || !strings.Contains(marked, `\u202e\u009b\U000e0041`) {
		t.Errorf("marks are written as they are:\n%s", marked)
	}
	if _, err := decode([]byte(marked)); err != nil {
		t.Error(err)
	}
	if strings.Contains(strings.ReplaceAll(out, "$${", ""), "${SECRET}") || strings.Contains(strings.ReplaceAll(out, "$${", ""), "${HOME}") {
		t.Errorf("the template names environment variables:\n%s", out)
	}
}

func FuzzThreeCX(f *testing.F) { fuzz(f, importer.ThreeCX, "3cx-contacts.xml", "3cx-single.xml") }

func FuzzYeastar(f *testing.F) {
	fuzz(f, importer.Yeastar, "yeastar-helpdesk.xml", "yeastar-crm.xml")
}

// fuzz checks that whatever is read, what is written is TOML with the tables that an importer writes.
func fuzz(f *testing.F, read func([]byte) (*importer.Result, error), samples ...string) {
	for _, sample := range samples {
		text, err := os.ReadFile("testdata/" + sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := read(text)
		if err != nil {
			return
		}
		tables, err := decode(r.TOML())
		if err != nil {
			t.Fatalf("%v\n%s", err, r.TOML())
		}
		for name := range tables {
			if name != "lookup" && name != "hook" && name != "account" && name != "agents" {
				t.Errorf("a table %s", name)
			}
		}
	})
}

func decode(text []byte) (tables map[string]any, err error) {
	_, err = toml.Decode(string(text), &tables)
	return tables, err
}
