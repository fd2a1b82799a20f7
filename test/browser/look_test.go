package browser

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// axe is axe-core; see axe/README.md.
//
//go:embed axe/axe.min.js
var axe string

// accessible checks a page with axe-core: nothing serious or critical is found.
func accessible(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("("+`window.axe !== undefined`+")")); err != nil {
		t.Fatal(err)
	}
	eval(t, ctx, "(() => { if (!window.axe) { "+axe+" } })()")
	eval(t, ctx, `(window.found = null, axe.run(document, { iframes: false }).then((r) => window.found = r.violations.filter((v) => v.impact === "serious" || v.impact === "critical")
		.map((v) => v.id + ": " + v.nodes.map((n) => n.target + " " + (n.any[0]?.message ?? "")).join("; ")), (e) => window.found = [String(e)]))`)
	becomes(t, ctx, `window.found`)
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string]("window.found"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Errorf("%s: %s", what, f)
	}
}

// picture keeps a picture of a page in the folder that RINGHOOK_SCREENSHOTS names.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	folder := os.Getenv("RINGHOOK_SCREENSHOTS")
	if folder == "" {
		return
	}
	data, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		data, err = small(data)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// isolated is true if nothing is wider than the page, and numbers are written from left to right.
const isolated = `document.documentElement.scrollWidth <= innerWidth && [...document.querySelectorAll(".num")].every((e) => e.closest("[dir=ltr]") || e.querySelector("[dir=ltr]") || !/[+\d]/.test(e.textContent))`

// TestLanguages opens the pages in every language and both themes, in a call and with the settings open, and checks that
// they are accessible. With RINGHOOK_SCREENSHOTS it keeps pictures there.
func TestLanguages(t *testing.T) {
	names := map[string]string{"en": "Zoë Müller", "ru": "Жанна Орлова", "he": "שלום בע״מ", "fr": "Hélène Dupré"}
	s, table := asterisk(t)
	s.AnswerList("CoreShowChannels")
	d, ctx := start(t, "frame", `agent_may = ["moment", "open", "mode", "busy", "not-found", "min_length"]`, table, "[[pause]]\nname = \"lunch\"\n"), browser(t)
	do(t, ctx, chromedp.Navigate(d.url+"/desk/"))
	accessible(t, ctx, "sign-in")
	picture(t, ctx, "sign-in")
	d.signIn(ctx, "7")
	d.point("9.9", "agent-dial", "101", "Ada Lovelace")
	d.point("9.9", "call-hangup", "", "Ada Lovelace")
	becomes(t, ctx, `document.querySelector("#recent .chip.bad")`)
	n := 0
	for lang, name := range names {
		for _, theme := range []string{"light", "dark"} {
			n++
			what := lang + "-" + theme
			eval(t, ctx, fmt.Sprintf("localStorage.setItem('ringhook-theme', %q)", theme))
			eval(t, ctx, fmt.Sprintf(`document.querySelector("button[name=language][value=%s]").click()`, lang))
			becomes(t, ctx, fmt.Sprintf(`document.documentElement.lang === %q && document.documentElement.dataset.theme === %q && document.querySelector("#live.good")`, lang, theme))
			call := fmt.Sprintf("%d.1", n)
			end := connect(s, call, n)
			d.point(call, "queue-dial", "", name)
			d.point(call, "agent-dial", "101", name)
			d.point(call, "agent-answer", "101", name)
			becomes(t, ctx, fmt.Sprintf(`document.querySelector("#call h1")?.textContent === %q`, name))
			becomes(t, ctx, `document.querySelector("#call .chip.good") && document.querySelector("#page iframe") && document.querySelector("#hold")`)
			becomes(t, ctx, isolated)
			picture(t, ctx, "agent-"+what)
			if lang == "en" || lang == "he" {
				accessible(t, ctx, "call "+what)
			}
			eval(t, ctx, `document.querySelector("#transfer").click()`)
			becomes(t, ctx, `!document.querySelector("#transferring").hidden`)
			picture(t, ctx, "transfer-"+what)
			eval(t, ctx, `document.querySelector("#opensettings").click()`)
			becomes(t, ctx, `!document.querySelector("#settings").hidden && document.querySelector("#exceptions li") && document.querySelector("#sessions li")`)
			becomes(t, ctx, isolated)
			picture(t, ctx, "settings-"+what)
			if lang == "en" || lang == "he" {
				accessible(t, ctx, "settings "+what)
			}
			eval(t, ctx, `document.querySelector("#closesettings").click()`)
			end()
			d.point(call, "call-hangup", "", name)
			becomes(t, ctx, `document.querySelector("#done")`)
			eval(t, ctx, `document.querySelector("#done").click()`)
			becomes(t, ctx, `document.querySelector("#call .empty")`)
		}
	}
	vars := tab(t, ctx)
	do(t, vars, chromedp.Navigate(d.url+"/desk/show_vars/card?ask=1"))
	becomes(t, vars, `document.querySelector(".values td")`)
	accessible(t, vars, "show_vars")
	picture(t, vars, "show-vars")
}
