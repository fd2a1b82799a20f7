package browser

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// window waits until one window shows the page of a caller, and no other window is open. It returns the window.
func (d *desk) window(ctx context.Context, phone string) (target.ID, context.Context) {
	d.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		ids := d.targets(ctx)
		if len(ids) == 1 {
			window, cancel := chromedp.NewContext(ctx, chromedp.WithTargetID(ids[0]))
			d.t.Cleanup(cancel)
			becomes(d.t, window, `document.querySelector("td + td")?.textContent === "`+phone+`"`)
			return ids[0], window
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%d windows are open", len(ids))
		}
	}
}

// ring has a call of a caller ring at the agent's phone, and end.
func (d *desk) ring(ctx context.Context, call, phone, fate string) {
	d.t.Helper()
	d.tell("call", "agent-dial", "--uniqueid", call, "--from", phone, "--name", "Zoë", "agent_phone=101")
	d.until(ctx, call, fate)
	d.tell("call", "call-hangup", "--uniqueid", call, "--from", phone, "--name", "Zoë")
}

// TestSameWindow shows the pages of several calls in the one window that the agent opened, while its page is the CRM's.
func TestSameWindow(t *testing.T) {
	d, ctx := start(t, "window", ""), browser(t)
	d.signIn(ctx, "7")
	do(t, ctx, chromedp.Click(chromedp.CSS("#opensettings")), chromedp.Click(chromedp.CSS("#openwindow")))
	becomes(t, ctx, `!document.querySelector("#openwindow")`)
	var first target.ID
	for _, phone := range []string{"+442079460142", "+442079460143", "+442079460144"} {
		d.ring(ctx, "1."+phone[1:], phone, "window shown")
		id, _ := d.window(ctx, phone)
		if first == "" {
			first = id
		}
		if id != first {
			t.Errorf("%s is shown in another window", phone)
		}
	}
}

// attack has a page try all ways to the page that opened it. It lists the ways that are open.
const attack = `window.reached = [], (() => {
	const away = "about:blank#stolen"
	for (const name of ["opener", "opener.parent", "opener.top"]) {
		const to = name.split(".").slice(1).reduce((w, step) => w[step], opener)
		const ways = {
			href: () => { to.location.href = away }, replace: () => to.location.replace(away), location: () => { to.location = away },
			where: () => to.location.href, document: () => to.document.title, storage: () => to.localStorage.length,
			hold: () => to.frameElement.id, call: () => to.fetch("/v1/me"), script: () => { to.location = "javascript:0" },
		}
		for (const [way, run] of Object.entries(ways)) {
			try { run(), window.reached.push(name + " " + way) } catch (e) { if (e.name !== "SecurityError") window.reached.push(name + " " + way + ": " + e) }
		}
		to.close(), to.postMessage({ ringhook: "shown" }, "*")
	}
})()`

// unreached checks that an attack had no effect.
func unreached(t *testing.T, window context.Context) {
	t.Helper()
	reached, err := chromedp.Run(window, chromedp.Evaluate[string](`window.reached.join()`))
	if err != nil || reached != "" {
		t.Fatalf("the page in the window can reach the desk: %s (%v)", reached, err)
	}
}

// TestWindowCannotReachDesk has the page in the window attack the desk: by itself and in a click, it can neither navigate nor
// read. In a browser that is not known to refuse it the window has no opener, and the next page is an offer.
func TestWindowCannotReachDesk(t *testing.T) {
	for name, agent := range map[string]string{"frame": "", "none": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"} {
		t.Run(name, func(t *testing.T) {
			d, ctx := start(t, "window", ""), browser(t)
			if agent != "" {
				if _, err := chromedp.Call(ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent}); err != nil {
					t.Fatal(err)
				}
			}
			d.signIn(ctx, "7")
			do(t, ctx, chromedp.Click(chromedp.CSS("#opensettings")), chromedp.Click(chromedp.CSS("#openwindow")))
			becomes(t, ctx, `!document.querySelector("#openwindow")`)
			d.ring(ctx, "1.1", "+442079460142", "window shown")
			_, window := d.window(ctx, "+442079460142")
			if agent != "" {
				becomes(t, window, `opener === null`)
				d.ring(ctx, "2.2", "+442079460143", "window window-lost")
				return
			}
			eval(t, ctx, `window.here = true`)
			eval(t, window, attack)
			unreached(t, window)
			eval(t, window, `document.querySelector("h1").addEventListener("click", () => { `+attack+`; window.clicked = true })`)
			do(t, window, chromedp.Click(chromedp.CSS("h1")))
			becomes(t, window, `window.clicked`)
			unreached(t, window)
			d.ring(ctx, "2.2", "+442079460143", "window shown")
			d.window(ctx, "+442079460143")
			becomes(t, ctx, `window.here && document.querySelector("#live.good") && document.querySelector("#opener").contentDocument.URL === "about:blank"`)
		})
	}
}
