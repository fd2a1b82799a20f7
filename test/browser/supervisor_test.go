package browser

import (
	"bytes"
	"context"
	"fmt"
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

// bureau is a ringhook with an Asterisk, a day of calls, a supervisor of Sales and Support, and an administrator.
type bureau struct {
	*desk
	pbx *pbx
}

const bureauConfig = `
[fastagi]
listen = %q
[http]
listen = "127.0.0.1:0"
[store]
folder = %q
[number]
country = "GB"
[[ami]]
name = "pbx"
address = %q
username = "ringhook"
secret = "s3cret"
[[queue]]
id = "500"
name = "Sales"
[[queue]]
id = "501"
name = "Support"
[[queue]]
id = "600"
name = "Board"
[[pause]]
name = "lunch"
text = { en = "Lunch", ru = "Обед", he = "ארוחת צהריים", fr = "Déjeuner" }
[[hook]]
name = "journal"
events = ["*"]
url = "%[5]s/refuses"
[[hook]]
name = "warehouse"
events = ["queue-*"]
url = "http://127.0.0.1:9/"
[desk]
listen = %[4]q
url = "http://%[4]s"
[[pop]]
name = "card"
events = ["agent-dial"]
open = "frame"
url = "%[5]s/card?phone=%%callerid%%"
[[agent]]
id = "9"
name = "Vera Sokolova"
role = "supervisor"
supervises = ["500", "501"]
[[agent]]
id = "1"
name = "Root"
role = "administrator"
`

// bureauAgents are those of test/sampleday, and one of another queue.
var bureauAgents = [][4]string{
	{"7", "101", "Anna Schmidt", `"500", "501"`}, {"8", "102", "Boris Ivanov", `"500"`}, {"10", "103", "Chloé Martin", `"500", "501"`}, {"11", "104", "Dana Levi", `"501"`},
	{"12", "105", "Emil Novák", `"500"`}, {"13", "106", "Farah Haddad", `"500", "501"`}, {"14", "107", "Gita Board", `"600"`},
}

func startBureau(t *testing.T) *bureau {
	t.Helper()
	folder := t.TempDir()
	sample := filepath.Join(filepath.Dir(program), "sampleday")
	if _, err := os.Stat(sample); err != nil {
		build := exec.Command("go", "build", "-tags", "sqlite_omit_load_extension", "-trimpath", "-buildvcs=false", "-o", sample, "./test/sampleday")
		build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=1")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build sampleday: %v\n%s", err, out)
		}
	}
	if out, err := exec.Command(sample, filepath.Join(folder, "data")).CombinedOutput(); err != nil {
		t.Fatalf("sampleday: %v\n%s", err, out)
	}
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, `{"error": "the field phone is missing"}`, http.StatusBadRequest)
	}))
	t.Cleanup(crm.Close)
	b := &bureau{desk: &desk{t: t}, pbx: startPBX(t)}
	for _, a := range bureauAgents {
		for _, q := range []string{"500", "501", "600"} {
			if strings.Contains(a[3], q) && a[0] != "13" {
				b.pbx.member(q, a[1], a[2])
			}
		}
	}
	b.agi = freePort(t)
	at := freePort(t)
	b.url = "http://" + at
	text := fmt.Sprintf(bureauConfig, b.agi, filepath.Join(folder, "data"), b.pbx.address, at, crm.URL)
	for _, a := range bureauAgents {
		text += fmt.Sprintf("[[agent]]\nid = %q\nphone = %q\nname = %q\nqueues = [%s]\n", a[0], a[1], a[2], a[3])
	}
	b.config = filepath.Join(folder, "ringhook.toml")
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	b.pbx.talk("9000.1", "+442079460142", "Zoë Müller", "103", now.Add(-185*time.Second))
	b.pbx.talk("9000.2", "+442079460171", "Acme Ltd", "104", now.Add(-40*time.Second))
	b.pbx.join(false, &waiter{"500", "9001.1", "+442079460113", "Жанна Орлова", now.Add(-72 * time.Second), 10})
	b.pbx.join(false, &waiter{"500", "9001.2", "+442079460188", hostile, now.Add(-31 * time.Second), 0})
	b.pbx.join(false, &waiter{"501", "9001.3", "+442079460134", "", now.Add(-8 * time.Second), 0})
	b.pbx.join(false, &waiter{"600", "9001.4", "+442079460177", "Chairman", now.Add(-5 * time.Second), 0})
	b.serve()
	for call, who := range map[string][2]string{"9000.1": {"103", "Zoë Müller"}, "9000.2": {"104", "Acme Ltd"}} {
		queue := map[string]string{"103": "500", "104": "501"}[who[0]]
		b.tell("call", "queue-dial", "--uniqueid", call, "--from", "02079460142", "--name", who[1], "--to", "02079460500", "--channel", "PJSIP/trunk-"+call, "queue_id="+queue)
		b.point(call, "agent-dial", who[0], who[1])
		b.point(call, "agent-answer", who[0], who[1])
	}
	return b
}

// serve runs ringhook until the end of the test.
func (b *bureau) serve() {
	b.t.Helper()
	var log bytes.Buffer
	serve := exec.Command(program, "-c", b.config, "serve")
	serve.Stderr = &log
	if err := serve.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = serve.Process.Signal(os.Interrupt)
		_ = serve.Wait()
		if b.t.Failed() {
			b.t.Log(log.String())
		}
	})
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get(b.url + "/healthz"); err == nil {
			resp.Body.Close()
			return
		} else if time.Now().After(deadline) {
			b.t.Fatalf("ringhook does not serve: %v\n%s", err, log.String())
		}
	}
}

// rowOf is an expression for the row of a table that contains a text.
func rowOf(table, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#%s tbody tr")].find((r) => r.textContent.includes(%q))`, table, text)
}

// TestSupervisor watches queues and steers them: a caller comes, is kicked; an agent is paused, and logged out.
func TestSupervisor(t *testing.T) {
	b, ctx := startBureau(t), browser(t)
	b.signIn(ctx, "9")
	becomes(t, ctx, rowOf("waits", "Жанна Орлова"))
	becomes(t, ctx, `document.title !== "1" && `+rowOf("waits", hostile))
	becomes(t, ctx, rowOf("agents", "Chloé")+`.textContent.includes("Zoë Müller")`)
	becomes(t, ctx, rowOf("calls", "Acme Ltd"))
	if text := textOf(t, ctx, "main"); strings.Contains(text, "Gita") || strings.Contains(text, "Chairman") || strings.Contains(text, "Board") {
		t.Errorf("the supervisor sees another queue: %s", text)
	}
	// A caller comes: the row is there without a reload, and the focus stays where it is.
	eval(t, ctx, `window.before = true, `+rowOf("agents", "Emil")+`.querySelector("button").focus()`)
	b.pbx.join(true, &waiter{"500", "9009.1", "+442079460101", "Ada", time.Now(), 0})
	becomes(t, ctx, rowOf("waits", "Ada"))
	becomes(t, ctx, `window.before && document.activeElement.textContent === "…"`)
	// Kick needs a confirmation, whose first choice is to cancel.
	kick := rowOf("waits", "Ada") + `.querySelector(".danger")`
	eval(t, ctx, kick+`.click()`)
	becomes(t, ctx, `document.querySelector("#confirm").open && document.activeElement.value === "no"`)
	do(t, ctx, chromedp.KeyEvent("\r"))
	becomes(t, ctx, `!document.querySelector("#confirm").open && `+rowOf("waits", "Ada"))
	// The browser reports that a dialog was closed after the next one may be open: what was cancelled is not done with that.
	eval(t, ctx, `window.kicks = 0, window.sends = window.fetch, window.fetch = (path, ...more) => (window.kicks += path.includes("/kick") ? 1 : 0, window.sends(path, ...more))`)
	eval(t, ctx, kick+`.click(), document.querySelector("#confirm").close("no"), `+kick+`.click()`)
	becomes(t, ctx, `document.querySelector("#confirm").open`)
	do(t, ctx, chromedp.Click(chromedp.CSS("#confirm-yes")))
	becomes(t, ctx, `!`+rowOf("waits", "Ada"))
	becomes(t, ctx, `window.kicks === 1`)
	if n := len(b.pbx.Requests("Hangup")); n != 1 {
		t.Errorf("%d hang-ups", n)
	}
	// Pause with a reason, by the agent's card.
	eval(t, ctx, rowOf("agents", "Boris")+`.querySelector("button").click()`)
	becomes(t, ctx, `document.querySelector("#card").open`)
	eval(t, ctx, `document.querySelector("#card-reason").value = "lunch", document.querySelector("[data-do=pause]").click()`)
	becomes(t, ctx, rowOf("agents", "Boris")+`.textContent.includes("Lunch")`)
	eval(t, ctx, `document.querySelector("[data-do=pause]").click()`)
	becomes(t, ctx, `!`+rowOf("agents", "Boris")+`.textContent.includes("Lunch")`)
	eval(t, ctx, `document.querySelector("[data-do=logout]").click()`)
	becomes(t, ctx, `document.querySelector("#confirm").open`)
	do(t, ctx, chromedp.Click(chromedp.CSS("#confirm-yes")))
	becomes(t, ctx, rowOf("agents", "Boris")+`.textContent.includes("logged out")`)
	// Asterisk goes away: the page says so.
	b.pbx.Close()
	becomes(t, ctx, `document.querySelector("#live.bad")`)
}

// TestSupervisorPages walks from a call to its trace and to why it did not pop, and handles the outbox as an administrator.
func TestSupervisorPages(t *testing.T) {
	b, boss, root := startBureau(t), browser(t), browser(t)
	b.signIn(boss, "9")
	do(t, boss, chromedp.Navigate(b.url+"/desk/calls?q=Northwind"))
	becomes(t, boss, `document.querySelectorAll("tbody tr").length > 1 && [...document.querySelectorAll("tbody tr")].every((r) => r.textContent.includes("Northwind"))`)
	do(t, boss, chromedp.Click(chromedp.CSS("tbody a")))
	becomes(t, boss, `document.querySelectorAll(".timeline li").length > 1`)
	do(t, boss, chromedp.Click(chromedp.CSS(`a[href^="/desk/pops?call="]`)))
	becomes(t, boss, `document.querySelector(".result .chip")`)
	do(t, boss, chromedp.Navigate(b.url+"/desk/outbox"))
	becomes(t, boss, `document.querySelector("h1").textContent.includes("supervisors")`)

	b.signIn(root, "1")
	becomes(t, root, rowOf("agents", "Gita"))
	do(t, root, chromedp.Navigate(b.url+"/desk/outbox?hook=warehouse"))
	becomes(t, root, `document.querySelector("input[name=id]")`)
	eval(t, root, `document.querySelector("input[name=id]").click(), document.querySelector("[data-confirm]").click()`)
	becomes(t, root, `document.querySelector("#sure").open`)
	eval(t, root, `document.querySelector("#sure button[value=yes]").click()`)
	becomes(t, root, `document.querySelector(".note.good")?.textContent.includes("1")`)
	do(t, root, chromedp.Navigate(b.url+"/desk/wall?queues=500"))
	becomes(t, root, `document.querySelectorAll(".wallcard").length === 1 && document.querySelector("#plot rect")`)
}

// TestSupervisorLanguages opens every page in every language and both themes. With RINGHOOK_SCREENSHOTS it keeps pictures
// there.
func TestSupervisorLanguages(t *testing.T) {
	b, ctx := startBureau(t), browser(t)
	b.signIn(ctx, "1")
	do(t, ctx, chromedp.EmulateViewport(1280, 1000))
	becomes(t, ctx, rowOf("waits", "Жанна Орлова"))
	link, err := chromedp.Run(ctx, chromedp.Evaluate[string](`fetch("/desk/pops?failed=1&span=span_day").then((r) => r.text()).then((t) => t.match(/desk\/calls\/([0-9.]+)"/)[1])`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	pages := [][3]string{
		{"live", "/desk/live", `document.querySelector("#waits tbody tr") && document.querySelector("#agents tbody tr") && document.querySelector("#queues .spark")`},
		{"figures", "/desk/figures", `document.querySelector("#plot rect") && document.querySelector("#agents tbody tr")`},
		{"calls", "/desk/calls", `document.querySelector("tbody a")`},
		{"call", "/desk/calls/" + link, `document.querySelector(".timeline li")`},
		{"pops", "/desk/pops?span=span_day", `document.querySelector(".result")`},
		{"outbox", "/desk/outbox", `document.querySelector("input[name=id]")`},
		{"delivery", "/desk/outbox/1", `document.querySelector("dl")`},
		{"wall", "/desk/wall?queues=500,501", `document.querySelector(".wallcard") && document.querySelector("#plot rect")`},
		{"card", "/desk/live", `document.querySelector("#agents tbody tr") && (document.querySelector("#card").open || (` + rowOf("agents", "Chloé") + `.querySelector("button").click(), true))`},
		{"confirm", "/desk/live", `document.querySelector("#waits tbody tr") && (document.querySelector("#confirm").open || (` + rowOf("waits", "Жанна") + `.querySelector(".danger").click(), true))`},
		{"problem", "/desk/calls/none", `document.querySelector("h1.title")`},
	}
	for _, lang := range []string{"en", "ru", "he", "fr"} {
		do(t, ctx, chromedp.Navigate(b.url+"/desk/calls"))
		eval(t, ctx, fmt.Sprintf(`document.querySelector("button[name=language][value=%s]").click()`, lang))
		becomes(t, ctx, fmt.Sprintf(`document.documentElement.lang === %q && location.pathname === "/desk/calls"`, lang))
		for _, theme := range []string{"light", "dark"} {
			eval(t, ctx, fmt.Sprintf("localStorage.setItem('ringhook-theme', %q)", theme))
			for _, page := range pages {
				do(t, ctx, chromedp.Navigate(b.url+page[1]))
				becomes(t, ctx, page[2])
				becomes(t, ctx, fmt.Sprintf(`document.documentElement.lang === %q && document.documentElement.dataset.theme === %q`, lang, theme))
				checkPage(t, ctx, page[0]+" "+lang)
				picture(t, ctx, "supervisor-"+page[0]+"-"+lang+"-"+theme)
			}
		}
	}
}

// checkPage checks that nothing is wider than the page, that numbers are isolated, and that nothing is without a text.
func checkPage(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	for what, expression := range map[string]string{
		"is wider than the window":    `document.documentElement.scrollWidth > innerWidth`,
		"has a number out of a bdi":   `[...document.querySelectorAll(".num")].some((e) => /[+\d]/.test(e.textContent) && !e.closest("[dir=ltr]") && !e.querySelector("[dir=ltr]"))`,
		"has a button without a name": `[...document.querySelectorAll("button, a, select, input:not([type=hidden])")].some((e) => e.offsetParent && !(e.textContent.trim() || e.ariaLabel || e.labels?.length))`,
		"has no text for a key":       `/undefined|\b(reason|state|fate|explain|label|kind|command|outcome)_[a-z]/.test(document.body.innerText)`,
		"has no heading":              `!document.querySelector("h1")`,
	} {
		bad, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		if err != nil || bad {
			t.Errorf("%s %s (%v)", name, what, err)
		}
	}
}
