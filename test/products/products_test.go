// Package products plays calls to strict fakes of products, with the configuration that docs/crm shows for each. A fake is
// made from the product's documentation: it checks method, path, authentication, required fields and enumerations, and that
// ids are those of its earlier answers. No product itself was called.
package products

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/account"
	"ringhook/conf"
	"ringhook/hooks"
	"ringhook/hooks/hooktest"
	"ringhook/httpclient"
	"ringhook/lookup"
	"ringhook/recordings"
	"ringhook/test/wait"
)

// The customer whom every fake knows, and the number that none does.
const (
	known      = "+493012345678"
	unknown    = "+493087654321"
	customerID = "4711"
	secret     = "s3cret-t0ken-77"
	// What an administrator gets for ringhook account add, and what the product issues for it.
	code, refreshToken = "code-77", "refresh-77"
	trunk              = "+49301110"
)

// entry is a call in a product's journal, in the terms of this test.
type entry struct {
	key      string // against repeats, empty if the product has none
	out      bool
	number   string
	customer string // id, empty if the entry stands at none
	agent    string // the phone of the agent; empty for none
	answered bool
	seconds  int
	started  time.Time
}

// product is a product with its fake.
type product struct {
	name  string // of docs/crm/NAME.md
	serve func(f *fake, r *request) (status int, body string)
	// keyed says that a repeated request makes no second entry.
	keyed bool
	// needsCustomer says that there is no entry of callers whom the lookup did not find.
	needsCustomer bool
	// only limits the calls that have an entry.
	only func(c *call) bool
	// lacks are the fields that an entry of this product cannot show: agent, seconds, started, customer, number.
	lacks []string
	// firstAgent says that an entry names the agent who answered first, also after a transfer.
	firstAgent bool
	// screens says that the agent's screen shows the call while the phone rings; knownScreens that it does so for known
	// callers only, and answererScreens that it does so when the agent answers.
	screens, knownScreens, answererScreens bool
	// uploads says that the product gets the recordings themselves, and unlinked that its entries have no links to them.
	uploads, unlinked bool
	// login reports whether a request begins a session, and sessionEnded is how the product answers after its end.
	// Without them tokens are issued at a path that ends with token, and their end is answered 401.
	login        func(*http.Request) bool
	sessionEnded func() (status int, body string)
	// rotates says that every token comes with a refresh token that replaces the one before it, and that tokens are requested
	// by GET.
	rotates bool
	// ids is the name of the agents' ids, if it is not that of the product.
	ids string
}

// product returns the name of the agents' ids.
func (p *product) product() string { return cmp.Or(p.ids, strings.ReplaceAll(p.name, "-", "_")) }

// tokenMethod is the method of a request for a token.
func (p *product) tokenMethod() string {
	if p.rotates {
		return http.MethodGet
	}
	return http.MethodPost
}

// fake is a product that is played.
type fake struct {
	t       *testing.T
	product *product

	mu       sync.Mutex
	entries  []entry
	uploads  int
	shown    []string          // phones of the agents whose screens show the call
	ids      map[string]string // that answers have named
	problems []string
	issued   int // tokens
	links    int // requests with the link to the recording
	down     int // requests that are answered 503
	lost     int // the request whose answer is lost; 0 for none
	requests int
}

// request is what a product got.
type request struct {
	*http.Request
	body string
}

// links reports whether a request has the link to the recording, in whatever escaping.
func (r *request) links() bool {
	text := r.URL.RawQuery + "\n" + r.body
	plain, err := url.QueryUnescape(text)
	return strings.Contains(text, recorded["recording_url"].(string)) || err == nil && strings.Contains(plain, recorded["recording_url"].(string))
}

// wrong notes a request that the product would refuse.
func (f *fake) wrong(r *request, format string, args ...any) (int, string) {
	f.problems = append(f.problems, fmt.Sprintf("%s %s: %s\n%s", r.Method, r.RequestURI, fmt.Sprintf(format, args...), r.body))
	return http.StatusBadRequest, `{"error": "wrong request"}`
}

// add adds an entry to the journal, unless its key is there.
func (f *fake) add(e entry) {
	if e.key != "" && slices.ContainsFunc(f.entries, func(had entry) bool { return had.key == e.key }) {
		return
	}
	f.entries = append(f.entries, e)
}

// ServeHTTP implements http.Handler.
func (f *fake) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.down > 0 {
		f.down--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r := &request{in, string(body)}
	if f.product.isTokenPath(in) {
		status, answer := f.token(r)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, answer)
		return
	}
	if r.links() {
		f.links++
	}
	status, answer := f.product.serve(f, r)
	if f.lost == f.requests {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	io.WriteString(w, answer)
}

// isTokenPath reports whether a request is one to the address of tokens.
func (p *product) isTokenPath(r *http.Request) bool {
	return strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "token") && r.Method == p.tokenMethod()
}

// access and refresh return the newest token, and the refresh token that came with it.
func (f *fake) access() string {
	if f.product.rotates {
		return fmt.Sprintf("%s-%d", secret, f.issued)
	}
	return secret
}

func (f *fake) refresh() string {
	if f.product.rotates {
		return fmt.Sprintf("%s-%d", refreshToken, f.issued)
	}
	return refreshToken
}

// token answers a request for a token.
func (f *fake) token(r *request) (int, string) {
	text := r.body
	if r.Method == http.MethodGet {
		text = r.URL.RawQuery
	}
	form, err := url.ParseQuery(text)
	withRefresh := false
	switch grant := form.Get("grant_type"); {
	case f.product.rotates && (form.Get("client_id") == "" || form.Get("client_secret") != secret):
		f.wrong(r, "client")
		return 400, `{"error": "invalid_client"}`
	case err == nil && (grant == httpclient.GrantClient || grant == httpclient.GrantPassword):
	case err == nil && grant == httpclient.GrantRefresh && form.Get("refresh_token") == f.refresh():
		withRefresh = f.product.rotates
	case err == nil && grant == httpclient.GrantRefresh && f.product.rotates: // replaced by a later one
		return 400, `{"error": "invalid_grant"}`
	case err == nil && grant == "authorization_code" && form.Get("code") == code:
		withRefresh = true
	default:
		return f.wrong(r, "no token by %q", grant)
	}
	f.issued++
	answer := fmt.Sprintf(`{"access_token": %q, "token_type": "Bearer", "expires_in": 3600`, f.access())
	if withRefresh {
		answer += fmt.Sprintf(`, "refresh_token": %q`, f.refresh())
	}
	return 200, answer + "}"
}

// object reads a body of JSON that has exactly these keys, the last ones of which may be missing.
func (f *fake) object(text string, required, optional []string) (map[string]any, error) {
	var v map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	for _, key := range required {
		if s := str(v[key]); s == "" {
			return nil, fmt.Errorf("%s is missing", key)
		}
	}
	for key := range v {
		if !slices.Contains(required, key) && !slices.Contains(optional, key) {
			return nil, fmt.Errorf("%s is no field", key)
		}
	}
	return v, nil
}

// upload reads a form with the recording in a field and nothing else, and returns what is wrong with it.
func (f *fake) upload(r *request, field string) (problem string) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return err.Error()
	}
	form, err := multipart.NewReader(strings.NewReader(r.body), params["boundary"]).ReadForm(1 << 20)
	if err != nil {
		return err.Error()
	}
	files := form.File[field]
	if len(form.Value) > 0 || len(form.File) != 1 || len(files) != 1 {
		return "not one file"
	}
	if h := files[0]; h.Filename != "17.wav" || h.Header.Get("Content-Type") != "audio/wav" || h.Size != int64(len(sound)) {
		return fmt.Sprintf("file %q with type %q and %d bytes", h.Filename, h.Header.Get("Content-Type"), h.Size)
	}
	f.uploads++
	return ""
}

// str returns a value of JSON as text.
func str(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(v)
}

// number returns a value that must be a number of JSON or its digits.
func number(v any) int {
	n, err := strconv.Atoi(str(v))
	if err != nil {
		return -1
	}
	return n
}

// clock reads a time.
func clock(layout, text string) time.Time {
	at, err := time.ParseInLocation(layout, text, time.UTC)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// userOf is the id of an agent in a product, by phone.
func userOf(phone string) string { return "9" + phone }

// phoneOf is the phone of the agent with an id in a product, empty for an id of no agent.
func phoneOf(user string) string {
	if len(user) == 4 && user[0] == '9' {
		return user[1:]
	}
	return ""
}

var (
	tomlBlock = regexp.MustCompile("(?ms)^```toml\n(.*?)^```")
	variable  = regexp.MustCompile(`\$\{([A-Z0-9_]+)\}`)
	address   = regexp.MustCompile(`https://[a-z0-9.-]+(/[^"]*/token)?`)
)

// configuration returns that of the product's page, with the fake in place of the product. More is added to it.
func configuration(t *testing.T, p *product, url string) *conf.Config {
	t.Helper()
	text, _ := pageText(t, p, url)
	c, err := conf.Parse(p.name+".md", []byte(text), func(string) (string, bool) { return secret, true })
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	for _, warning := range c.Warnings {
		// The page says how agents get their ids. A key whose name looks like that of a secret, such as assignedUserId, is not
		// quoted.
		if !strings.Contains(warning.Problem, "agent_id_") && !strings.HasPrefix(warning.Problem, "the text between two percent signs") {
			t.Errorf("warning: %v", warning)
		}
	}
	for i := range c.Lookups {
		c.Lookups[i].Timeout = wait.Limit // whatever the speed of the test's machine
	}
	return c
}

// pageText returns the text of the configuration, and the environment variables that it names.
func pageText(t *testing.T, p *product, url string) (text string, variables []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/crm/" + p.name + ".md")
	if err != nil {
		t.Fatal(err)
	}
	text = "[number]\ncountry = \"DE\"\n"
	for _, block := range tomlBlock.FindAllStringSubmatch(string(page), -1) {
		text += block[1]
	}
	text = address.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasSuffix(found, "/token") {
			return url + "/token"
		}
		return url
	})
	folder := t.TempDir()
	text = strings.ReplaceAll(text, "/var/spool/asterisk/monitor", folder)
	file := filepath.Join(folder, recorded["recording_file"].(string))
	if err := os.WriteFile(file, []byte(sound), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, began, began); err != nil { // it is complete
		t.Fatal(err)
	}
	for _, found := range variable.FindAllStringSubmatch(text, -1) {
		variables = append(variables, found[1])
	}
	return text, variables
}

// vault is an account.Vault in memory.
type vault struct {
	mu     sync.Mutex
	lock   sync.Mutex
	states map[string]account.State
}

// Load implements account.Vault.
func (v *vault) Load(name string) (account.State, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.states[name], nil
}

// Save implements account.Vault.
func (v *vault) Save(name string, s account.State) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.states[name] = s
	return nil
}

// Lock implements account.Vault.
func (v *vault) Lock(context.Context, string) (unlock func(), err error) {
	v.lock.Lock()
	return v.lock.Unlock, nil
}

// accounts returns the tokens of the page's accounts. Those with refresh tokens were added as the page says.
func accounts(t *testing.T, cfg *conf.Config) httpclient.Accounts {
	t.Helper()
	all := account.New(&vault{states: make(map[string]account.State)}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	set, err := all.Prepare(cfg.Shared)
	if err != nil {
		t.Fatal(err)
	}
	all.Exchange(set)
	t.Cleanup(func() { all.Close() })
	for _, a := range cfg.Shared {
		if a.OAuth2.Type != httpclient.GrantRefresh {
			continue
		}
		if err := all.Add(t.Context(), a.Name, "", code); err != nil {
			t.Fatal(err)
		}
	}
	return set.Tokens
}

// noCache is a lookup.Cache that keeps nothing.
type noCache struct{}

// Get implements lookup.Cache.
func (noCache) Get(string) (lookup.Entry, bool) { return lookup.Entry{}, false }

// Put implements lookup.Cache.
func (noCache) Put(lookup.Entry) {}

// play plays one call to a product, and returns the fake after it.
func play(t *testing.T, p *product, c *call, change func(*fake)) *fake {
	t.Helper()
	f := &fake{t: t, product: p, ids: make(map[string]string)}
	server := httptest.NewServer(f)
	defer server.Close()
	cfg := configuration(t, p, server.URL)

	tokens := accounts(t, cfg)
	// The lookup comes before the fake may be down.
	found := f.lookup(cfg, c, tokens)
	outbox := hooktest.NewOutbox()
	outbox.Hurry()
	d, err := hooks.NewShared(cfg.Hooks, hooks.Shared{Accounts: tokens, Recordings: recordingsOf(cfg)}, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(f)
	}
	d.Start()
	for _, ev := range c.events(p.product(), found) {
		var to []string
		for _, route := range d.Match(&ev) {
			to = append(to, route.Hook)
		}
		outbox.Add(ev, to...)
	}
	d.WakeAll()
	if err := outbox.WaitUntil(wait.Context(t), func() bool { return outbox.Pending() == 0 }); err != nil {
		f.mu.Lock()
		t.Fatalf("%v: %v", err, f.problems)
	}
	if err := d.Close(context.Background()); err != nil {
		t.Error(err)
	}
	for id := int64(1); id <= outbox.Last(); id++ {
		if row := outbox.Row(id); row.State != hooks.Delivered {
			t.Errorf("%s for %s is %v: %+v", row.Event.Name, row.Hook, row.State, row.Attempts)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, problem := range f.problems {
		t.Error(problem)
	}
	return f
}

// recordingsOf returns the recordings of a configuration.
func recordingsOf(cfg *conf.Config) *recordings.Recordings {
	r := recordings.New(nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	r.Exchange(cfg.Recordings, "")
	return r
}

// lookup returns what the page's lookups find at the points of the call. They are not asked at other points than the page
// shows.
func (f *fake) lookup(cfg *conf.Config, c *call, tokens httpclient.Accounts) map[string]any {
	f.t.Helper()
	found := map[string]any{}
	svc, err := lookup.New(cfg.Lookups, noCache{}, lookup.Own{Accounts: tokens}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() {
		if err := svc.Close(context.Background()); err != nil {
			f.t.Error(err)
		}
	}()
	i := slices.IndexFunc(c.steps, func(s step) bool { return svc.Wants(s.event) })
	if i < 0 {
		return found
	}
	pending := svc.Ask(lookup.Question{Point: c.steps[i].event, Number: c.number})
	done := make(chan struct{})
	pending.OnDone(func() { close(done) })
	select {
	case <-done:
	case <-wait.Context(f.t).Done():
	}
	answer := pending.Answer()
	want := lookup.Found
	if c.number == unknown {
		want = lookup.Missing
	}
	if answer.Outcome != want {
		f.t.Fatalf("lookup of %s: %+v; %v", c.number, answer, f.problems)
	}
	for _, v := range answer.Vars {
		if v.Name == "CALLERID(name)" {
			found["callerid_name"] = v.Value
		} else if v.Name != "match_count" && v.Value != "" {
			found[v.Name] = v.Value
		}
	}
	if want == lookup.Found && (found["callerid_name"] != "Zoë Müller" || found["customer_id"] != customerID || found["call_info"] == nil) {
		f.t.Errorf("lookup: %v", found)
	}
	return found
}

// expected returns the entry that a call makes in a product, and false if it makes none.
func (p *product) expected(c *call) (entry, bool) {
	if p.only != nil && !p.only(c) || p.needsCustomer && c.number == unknown {
		return entry{}, false
	}
	e := entry{out: c.out, number: c.number, agent: c.agent, answered: c.agent != "", seconds: c.seconds, started: c.began()}
	if c.number == known {
		e.customer = customerID
	}
	if p.firstAgent && c.agent != "" && !c.out {
		e.agent = c.rang[0]
	}
	return p.shorten(e), true
}

// shorten removes what an entry of the product cannot show.
func (p *product) shorten(e entry) entry {
	e.key = ""
	e.started = e.started.Truncate(time.Second)
	for _, field := range p.lacks {
		switch field {
		case "agent":
			e.agent = ""
		case "seconds":
			e.seconds = 0
		case "minutes":
			e.seconds = (e.seconds + 59) / 60 * 60
		case "started":
			e.started = time.Time{}
		case "day":
			e.started = e.started.Truncate(24 * time.Hour)
		case "customer":
			e.customer = ""
		case "number":
			e.number = ""
		}
	}
	return e
}

// check compares the journal after a call with what is expected.
func (f *fake) check(t *testing.T, c *call, atLeast bool) {
	t.Helper()
	want, made := f.product.expected(c)
	var got []entry
	for _, e := range f.entries {
		got = append(got, f.product.shorten(e))
	}
	switch {
	case !made && len(got) > 0:
		t.Errorf("the journal has %+v, want nothing", got)
	case !made:
	case len(got) == 0 || len(got) > 1 && !atLeast:
		t.Errorf("the journal has %d entries, want one: %+v", len(got), got)
	default:
		for _, e := range got {
			if e != want {
				t.Errorf("the journal has\n%+v, want\n%+v", e, want)
			}
		}
	}
	if want := c.recordings(); f.product.uploads && f.uploads != want && !(atLeast && f.uploads > want) {
		t.Errorf("%d recordings, want %d", f.uploads, want)
	}
	if want := made && c.recordings() > 0; !f.product.unlinked && (f.links > 0) != want {
		t.Errorf("%d requests have the link to the recording, want some: %v", f.links, want)
	}
	if f.product.screens && !c.out {
		slices.Sort(f.shown)
		want := c.rang
		if f.product.answererScreens && c.agent == "" {
			want = nil
		}
		if !slices.Equal(slices.Compact(f.shown), want) && !(c.number == unknown && f.product.knownScreens) {
			t.Errorf("screens of %v, want %v", f.shown, want)
		}
	}
}

// TestProducts plays every call to every product; then each with the product down for some requests, and with an answer that
// is lost after the product has taken the request.
func TestProducts(t *testing.T) {
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range calls {
				t.Run(c.name, func(t *testing.T) { play(t, p, c, nil).check(t, c, false) })
			}
			t.Run("down and back", func(t *testing.T) {
				c := calls[0]
				if p.only != nil && !p.only(c) {
					c = calls[2]
				}
				play(t, p, c, func(f *fake) { f.down = 2 }).check(t, c, false)
			})
			t.Run("answer lost", func(t *testing.T) {
				for i, c := range calls {
					first := 0
					f := play(t, p, c, func(f *fake) { first = f.requests + 1; f.lost = first })
					f.check(t, c, !p.keyed)
					// Of one call each answer in turn. The lost request came twice.
					for lost := first + 1; i == 0 && lost < f.requests; lost++ {
						play(t, p, c, func(f *fake) { f.lost = lost }).check(t, c, !p.keyed)
					}
				}
			})
		})
	}
}

// TestPages checks that every page of docs/crm is played here, and says how sure it is.
func TestPages(t *testing.T) {
	files, err := os.ReadDir("../../docs/crm")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file.Name(), ".md")
		if name != "README" && !slices.ContainsFunc(all, func(p *product) bool { return p.name == name }) {
			t.Errorf("docs/crm/%s.md is not played", name)
		}
		text, err := os.ReadFile("../../docs/crm/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.ToLower(strings.Join(strings.Fields(string(text)), " ")), "not run against the product") {
			t.Errorf("docs/crm/%s.md does not say that it was not run against the product", name)
		}
	}
}
