package browser

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
)

// supervisor is a person with the live page, and without a phone.
const supervisor = "[[agent]]\nid = \"9\"\nname = \"Vera\"\nrole = \"supervisor\"\nsupervises = [\"500\"]\n"

// TestLiveReconnects checks that the live page starts no further timers when it connects again.
func TestLiveReconnects(t *testing.T) {
	d, ctx := start(t, "card", "", supervisor), browser(t)
	d.signIn(ctx, "9")
	eval(t, ctx, `window.started = 0, window.whole = window.setInterval, window.setInterval = (...how) => (window.started++, window.whole(...how))`)
	eval(t, ctx, `window.opened = 0, window.EventSource = class extends EventSource { constructor(to) { super(to), window.opened++ } }`)
	for range 3 {
		eval(t, ctx, `window.dispatchEvent(new Event("online"))`)
	}
	d.live(ctx)
	becomes(t, ctx, `window.opened === 3 && window.started === 0`)
}

// TestFiveLiveTabs opens five live pages over HTTP/1.1: three have a stream, and one that sleeps wakes when its button is
// pressed.
func TestFiveLiveTabs(t *testing.T) {
	d, first := start(t, "card", "", supervisor), browser(t)
	d.signIn(first, "9")
	tabs := append([]context.Context{first}, d.open(first, "/desk/live", 4)...)
	for _, one := range tabs[:2] {
		becomes(t, one, `document.querySelector("#live.warn") && document.querySelector("#wake")`)
	}
	do(t, tabs[0], chromedp.Click(chromedp.CSS("#wake")))
	d.live(tabs[0])
	becomes(t, tabs[0], `document.querySelector("#banner").hidden`)
	becomes(t, tabs[2], `document.querySelector("#live.warn")`)
}
