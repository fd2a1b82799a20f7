package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestNotesAreKept types notes that are not stored yet: the page is left, another call comes, the network fails.
func TestNotesAreKept(t *testing.T) {
	d, ctx := start(t, "card", ""), browser(t)
	d.signIn(ctx, "7")
	d.point("1.1", "agent-dial", "101", "Zoë")
	d.point("1.1", "agent-answer", "101", "Zoë")
	becomes(t, ctx, `!document.querySelector("#noting").hidden`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#note"), "one"), chromedp.Reload())
	d.live(ctx)
	becomes(t, ctx, `document.querySelector("#note").value === "one"`)

	eval(t, ctx, `window.whole = window.fetch, window.fetch = (to, how) => String(to).endsWith("/note") ? Promise.reject(new TypeError("lost")) : window.whole(to, how)`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#note"), " two"))
	d.point("1.1", "agent-hangup", "101", "Zoë")
	d.point("2.1", "agent-dial", "101", "Ada")
	d.point("2.1", "agent-answer", "101", "Ada")
	becomes(t, ctx, `document.querySelector("#call h1")?.textContent === "Ada" && document.querySelector("#note").value === ""`)
	// The note of an earlier call, whose list is drawn again while it is written.
	becomes(t, ctx, `document.getElementById("note-1.1")`)
	eval(t, ctx, `document.getElementById("note-1.1").click()`)
	becomes(t, ctx, `document.querySelector("#recent textarea")?.value === "one two"`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#recent textarea"), "three "))
	eval(t, ctx, `document.activeElement.blur()`)
	d.point("3.1", "agent-dial", "101", "Eve")
	becomes(t, ctx, `document.querySelector("#otherlist").textContent.includes("Eve") && document.querySelector("#recent textarea")?.value === "three one two"`)
	eval(t, ctx, `window.fetch = window.whole`)
	do(t, ctx, chromedp.Reload())
	d.live(ctx)
	becomes(t, ctx, `document.querySelector("#recent .noted")?.textContent === "three one two"`)
}

// TestNoteOfDroppedCall has the server drop the ended calls while a note is not stored: the text stays, to be copied.
func TestNoteOfDroppedCall(t *testing.T) {
	d, ctx := start(t, "card", ""), browser(t)
	d.signIn(ctx, "7")
	for n, drop := range []func(){func() { d.tell("forget", "02079460143") }, d.restart} {
		call := fmt.Sprintf("%d.1", n+1)
		d.point(call, "agent-dial", "101", "Zoë")
		d.point(call, "agent-answer", "101", "Zoë")
		becomes(t, ctx, `!document.querySelector("#noting").hidden`)
		do(t, ctx, chromedp.SendKeys(chromedp.CSS("#note"), "wants a call back"))
		d.point(call, "call-hangup", "", "Zoë")
		becomes(t, ctx, `document.getElementById("note-`+call+`")`)
		drop()
		becomes(t, ctx, `!document.getElementById("note-`+call+`") && document.querySelector("#recent .noted")?.textContent === "wants a call back"`)
		eval(t, ctx, `document.getElementById("drop-`+call+`").click()`)
		becomes(t, ctx, `!document.querySelector("#recent .noted")`)
	}
}

// TestNoteOfCallAgain restarts the server during a call: the note that it refuses is stored when the call comes again.
func TestNoteOfCallAgain(t *testing.T) {
	d, ctx := start(t, "card", ""), browser(t)
	d.signIn(ctx, "7")
	d.point("1.1", "agent-dial", "101", "Zoë")
	d.point("1.1", "agent-answer", "101", "Zoë")
	becomes(t, ctx, `!document.querySelector("#noting").hidden`)
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#note"), "gold"))
	d.restart()
	becomes(t, ctx, `document.querySelector("#recent .noted")?.textContent === "gold"`)
	d.point("2.1", "agent-dial", "101", "Ada")
	d.point("2.1", "agent-answer", "101", "Ada")
	d.point("1.1", "agent-dial", "101", "Zoë")
	becomes(t, ctx, `document.querySelector("#otherlist").textContent.includes("Zoë") && !document.querySelector("#recent .noted")`)
	do(t, ctx, chromedp.Reload())
	d.live(ctx)
	d.point("2.1", "call-hangup", "", "Ada")
	d.point("1.1", "agent-answer", "101", "Zoë")
	becomes(t, ctx, `document.querySelector("#note").value === "gold"`)
}
