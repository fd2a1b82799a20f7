// Package browser drives the desk in Chromium, as an agent uses it. It is a module of its own, so that the
// program does not depend on the driver. Without Chromium its tests are skipped, unless CI is set.
package browser

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// limit is the time that anything may take on a slow machine.
const limit = 2 * time.Minute

var (
	chromium string
	program  string // ringhook, built for the tests
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if chromium, err = exec.LookPath("chromium"); err != nil {
		if os.Getenv("CI") == "" {
			fmt.Println("skipped: chromium is not installed")
			return 0
		}
		fmt.Println(err)
		return 1
	}
	folder, err := os.MkdirTemp("", "ringhook-browser-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(folder)
	program = filepath.Join(folder, "ringhook")
	build := exec.Command("go", "build", "-tags", "sqlite_omit_load_extension", "-trimpath", "-buildvcs=false", "-o", program, ".")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Printf("build ringhook: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// desk is a running ringhook with a CRM.
type desk struct {
	t                     testing.TB
	url, agi, config, crm string
	calls                 int
	log                   bytes.Buffer
	serve                 *exec.Cmd
}

// rules are the screen pops of most tests.
const rules = `
[[pop]]
name = "card"
events = ["agent-dial"]
open = "%s"
%s
url = "%s/card?phone=%%callerid%%"
title = "%%callerid_name%%"
`

// start runs ringhook with a rule that opens pages in a way, and with further tables, in which CRM/ is the CRM's address.
func start(t testing.TB, open, more string, tables ...string) *desk {
	t.Helper()
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/x-frame-options":
			w.Header().Set("X-Frame-Options", "DENY")
		case "/frame-ancestors":
			w.Header().Set("Content-Security-Policy", "frame-ancestors 'none'")
		}
		fmt.Fprintf(w, `<!doctype html><title>CRM</title><style>body{font:16px system-ui;margin:32px;color:#223}h1{font-size:26px}td{padding:6px 24px 6px 0;color:#556}</style>
<h1>Customer 4711</h1><table><tr><td>Phone<td>%s<tr><td>Contract<td>gold, since 2019<tr><td>Last order<td>12 January</table>`, r.FormValue("phone"))
	}))
	t.Cleanup(crm.Close)
	d := &desk{t: t, crm: crm.URL}
	d.agi = freePort(t)
	at := freePort(t)
	d.url = "http://" + at
	folder := t.TempDir()
	d.config = filepath.Join(folder, "ringhook.toml")
	text := fmt.Sprintf(`
[fastagi]
listen = %q
[http]
listen = "127.0.0.1:0"
[store]
folder = %q
[number]
country = "GB"
[[queue]]
id = "500"
name = "Sales"
[[agent]]
id = "7"
phone = "101"
name = "Anna"
[[agent]]
id = "8"
phone = "102"
name = "Boris"
[desk]
listen = %q
url = %q
receipt = "10s"
`, d.agi, filepath.Join(folder, "data"), at, d.url) + fmt.Sprintf(rules, open, more, crm.URL) + strings.ReplaceAll(strings.Join(tables, "\n"), "CRM/", crm.URL+"/")
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d.run()
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Log(d.log.String())
		}
	})
	return d
}

// configure replaces a text of the configuration, and starts ringhook again with it.
func (d *desk) configure(old, text string) {
	d.t.Helper()
	before, err := os.ReadFile(d.config)
	if err != nil {
		d.t.Fatal(err)
	}
	after := strings.Replace(string(before), old, text, 1)
	if after == string(before) {
		d.t.Fatalf("the configuration has no %q", old)
	}
	if err := os.WriteFile(d.config, []byte(after), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.restart()
}

// run starts ringhook, and waits until it serves.
func (d *desk) run() {
	d.t.Helper()
	d.serve = exec.Command(program, "-c", d.config, "serve")
	d.serve.Stderr = &d.log
	if err := d.serve.Start(); err != nil {
		d.t.Fatal(err)
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(d.url + "/healthz")
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("ringhook does not serve: %v", err)
		}
	}
}

// stop ends ringhook as systemd does.
func (d *desk) stop() {
	_ = d.serve.Process.Signal(os.Interrupt)
	_ = d.serve.Wait()
}

// restart ends ringhook and starts it again.
func (d *desk) restart() {
	d.t.Helper()
	d.stop()
	d.run()
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// tell runs ringhook with arguments and returns what it prints.
func (d *desk) tell(args ...string) string {
	d.t.Helper()
	out, err := exec.Command(program, append([]string{"-c", d.config}, args...)...).Output()
	if err != nil {
		d.t.Fatalf("ringhook %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// point reports a point of a call for a phone.
func (d *desk) point(call, point, phone, name string) {
	d.t.Helper()
	args := []string{"call", point, "--uniqueid", call, "--from", "02079460142", "--name", name, "--to", "02079460500", "--channel", "PJSIP/trunk-" + call}
	if phone != "" {
		args = append(args, "agent_phone="+phone)
	}
	if point == "queue-dial" {
		args = append(args, "queue_id=500")
	}
	d.tell(args...)
}

// browser starts Chromium with a tab.
func browser(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*limit)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.Headless, chromedp.NoFirstRun, chromedp.DisableGPU, chromedp.WindowSize(1280, 800))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// tab opens another tab of a browser.
func tab(t testing.TB, ctx context.Context) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// do runs steps in a tab.
func do(t testing.TB, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// eval runs a script in a tab.
func eval(t testing.TB, ctx context.Context, script string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("("+script+", true)")); err != nil {
		t.Fatal(err)
	}
}

// becomes waits until an expression is true in a tab.
func becomes(t testing.TB, ctx context.Context, expression string) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		got, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && got {
			return
		}
		if time.Now().After(deadline) {
			text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
			t.Fatalf("%s does not become true (%v); the page shows\n%s", expression, err, text)
		}
	}
}

// textOf returns the text of an element.
func textOf(t *testing.T, ctx context.Context, selector string) string {
	t.Helper()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q)?.textContent ?? ''", selector)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const password = "correct horse battery"

// signIn signs an agent in by an invitation, as a new agent does.
func (d *desk) signIn(ctx context.Context, agent string) {
	d.t.Helper()
	link := d.tell("desk", "invite", agent)
	do(d.t, ctx, chromedp.Navigate(link),
		chromedp.SendKeys(chromedp.CSS("input[name=password]"), password),
		chromedp.SendKeys(chromedp.CSS("input[name=repeat]"), password),
		chromedp.Click(chromedp.CSS("button.primary")))
	d.live(ctx)
}

// live waits until a tab shows calls.
func (d *desk) live(ctx context.Context) {
	d.t.Helper()
	becomes(d.t, ctx, `document.querySelector("#live.good")`)
}

// open opens a page in n more tabs of a browser, one after the other.
func (d *desk) open(ctx context.Context, page string, n int) (tabs []context.Context) {
	d.t.Helper()
	for range n {
		next := tab(d.t, ctx)
		do(d.t, next, chromedp.Navigate(d.url+page))
		d.live(next)
		tabs = append(tabs, next)
	}
	return tabs
}

const hostile = `<img src=x onerror=document.title=1>`

// TestFrame plays calls for an agent whose rule opens pages in the frame: sign-in, card, page, reload in a call, end.
func TestFrame(t *testing.T) {
	d, ctx := start(t, "frame", ""), browser(t)
	d.signIn(ctx, "7")
	d.point("1.1", "queue-dial", "", hostile)
	d.point("1.1", "agent-dial", "101", hostile)
	becomes(t, ctx, `document.querySelector("#page iframe")`)
	if name := textOf(t, ctx, "#call h1"); name != hostile {
		t.Errorf("the card shows %q", name)
	}
	becomes(t, ctx, `document.querySelector("#pagetitle").textContent.includes("onerror")`)
	d.until(ctx, "1.1", "frame shown")
	d.point("1.1", "agent-answer", "101", hostile)
	becomes(t, ctx, `document.querySelector("#call .chip.good")`)
	do(t, ctx, chromedp.Reload())
	d.live(ctx)
	becomes(t, ctx, `document.querySelector("#call h1") && document.querySelector("#page iframe")`)
	if trace := d.tell("trace", "1.1"); strings.Count(trace, "rule card, force") != 1 {
		t.Errorf("a reload pops again:\n%s", trace)
	}
	d.point("1.1", "agent-hangup", "101", hostile)
	becomes(t, ctx, `document.querySelector("#recent").textContent.includes("onerror") && document.querySelector("#done")`)
	becomes(t, ctx, `document.querySelector("#page iframe")`) // of an answered call stays
	do(t, ctx, chromedp.KeyEvent("d"))
	becomes(t, ctx, `document.querySelector("#call .empty")`)
	// A caller who gives up takes the page along.
	d.point("2.2", "agent-dial", "101", "Zoë")
	becomes(t, ctx, `document.querySelector("#pagetitle").textContent === "Zoë"`)
	d.point("2.2", "call-hangup", "", "Zoë")
	becomes(t, ctx, `document.querySelector("#page .empty") && document.querySelector("#recent .chip.bad")`)
}

// until waits until the trace of a call has a text.
func (d *desk) until(ctx context.Context, call, text string) {
	d.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		trace, err := exec.Command(program, "-c", d.config, "trace", call).Output() // an error until the first point is written
		if err == nil && strings.Contains(string(trace), text) {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("the trace of %s has no %q: %v\n%s", call, text, err, trace)
		}
	}
}

// TestElsewhere rings at two agents in two browsers, of whom the second answers.
func TestElsewhere(t *testing.T) {
	d, anna, boris := start(t, "frame", ""), browser(t), browser(t)
	d.signIn(anna, "7")
	d.signIn(boris, "8")
	d.point("1.1", "agent-dial", "101", "Zoë")
	d.point("1.1", "agent-dial", "102", "Zoë")
	for _, ctx := range []context.Context{anna, boris} {
		becomes(t, ctx, `document.querySelector("#page iframe")`)
	}
	d.point("1.1", "agent-answer", "102", "Zoë")
	becomes(t, anna, `document.querySelector("#recent").textContent.includes("taken by Boris")`)
	becomes(t, anna, `document.querySelector("#page .empty")`)
	becomes(t, boris, `document.querySelector("#call .chip.good") && document.querySelector("#page iframe")`)
}

// TestWindow opens pages in a window that the agent opened with one click; without it, the page is offered.
func TestWindow(t *testing.T) {
	d, ctx := start(t, "window", ""), browser(t)
	d.signIn(ctx, "7")
	d.point("1.1", "agent-dial", "101", "Zoë")
	becomes(t, ctx, `document.querySelector("#offers .offer")`)
	d.until(ctx, "1.1", "window window-lost")
	d.point("1.1", "call-hangup", "", "Zoë")
	becomes(t, ctx, `document.querySelector("#offers").hidden`)
	do(t, ctx, chromedp.Click(chromedp.CSS("#opensettings")), chromedp.Click(chromedp.CSS("#openwindow")))
	becomes(t, ctx, `!document.querySelector("#openwindow")`)
	d.point("2.2", "agent-dial", "101", "Zoë")
	d.until(ctx, "2.2", "window shown")
	found := false
	for deadline := time.Now().Add(limit); !found && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		targets, err := chromedp.Targets(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range targets {
			found = found || strings.HasPrefix(one.URL, d.crm+"/card")
		}
	}
	if !found {
		t.Error("the window does not show the page")
	}
}

// TestOffer opens an offered page with the keyboard alone.
func TestOffer(t *testing.T) {
	d, ctx := start(t, "frame", `mode = "offer"`), browser(t)
	d.signIn(ctx, "7")
	d.point("1.1", "agent-dial", "101", "Zoë")
	becomes(t, ctx, `document.querySelector("#offers .offer")`)
	do(t, ctx, chromedp.KeyEvent("o"))
	becomes(t, ctx, `document.querySelector("#page iframe") && document.querySelector("#offers").hidden`)
	d.until(ctx, "1.1", "frame shown")
}

// TestTabs checks that of several tabs one shows pops, and the next one after it is closed.
func TestTabs(t *testing.T) {
	d, first := start(t, "frame", ""), browser(t)
	d.signIn(first, "7")
	second := tab(t, first)
	do(t, second, chromedp.Navigate(d.url+"/desk/"))
	d.live(second)
	becomes(t, first, `!document.querySelector("#banner").hidden`)
	d.point("1.1", "agent-dial", "101", "Zoë")
	becomes(t, second, `document.querySelector("#page iframe")`)
	becomes(t, first, `document.querySelector("#call h1") && document.querySelector("#page .empty")`)
	if err := chromedp.Cancel(second); err != nil {
		t.Fatal(err)
	}
	becomes(t, first, `document.querySelector("#banner").hidden`)
	d.point("2.2", "agent-dial", "101", "Ada")
	becomes(t, first, `document.querySelector("#pagetitle").textContent === "Ada"`)
}

// TestSignedOut checks that a page notices that its session was ended.
func TestSignedOut(t *testing.T) {
	d, ctx := start(t, "frame", ""), browser(t)
	d.signIn(ctx, "7")
	d.point("1.1", "agent-dial", "101", "Zoë")
	becomes(t, ctx, `document.querySelector("#page iframe")`)
	d.tell("desk", "sign-out", "7")
	becomes(t, ctx, `!document.querySelector("#signin").hidden`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#again"), "wrong password"), chromedp.Click(chromedp.CSS("#signin .primary")))
	becomes(t, ctx, `document.querySelector("#againproblem").textContent`)
	eval(t, ctx, `document.querySelector("#again").value = ""`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#again"), password), chromedp.Click(chromedp.CSS("#signin .primary")))
	d.live(ctx)
	// The page of a call was not left.
	becomes(t, ctx, `document.querySelector("#page iframe")`)
}
