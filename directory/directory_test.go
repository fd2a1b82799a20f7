package directory

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ringhook/httpclient"
	"ringhook/test/wait"
)

// shelf stores lists in memory.
type shelf struct {
	mu    sync.Mutex
	lists map[string][]AgentID
	read  func() // called when a list is read; nil for none
}

func (s *shelf) AgentIDs(source string) ([]AgentID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read != nil {
		s.read()
	}
	return s.lists[source], nil
}

func (s *shelf) SetAgentIDs(source string, list []AgentID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[source] = list
	return nil
}

// bitrix answers as user.get does: 50 users a page unless page is set, and where the next page begins.
type bitrix struct {
	mu    sync.Mutex
	users int
	page  int
	fail  bool
	calls int
}

func (b *bitrix) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.fail {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	start, size := 0, cmp.Or(b.page, 50)
	fmt.Sscan(r.URL.Query().Get("start"), &start)
	page := map[string]any{}
	var users []map[string]any
	for n := start; n < min(start+size, b.users); n++ {
		users = append(users, map[string]any{"ID": fmt.Sprint(1000 + n), "UF_PHONE_INNER": fmt.Sprint(100 + n), "NAME": "Agent", "EMAIL": fmt.Sprintf("a%d@crm.example", n)})
	}
	page["result"] = users
	if start+size < b.users {
		page["next"] = start + size
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(page)
}

func config(url string) Config {
	c := DefaultConfig()
	c.Name, c.URL, c.Records, c.Next = "bitrix24", url+"/user.get.json?start=%next%", ".result[]", ".next"
	c.Map = map[string]string{"id": ".ID", "phone": ".UF_PHONE_INNER", "info": ".EMAIL"}
	return c
}

func newDirectory(t *testing.T, s *shelf, people []Person, cfgs ...Config) *Directory {
	t.Helper()
	d := New(s, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	exchange, err := d.Prepare(people, cfgs, nil)
	if err != nil {
		t.Fatal(err)
	}
	exchange()
	return d
}

// fetchDue fetches the lists that are due.
func fetchDue(ctx context.Context, d *Directory) {
	for _, l := range d.lists {
		if !time.Now().Before(l.due) {
			d.update(ctx, l)
		}
	}
}

// Ids of the configuration come before those of the list; a phone without an [[agent]] is found too; all pages count; a
// restart begins with the stored list; a list that fails or is empty replaces nothing.
func TestIDs(t *testing.T) {
	b := &bitrix{users: 120}
	crm := httptest.NewServer(b)
	t.Cleanup(crm.Close)
	people := []Person{
		{ID: "7", Phone: "101", Name: "Anna", IDs: map[string]string{"zendesk": "38"}},
		{ID: "8", Phone: "102", Name: "Ben", IDs: map[string]string{"bitrix24": "9"}},
		{ID: "9", Phone: "5", Name: "Cleo", Info: "a110@crm.example"},
	}
	s := &shelf{lists: map[string][]AgentID{}}
	d := newDirectory(t, s, people, config(crm.URL))
	if ids := d.IDs("101"); !maps.Equal(ids, map[string]string{"zendesk": "38"}) {
		t.Errorf("before the first fetch: %v", ids)
	}
	fetchDue(t.Context(), d)
	check := func(when string, d *Directory) {
		t.Helper()
		for phone, want := range map[string]map[string]string{
			"101": {"zendesk": "38", "bitrix24": "1001"}, "102": {"bitrix24": "9"}, "5": {"bitrix24": "1110"}, "219": {"bitrix24": "1119"}, "220": {}, "": nil,
		} {
			if got := d.IDs(phone); !maps.Equal(got, want) {
				t.Errorf("%s, phone %q: %v, want %v", when, phone, got, want)
			}
		}
		for id, want := range map[string]string{"1001": "7", "9": "8", "1110": "9", "1002": "", "38": "", "": ""} {
			if got, _ := d.Agent("bitrix24", id); got != want {
				t.Errorf("%s, id %q: agent %q, want %q", when, id, got, want)
			}
		}
	}
	check("fetched", d)
	if b.calls != 3 {
		t.Errorf("%d requests for 120 users", b.calls)
	}
	fetchDue(t.Context(), d)
	if b.calls != 3 {
		t.Errorf("fetched again at once, %d requests", b.calls)
	}
	d = newDirectory(t, s, people, config(crm.URL))
	check("after a restart", d)
	for _, state := range []func(){func() { b.fail = true }, func() { b.fail, b.users = false, 0 }} {
		state()
		d.lists[0].due = time.Time{}
		fetchDue(t.Context(), d)
		if next := d.lists[0].due; time.Until(next) > retry {
			t.Errorf("tried again only at %v", next)
		}
		check("after a failure", d)
	}
}

// A list of 100 pages may have three values by which each user is found. Its metric is the number of users.
func TestManyUsers(t *testing.T) {
	crm := httptest.NewServer(&bitrix{users: 5000})
	t.Cleanup(crm.Close)
	cfg := config(crm.URL)
	cfg.Map["name"] = ".NAME"
	reg := prometheus.NewRegistry()
	d := New(&shelf{lists: map[string][]AgentID{}}, slog.New(slog.DiscardHandler), reg)
	exchange, err := d.Prepare(nil, []Config{cfg}, nil)
	if err != nil {
		t.Fatal(err)
	}
	exchange()
	fetchDue(t.Context(), d)
	if id := d.IDs("5099")["bitrix24"]; id != "5999" {
		t.Errorf("the last user has the id %q", id)
	}
	want := "# HELP ringhook_agents_ids Ids in the list that was fetched last.\n# TYPE ringhook_agents_ids gauge\nringhook_agents_ids{agents=\"bitrix24\"} 5000\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "ringhook_agents_ids"); err != nil {
		t.Error(err)
	}
}

// All users of a page count, and a list with too many is an error: without the rest, agents would have no id.
func TestLongPages(t *testing.T) {
	for _, tc := range []struct {
		users, page int
		want        string
	}{{250, 250, ""}, {10_500, 500, "more than 10000 users"}} {
		crm := httptest.NewServer(&bitrix{users: tc.users, page: tc.page})
		t.Cleanup(crm.Close)
		cfg := config(crm.URL)
		f, err := newFetcher(&cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, users, err := f.all(t.Context())
		if tc.want == "" && (err != nil || users != tc.users) || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%d users in pages of %d: %d, %v", tc.users, tc.page, users, err)
		}
	}
}

// A new list is put in force while no other one is being stored: it would begin with the ids before those.
func TestExchangeWhileStoring(t *testing.T) {
	s := &shelf{}
	d := newDirectory(t, s, nil)
	reads := 0
	s.read = func() {
		if reads++; d.updating.TryLock() {
			d.updating.Unlock()
			t.Error("a list may be stored while the stored one is read")
		}
	}
	exchange, err := d.Prepare(nil, []Config{config("https://crm.example")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	exchange()
	if reads != 1 {
		t.Errorf("the stored list is read %d times", reads)
	}
}

// Two agents with one id are no answer.
func TestAmbiguousAgent(t *testing.T) {
	d := newDirectory(t, &shelf{}, []Person{{ID: "1", IDs: map[string]string{"x": "5"}}, {ID: "2", IDs: map[string]string{"x": "5"}}})
	if agent, ok := d.Agent("x", "5"); ok {
		t.Errorf("agent %q", agent)
	}
}

// A value that several users of a list have finds none of them, which the log says once; another value of the agent decides,
// and one user may stand in a list twice.
func TestAmbiguousUser(t *testing.T) {
	users := `{"ID":"1","NAME":"Anna"},{"ID":"2","NAME":"Anna"},{"ID":"3","NAME":"Ben"},{"ID":"3","NAME":"Ben"},{"ID":"4","NAME":"Cleo","EMAIL":"c@crm.example"},{"ID":"5","NAME":"Cleo"}`
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"result":[%s]}`, users) }))
	t.Cleanup(crm.Close)
	cfg := config(crm.URL)
	cfg.Map["name"] = ".NAME"
	people := []Person{
		{ID: "a", Phone: "101", Name: "Anna"}, {ID: "b", Phone: "102", Name: "Ben"}, {ID: "c", Phone: "103", Name: "Cleo", Info: "c@crm.example"},
		{ID: "d", Phone: "104", Name: "Anna", IDs: map[string]string{"bitrix24": "2"}},
	}
	var text strings.Builder
	d := New(&shelf{lists: map[string][]AgentID{}}, slog.New(slog.NewTextHandler(&text, nil)), prometheus.NewRegistry())
	for range 2 {
		exchange, err := d.Prepare(people, []Config{cfg}, nil)
		if err != nil {
			t.Fatal(err)
		}
		exchange()
		d.update(t.Context(), d.lists[0])
		if log := text.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "several users") || !strings.Contains(log, "agents=bitrix24 without_id=a field=name value=Anna ") {
			t.Errorf("logged\n%s", log)
		}
	}
	for phone, want := range map[string]string{"101": "", "102": "3", "103": "4", "104": "2"} {
		if id := d.IDs(phone)["bitrix24"]; id != want {
			t.Errorf("phone %s: id %q, want %q", phone, id, want)
		}
	}
	if agent, ok := d.Agent("bitrix24", "1"); ok {
		t.Errorf("user 1 is the agent %q", agent)
	}
}

// The log names agents whose values several users have also when the agents change, and after a start with a stored list.
func TestAmbiguousAgents(t *testing.T) {
	s := &shelf{lists: map[string][]AgentID{"bitrix24": {
		{Field: "name", Value: "Anna", ID: "1"}, {Field: "name", Value: "Anna", ID: "2"}, {Field: "phone", Value: "102", ID: "1"}, {Field: "phone", Value: "102", ID: "2"},
	}}}
	var text strings.Builder
	d := New(s, slog.New(slog.NewTextHandler(&text, nil)), prometheus.NewRegistry())
	anna, ben := Person{Phone: "101", Name: "Anna"}, Person{ID: "b", Phone: "102", Name: "Ben"}
	for n, tc := range []struct {
		people []Person
		want   string // empty if nothing is logged
	}{
		{[]Person{anna}, "without_id=101 field=name value=Anna "},
		{[]Person{anna}, ""},
		{[]Person{ben, anna}, `without_id="b 101" field=phone value=102 `},
		{nil, ""},
		{[]Person{ben}, "without_id=b field=phone value=102 "},
	} {
		text.Reset()
		exchange, err := d.Prepare(tc.people, []Config{config("https://crm.example")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		exchange()
		if log := text.String(); tc.want == "" && log != "" || !strings.Contains(log, tc.want) {
			t.Errorf("%d: logged %q, want %q", n, log, tc.want)
		}
	}
}

// A product that does not answer delays the list of no other.
func TestHangingList(t *testing.T) {
	hanging, asked, release := heldList(t, "late")
	b := &bitrix{users: 2}
	crm := httptest.NewServer(b)
	t.Cleanup(crm.Close)
	slow, quick := config(hanging), config(crm.URL)
	slow.Name, slow.Timeout = "slow", time.Minute
	d := newDirectory(t, &shelf{lists: map[string][]AgentID{}}, nil, slow, quick)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(stop)
	t.Cleanup(release)
	running.Go(func() { d.Run(ctx) })
	<-asked
	wait.Until(t, func() bool { return d.IDs("101")["bitrix24"] == "1001" }, "the list is not fetched")
	if n := testutil.ToFloat64(d.metrics.fetches.WithLabelValues("slow", "failed")); n != 0 {
		t.Error("the list waited until the other one had failed")
	}
}

// Run fetches at its start and after a change.
func TestRun(t *testing.T) {
	b := &bitrix{users: 2}
	crm := httptest.NewServer(b)
	t.Cleanup(crm.Close)
	d := newDirectory(t, &shelf{lists: map[string][]AgentID{}}, nil)
	var running sync.WaitGroup
	ctx := t.Context()
	running.Go(func() { d.Run(ctx) })
	exchange, err := d.Prepare(nil, []Config{config(crm.URL)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	exchange()
	wait.Until(t, func() bool { return d.IDs("101")["bitrix24"] == "1001" }, "the list is not fetched")
}

// heldList answers with one user, once it is released.
func heldList(t *testing.T, id string) (url string, asked <-chan bool, release func()) {
	came, held := make(chan bool, 10), make(chan bool)
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		came <- true
		<-held
		fmt.Fprintf(w, `{"result":[{"ID":%q,"UF_PHONE_INNER":"101"}]}`, id)
	}))
	t.Cleanup(crm.Close)
	return crm.URL, came, sync.OnceFunc(func() { close(held) })
}

// A list that changes while it is fetched is fetched again at once, and what the old one answers is dropped.
func TestChangeWhileFetching(t *testing.T) {
	before, asked, release := heldList(t, "old")
	t.Cleanup(release)
	s := &shelf{lists: map[string][]AgentID{}}
	reg := prometheus.NewRegistry()
	d := New(s, slog.New(slog.DiscardHandler), reg)
	change := func(cfgs ...Config) {
		t.Helper()
		exchange, err := d.Prepare(nil, cfgs, nil)
		if err != nil {
			t.Fatal(err)
		}
		exchange()
	}
	change(config(before))
	fetched := make(chan bool)
	go func() { fetchDue(t.Context(), d); close(fetched) }()
	<-asked
	change()
	release()
	<-fetched
	if n, err := testutil.GatherAndCount(reg); len(s.lists) != 0 || n != 0 || err != nil {
		t.Errorf("after the end of a list that was removed: stored %v, %d metrics, %v", s.lists, n, err)
	}

	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	before, asked, release = heldList(t, "old")
	t.Cleanup(release)
	after, askedNew, releaseNew := heldList(t, "new")
	t.Cleanup(releaseNew)
	change(config(before))
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	running.Go(func() { d.Run(ctx) })
	<-asked
	change(config(after))
	release()
	wait.Until(t, func() bool { return len(askedNew) > 0 }, "the new list is not fetched")
	if id := d.IDs("101")["bitrix24"]; id != "" {
		t.Errorf("the id %s is of a list that was replaced", id)
	}
	releaseNew()
	wait.Until(t, func() bool { return d.IDs("101")["bitrix24"] == "new" }, "the new list is not fetched")
}

// A whole URL as the next page is followed on the host of the list alone; a list without an end is given up.
func TestPages(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another host was asked") }))
	t.Cleanup(other.Close)
	next := ""
	kind := "application/json"
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := next
		if next == "login" {
			http.Redirect(w, r, "https://login.example/", http.StatusFound)
			return
		}
		if strings.HasPrefix(r.URL.RawQuery, "page=2") && next != "loop" {
			to = ""
		}
		w.Header().Set("Content-Type", kind)
		fmt.Fprintf(w, `{"users":[{"id":%q,"phone":"1"}],"next_page":%q}`, "id"+r.URL.RawQuery, to)
	}))
	t.Cleanup(crm.Close)
	c := config(crm.URL)
	c.URL, c.Records, c.Next = crm.URL+"/users.json", ".users[]", ".next_page"
	c.Map = map[string]string{"id": ".id", "phone": ".phone"}
	for _, tc := range []struct {
		next, want string
	}{
		{crm.URL + "/users.json?page=2", ""},
		{other.URL + "/users.json", "another host"},
		{"loop", "itself"},
		{"login", "status 302, a redirect to https://login.example/, which is not followed"},
	} {
		next = tc.next
		f, err := newFetcher(&c, nil)
		if err != nil {
			t.Fatal(err)
		}
		ids, _, err := f.all(t.Context())
		if tc.want == "" && (err != nil || len(ids) != 2 || ids[1].ID != "idpage=2") || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("next %q: %v, %v", tc.next, ids, err)
		}
	}
	// An [[agents]] table has no key charset to set.
	next, kind = "", "application/json; charset=martian"
	f, err := newFetcher(&c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = f.all(t.Context()); err == nil || !strings.Contains(err.Error(), `unknown charset "martian" in the Content-Type`) || strings.Contains(err.Error(), "set charset") {
		t.Errorf("unknown charset: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"good":        {func(*Config) {}, ""},
		"name":        {func(c *Config) { c.Name = "Bitrix-24" }, "name"},
		"url":         {func(c *Config) { c.URL = "crm.example" }, "url"},
		"placeholder": {func(c *Config) { c.URL = "https://crm.example/%callerid%" }, "url"},
		"records":     {func(c *Config) { c.Records = "" }, "records"},
		"map":         {func(c *Config) { c.Map = map[string]string{"id": ".ID"} }, "map"},
		"field":       {func(c *Config) { c.Map = map[string]string{"id": ".ID", "phone": ".P", "x": ".X"} }, "map"},
		"every":       {func(c *Config) { c.Every = time.Second }, "every"},
		"timeout":     {func(c *Config) { c.Timeout = 0 }, "timeout"},
		"header":      {func(c *Config) { c.Headers = map[string]string{"Host": "x"} }, "headers.Host"},
		"ca_file":     {func(c *Config) { c.CAFile = "/nowhere.pem" }, "ca_file"},
	} {
		c := config("https://crm.example")
		tc.change(&c)
		var keys []string
		c.Check(func(key, _ string) { keys = append(keys, key) })
		if got := strings.Join(keys, " "); got != tc.want {
			t.Errorf("%s: reports %q, want %q", name, got, tc.want)
		}
	}
}

// What is kept of a page is no larger than its values, also if the product wrote them within long texts.
func TestKeptMemory(t *testing.T) {
	const pages, users, blanks = 10, 100, 8000
	c := config("https://crm.example")
	c.Map["name"] = `.NAME | split(";")[1]`
	f, err := newFetcher(&c, nil)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat(" ", blanks)
	var list []map[string]string
	for n := range users {
		list = append(list, map[string]string{
			"ID": long + fmt.Sprint(n), "UF_PHONE_INNER": fmt.Sprint(n) + long, "EMAIL": long + fmt.Sprintf("a%d@crm.example", n), "NAME": long + ";" + fmt.Sprint("Agent ", n),
		})
	}
	body, err := json.Marshal(map[string]any{"result": list})
	if err != nil {
		t.Fatal(err)
	}
	used := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var kept []AgentID
	before := used()
	for range pages {
		ids, found, err := f.read(wait.Context(t), &httpclient.Response{Body: body, ContentType: "application/json"})
		if err != nil || found != users || len(ids) != 3*users {
			t.Fatalf("%d ids of %d users, %v", len(ids), found, err)
		}
		kept = append(kept, ids...)
	}
	if grown := int64(used()) - int64(before); grown > pages*users*blanks/2 {
		t.Errorf("%d ids keep %d bytes", len(kept), grown)
	}
	runtime.KeepAlive(kept)
}
