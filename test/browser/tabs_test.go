package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// freeze stops a tab as a browser does to save energy, or lets it go on: its stream stays open, and none of its code runs.
func freeze(t *testing.T, ctx context.Context, state string) {
	t.Helper()
	if _, err := chromedp.Call(ctx, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: page.SetWebLifecycleStateState(state)}); err != nil {
		t.Fatal(err)
	}
}

// TestFrozenTab freezes the tab that shows pops: the next tab shows the pop. With both frozen it goes to the rule's next
// way, and a tab that comes back opens nothing late.
func TestFrozenTab(t *testing.T) {
	d, first := start(t, "frame", `else = ["hook:journal"]`, "[[hook]]\nname = \"journal\"\nevents = [\"pop\"]\nurl = \"http://127.0.0.1:1/\"\n"), browser(t)
	d.configure(`receipt = "10s"`, `receipt = "1s"`)
	d.signIn(first, "7")
	second := tab(t, first)
	do(t, second, chromedp.Navigate(d.url+"/desk/"))
	d.live(second)
	becomes(t, first, `!document.querySelector("#banner").hidden`)
	freeze(t, second, "frozen")
	d.point("1.1", "agent-dial", "101", "Zoë")
	becomes(t, first, `document.querySelector("#page iframe")`)
	d.until(first, "1.1", "frame shown")
	freeze(t, second, "active")
	becomes(t, second, `document.querySelector("#call h1")`)
	becomes(t, second, `!document.querySelector("#page iframe")`)
	if trace := d.tell("trace", "1.1"); strings.Count(trace, "frame shown") != 1 {
		t.Errorf("the pop was shown twice:\n%s", trace)
	}
	d.point("1.1", "call-hangup", "", "Zoë")
	freeze(t, first, "frozen")
	freeze(t, second, "frozen")
	d.point("2.2", "agent-dial", "101", "Ada")
	d.until(first, "2.2", "frame moved")
}

// TestSevenTabs opens seven tabs over HTTP/1.1, to which a browser has six connections: none hangs, three have a stream, and
// one that sleeps wakes when the agent looks at it.
func TestSevenTabs(t *testing.T) {
	d, first := start(t, "frame", ""), browser(t)
	d.signIn(first, "7")
	tabs := append([]context.Context{first}, d.open(first, "/desk/", 6)...)
	for _, one := range tabs[:4] {
		becomes(t, one, `document.querySelector("#live.warn") && document.querySelector("#wake")`)
	}
	d.point("1.1", "agent-dial", "101", "Zoë")
	becomes(t, tabs[6], `document.querySelector("#page iframe")`)
	do(t, tabs[0], chromedp.Click(chromedp.CSS("#wake")))
	d.live(tabs[0])
	becomes(t, tabs[0], `document.querySelector("#call h1")?.textContent === "Zoë"`)
	becomes(t, tabs[4], `document.querySelector("#live.warn")`)
}

// TestBlocked opens pages in tabs of their own, which the browser refuses without a click: the page is offered, and a click
// opens it.
func TestBlocked(t *testing.T) {
	d, ctx := start(t, "tab", ""), browser(t)
	d.signIn(ctx, "7")
	d.point("1.1", "agent-dial", "101", "Zoë")
	d.until(ctx, "1.1", "tab blocked")
	becomes(t, ctx, `document.querySelector("#offers .offer")`)
	do(t, ctx, chromedp.Click(chromedp.CSS("#offers .primary")))
	d.until(ctx, "1.1", "tab shown")
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		targets, err := chromedp.Targets(ctx)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, one := range targets {
			found = found || strings.HasPrefix(one.URL, d.crm+"/card")
		}
		if found {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no tab shows the page")
		}
	}
}

// TestHostile has callers and customers whose texts are markup, turn the direction or are long: they are text, in their
// place.
func TestHostile(t *testing.T) {
	d, ctx := start(t, "frame", ""), browser(t)
	d.signIn(ctx, "7")
	for i, name := range []string{hostile, `"><script>document.title=1</script>`, "\u202eevil\u2066", strings.Repeat("Wide", 500), "שלום <b>", `{{7*7}}${7*7}`, "' onload='x"} {
		call := fmt.Sprintf("%d.1", i+1)
		d.point(call, "agent-dial", "101", name)
		becomes(t, ctx, fmt.Sprintf(`document.querySelector("#page iframe") && document.querySelector("#call h1") && document.documentElement.scrollWidth <= innerWidth && %d`, i+1))
		shown := textOf(t, ctx, "#call h1")
		if strings.ContainsAny(shown, "\u202e\u2066") || len([]rune(shown)) > 200 || shown == "" {
			t.Errorf("%q is shown as %q", name, shown)
		}
		becomes(t, ctx, `!document.querySelector("#call script, #call img, #call b:not(.empty b), #pagetitle script, #pagetitle img") && document.title !== "1" && document.querySelector("#call h1 bdi")`)
		d.point(call, "call-hangup", "", name)
		becomes(t, ctx, `document.querySelector("#call .empty")`)
	}
}

// TestRestart restarts ringhook in a call: the page connects again by itself, and the page of the call stays.
func TestRestart(t *testing.T) {
	d, ctx := start(t, "frame", ""), browser(t)
	d.signIn(ctx, "7")
	d.point("1.1", "agent-dial", "101", "Zoë")
	d.point("1.1", "agent-answer", "101", "Zoë")
	becomes(t, ctx, `document.querySelector("#call .chip.good") && document.querySelector("#page iframe")`)
	d.restart()
	becomes(t, ctx, `document.querySelector("#live.good") && document.querySelector("#page iframe")`)
	d.point("2.2", "agent-dial", "101", "Ada")
	becomes(t, ctx, `document.querySelector("#call h1")?.textContent === "Ada" && document.querySelector("#pagetitle").textContent === "Ada"`)
	if trace := d.tell("trace", "1.1"); strings.Count(trace, "rule card, force") != 1 {
		t.Errorf("a restart pops again:\n%s", trace)
	}
}

// TestSettings chooses a language, switches pages off and on, and excepts a number; the settings follow the agent to another
// browser.
func TestSettings(t *testing.T) {
	d, ctx := start(t, "frame", `agent_may = ["mode"]`), browser(t)
	d.signIn(ctx, "7")
	open := func(ctx context.Context) {
		do(t, ctx, chromedp.Click(chromedp.CSS("#opensettings")))
		becomes(t, ctx, `!document.querySelector("#settings").hidden && document.querySelector("#set-mode")`)
	}
	choose := func(ctx context.Context, id, value string) {
		eval(t, ctx, fmt.Sprintf(`(document.getElementById(%q).value = %q, document.getElementById(%[1]q).dispatchEvent(new Event("change")))`, id, value))
	}
	open(ctx)
	choose(ctx, "set-mode", "offer")
	choose(ctx, "offfor", "60")
	becomes(t, ctx, `!document.querySelector("#popsoff").hidden`)
	d.point("1.1", "agent-dial", "101", "Zoë")
	d.until(ctx, "1.1", ": off")
	becomes(t, ctx, `document.querySelector("#callhead .chip.warn")`)
	d.point("1.1", "call-hangup", "", "Zoë")
	do(t, ctx, chromedp.Click(chromedp.CSS("#popson")))
	becomes(t, ctx, `document.querySelector("#popsoff").hidden`)
	d.point("2.2", "agent-dial", "101", "Zoë")
	becomes(t, ctx, `document.querySelector("#offers .offer")`)
	d.point("2.2", "call-hangup", "", "Zoë")
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#except"), "020 7946 0142\r"))
	becomes(t, ctx, `document.querySelector("#exceptions").textContent.includes("+442079460142")`)
	d.point("3.3", "agent-dial", "101", "Zoë")
	d.until(ctx, "3.3", "exception, rule card: +442079460142, of the agent")
	eval(t, ctx, `document.querySelector("#settings button[name=language][value=he]").click()`)
	becomes(t, ctx, `document.documentElement.lang === "he" && document.documentElement.dir === "rtl" && document.querySelector("#live.good")`)
	other := browser(t)
	d.signIn(other, "7")
	becomes(t, other, `document.documentElement.lang === "he"`)
	open(other)
	becomes(t, other, `document.querySelector("#set-mode").value === "offer" && document.querySelectorAll("#sessions li").length >= 1`)
}
