//go:build e2e

package lab

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// presetSecret signs the events of the preset standard.
const presetSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// presetKeys are what a hook has beside its preset, where that asks for more than
// a URL, or would hear of nothing in calls as short as the lab's.
var presetKeys = map[string]string{
	"almog-soap":         `settings = { method = "IncomingCall", password = "p&ss" }`,
	"priority-post-call": "username = \"priority\"\npassword = \"s3cret\"",
	"standard":           "secret = \"" + presetSecret + "\"",
	"voipe-talk-time":    `when = "direction == 'incoming' and talk_time > 0"`,
}

// presetHouse names the queues and the agents of the calls.
const presetHouse = `
[[queue]]
id = "500"
name = "Sales"
[[queue]]
id = "518"
name = "Night"
[[agent]]
id = "3"
phone = "103"
name = "Вера"
info = "vera@example.com"
[[agent]]
id = "9"
phone = "109"
name = "Nina & Co"
`

// presetCalls are sent to every preset at once; the name is that of the
// number by which a call's events are known. The first is SipSim's: two of the
// department are busy, and the third answers.
var presetCalls = []struct {
	title, name, number string
	play                func(t *testing.T, l *lab, number string)
}{
	{"department, two busy, the third answers", "callerid", "+79261120001", func(t *testing.T, l *lab, number string) {
		l.phone(t, "101", phone{Refuse: "486 Busy Here"})
		l.phone(t, "102", phone{Refuse: "486 Busy Here"})
		l.phone(t, "103", phone{Ring: time.Second})
		l.call(t, "74962000500", caller{Number: number, Name: "Caller", Talk: 2 * time.Second}).wait(t)
	}},
	{"given up in the queue", "callerid", "+79261120002", func(t *testing.T, l *lab, number string) {
		l.phone(t, soloPhone, phone{Silent: true})
		l.call(t, queueNumber(soloQueue), caller{Number: number, GiveUp: 2 * time.Second}).wait(t)
	}},
	{"no member in the queue, answered elsewhere", "callerid", "+79261120003", func(t *testing.T, l *lab, number string) {
		l.phone(t, "109", phone{Ring: time.Second})
		l.call(t, queueNumber(emptyQueue), caller{Number: number, Talk: 2 * time.Second}).wait(t)
	}},
	{"hangs up in the menu", "callerid", "+79261120004", func(t *testing.T, l *lab, number string) {
		l.call(t, "74951234502", caller{Number: number, Talk: 2 * time.Second}).wait(t)
	}},
	{"direct call, busy", "callerid", "+79261120005", func(t *testing.T, l *lab, number string) {
		l.phone(t, "104", phone{Refuse: "486 Busy Here"})
		l.call(t, phoneNumber("104"), caller{Number: number, Refused: "486"}).wait(t)
	}},
	{"outgoing, answered", "dialed", "79261120006", func(t *testing.T, l *lab, number string) {
		trunk := l.phone(t, "trunk", phone{Ring: time.Second})
		l.call(t, number, caller{From: "103", Number: "103", Talk: 2 * time.Second}).wait(t)
		trunk.stop()
	}},
	{"outgoing, busy", "dialed", "79261120007", func(t *testing.T, l *lab, number string) {
		l.phone(t, "trunk", phone{Refuse: "486 Busy Here"})
		l.call(t, number, caller{From: "103", Number: "103", Refused: "486"}).wait(t)
	}},
	{"between two phones of the house", "dialed", "107", func(t *testing.T, l *lab, number string) {
		l.phone(t, "107", phone{})
		l.call(t, number, caller{From: "109", Number: "109", Talk: 2 * time.Second}).wait(t)
	}},
}

// presets sends calls of every kind to all presets at once, and compares what each
// receiver got with its golden file.
func presets(t *testing.T, l *lab) {
	got := &postbox{known: map[string]bool{}}
	house := httptest.NewServer(got)
	defer house.Close()
	names := presetNames(t)
	usual := l.server.config(t)
	defer l.server.reload(t, usual)
	config := usual + presetHouse
	for _, name := range names {
		config += fmt.Sprintf("[[hook]]\nname = %[1]q\npreset = %[1]q\nurl = %[2]q\n%[3]s\n", name, house.URL+"/"+name, presetKeys[name])
	}
	l.server.reload(t, config)

	for _, c := range presetCalls {
		c.play(t, l, strings.TrimPrefix(c.number, "+"))
		story{l.crm.receiver, c.name, c.number}.wait(t, "call-hangup", 1)
	}
	eventually(t, "everything is delivered", func() bool { return l.server.delivered(t) })

	calls := make([]presetCall, len(presetCalls))
	for i, c := range presetCalls {
		calls[i] = tell(story{l.crm.receiver, c.name, c.number}.wait(t, "call-hangup", 1).text("linkedid"), l.crm.receiver)
	}
	for _, name := range names {
		var b strings.Builder
		for i, c := range presetCalls {
			fmt.Fprintf(&b, "##### %s\n\n%s", c.title, calls[i].shown(t, got.of(name)))
		}
		sameAsGolden(t, filepath.Join("testdata", "presets", name+".golden"), b.String())
	}
}

// presetNames are the presets that have a golden file. Those of CRMs whose answers matter are played to strict
// fakes of these products in test/products.
func presetNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/presets/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no presets: %v", err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".golden"))
	}
	return names
}

// delivered reports whether no delivery is pending.
func (s *server) delivered(t *testing.T) bool {
	t.Helper()
	resp, err := http.Get("http://" + s.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "ringhook_hook_pending{") && !strings.HasSuffix(line, " 0\n") {
			return false
		}
	}
	return true
}

// letter is a request as a receiver got it.
type letter struct {
	id   string // webhook-id
	text string
}

// postbox takes the events of the presets, by the path.
type postbox struct {
	mu      sync.Mutex
	letters map[string][]letter
	known   map[string]bool
}

// ServeHTTP notes a request, once.
func (p *postbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	id := r.Header.Get("Webhook-Id")
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[name+" "+id] {
		return
	}
	p.known[name+" "+id] = true
	if p.letters == nil {
		p.letters = map[string][]letter{}
	}
	p.letters[name] = append(p.letters[name], letter{id, written(r, string(body))})
}

func (p *postbox) of(name string) []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.letters[name])
}

// written is a request as text, with the headers that a receiver goes by.
func written(r *http.Request, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL.RequestURI())
	for _, name := range []string{"Content-Type", "SOAPAction", "Authorization", "webhook-id", "webhook-timestamp"} {
		if v := r.Header.Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	if v := r.Header.Get("webhook-signature"); v != "" {
		if v == signed(r.Header, body) {
			v = "good"
		}
		fmt.Fprintf(&b, "webhook-signature: %s\n", v)
	}
	if body != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSuffix(body, "\n"))
	}
	return b.String()
}

// signed is the signature that Standard Webhooks want.
func signed(h http.Header, body string) string {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(presetSecret, "whsec_"))
	if err != nil {
		return err.Error()
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// presetCall is what is known of one call when its letters are read.
type presetCall struct {
	events []event           // in an order that is the same at every run
	seq    map[string]int    // by id, as it came
	words  *strings.Replacer // ids, to what stands for them
}

// tell takes a call from the events that the journal has of it. When a queue's
// call ends, Asterisk reports the agent's end and the caller's within
// milliseconds of each other, either first: here the agent's is.
func tell(linkedid string, r *receiver) presetCall {
	c := presetCall{events: r.where("linkedid", linkedid), seq: map[string]int{}}
	for begin := 0; begin < len(c.events); begin++ {
		end := begin
		for end < len(c.events) && isEnd(c.events[end]) {
			end++
		}
		// Agents before queues; queue-hangup stays before queue-abandon.
		slices.SortStableFunc(c.events[begin:end], func(a, b event) int {
			return strings.Compare(a.text("event")[:len("agent")], b.text("event")[:len("agent")])
		})
		begin = end
	}
	ids := map[string]string{linkedid: "CALL"}
	words := []string{}
	for i, e := range c.events {
		c.seq[e.text("event_id")] = e.number("seq")
		words = append(words, e.text("event_id"), fmt.Sprintf("EVENT-%d", i+1),
			fmt.Sprintf(`"seq":%d,`, e.number("seq")), fmt.Sprintf(`"seq":%d,`, i+1))
		if id := e.text("uniqueid"); ids[id] == "" {
			ids[id] = fmt.Sprintf("CHANNEL-%d", len(ids))
		}
	}
	// The longer of two that begin alike comes first.
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(ids))) {
		words = append(words, id, ids[id])
	}
	c.words = strings.NewReplacer(words...)
	return c
}

func isEnd(e event) bool {
	return slices.Contains([]string{"agent-hangup", "agent-cancel", "queue-hangup", "queue-abandon"}, e.text("event"))
}

// The times and durations in requests, and what stands for each.
var presetTimes = []struct {
	is    *regexp.Regexp
	shown string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`), "2006-01-02T15:04:05.000Z"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d([^.\d])`), "2006-01-02T15:04:05$1"},
	{regexp.MustCompile(`=20\d\d-\d\d-\d\d\+\d\d%3A\d\d%3A\d\d`), "=2006-01-02+15%3A04%3A05"},
	{regexp.MustCompile(`region_time":"\d\d:\d\d"`), `region_time":"15:04"`},
	{regexp.MustCompile(`region_time=\d\d%3A\d\d`), "region_time=15%3A04"},
	{regexp.MustCompile(`(webhook-timestamp: )\d+`), "${1}UNIX"},
	{regexp.MustCompile(`((?:wait_?time|ring_time|duration)(?:"?[:=]"?|>))\d+`), "${1}N"},
	// The talk time of an unanswered call is always 0.
	{regexp.MustCompile(`((?:talk_time|billsec)(?:"?[:=]"?|>))[1-9]\d*`), "${1}N"},
}

// shown returns the letters of the call as text, once it is sure that they came in the
// order of what they tell.
func (c presetCall) shown(t *testing.T, letters []letter) string {
	t.Helper()
	last := 0
	byID := map[string]letter{}
	for _, got := range letters {
		seq, ours := c.seq[got.id]
		if !ours {
			continue
		}
		if seq < last {
			t.Errorf("number %d of the call came after number %d:\n%s", seq, last, got.text)
		}
		last, byID[got.id] = seq, got
	}
	// Only Asterisk 16 reports why a caller left a menu.
	menu := slices.ContainsFunc(c.events, func(e event) bool { return e.text("event") == "ivr-hangup" })
	var b strings.Builder
	for _, e := range c.events {
		got, ok := byID[e.text("event_id")]
		if !ok {
			continue
		}
		text := c.words.Replace(got.text)
		if menu {
			text = strings.ReplaceAll(text, `"cause":16,`, "")
		}
		for _, p := range presetTimes {
			text = p.is.ReplaceAllString(text, p.shown)
		}
		fmt.Fprintf(&b, "=== %s\n%s\n", e.text("event"), text)
	}
	return b.String()
}

// sameAsGolden compares a text with a file.
func sameAsGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Only where they first differ: the files are long.
	lines, wanted := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(lines), len(wanted)) {
		g, w := strings.Join(lines[min(i, len(lines)):], "\n"), strings.Join(wanted[min(i, len(wanted)):], "\n")
		if g != w && (i >= min(len(lines), len(wanted)) || lines[i] != wanted[i]) {
			t.Errorf("%s:%d: got\n%.1500s\nwant\n%.1500s", file, i+1, g, w)
			return
		}
	}
}
