package browser

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// cable is the network between a browser and ringhook.
type cable struct {
	to string

	mu    sync.Mutex
	cut   bool                  // guarded by mu
	conns map[net.Conn]struct{} // guarded by mu
}

// plug puts a cable between browsers and a desk.
func (d *desk) plug() *cable {
	d.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	c := &cable{to: strings.TrimPrefix(d.url, "http://"), conns: map[net.Conn]struct{}{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { c.carry(in) })
		}
	})
	d.t.Cleanup(func() {
		l.Close()
		c.set(true)
		serving.Wait()
	})
	url := "http://" + l.Addr().String()
	d.configure(fmt.Sprintf("url = %q", d.url), fmt.Sprintf("url = %q", url))
	d.url = url
	return c
}

// set cuts the cable, or joins it again.
func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for conn := range c.conns {
		conn.Close()
	}
	clear(c.conns)
}

// keep remembers a connection that a cut closes. It reports false if the cable is cut.
func (c *cable) keep(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.cut {
		c.conns[conn] = struct{}{}
	}
	return !c.cut
}

// carry carries one connection until one of its ends closes it.
func (c *cable) carry(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer out.Close()
	if !c.keep(in) || !c.keep(out) {
		return
	}
	var copying sync.WaitGroup
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		copying.Go(func() {
			_, _ = io.Copy(pair[0], pair[1]) // it ends with a connection
			in.Close()
			out.Close()
		})
	}
	copying.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, in)
	delete(c.conns, out)
}

// TestNetworkLost cuts the network in a call and while another one rings: the page says since when it is not live, and refuses
// commands. When the network is back it shows the cards of both, and opens no page late: it is offered.
func TestNetworkLost(t *testing.T) {
	d := start(t, "frame", "")
	c, ctx := d.plug(), browser(t)
	d.signIn(ctx, "7")
	d.point("1.1", "agent-dial", "101", "Zoë")
	d.until(ctx, "1.1", "frame shown")
	d.point("1.1", "agent-answer", "101", "Zoë")
	becomes(t, ctx, `document.querySelector("#call .chip.good")`)
	c.set(true)
	becomes(t, ctx, `document.querySelector("#live.bad") && !document.querySelector("#banner").hidden && document.body.classList.contains("stale")`)
	becomes(t, ctx, `document.querySelector("#page iframe") && document.querySelector("#call h1").textContent === "Zoë"`)
	d.point("1.1", "agent-hangup", "101", "Zoë")
	d.point("2.2", "agent-dial", "101", "Ada")
	c.set(false)
	d.live(ctx)
	becomes(t, ctx, `document.querySelector("#banner").hidden && document.querySelector("#call h1").textContent === "Ada"`)
	becomes(t, ctx, `document.querySelector("#recent").textContent.includes("Zoë") && document.querySelector("#pagetitle").textContent !== "Ada"`)
	d.point("2.2", "call-hangup", "", "Ada")
	d.point("3.3", "agent-dial", "101", "Eve")
	becomes(t, ctx, `document.querySelector("#pagetitle").textContent === "Eve"`)
	d.until(ctx, "3.3", "frame shown")
}

// TestAfterAnHour has a tab sleep while its stream ends, calls come and go, and ringhook forgets the messages that it kept, as it
// does after an hour: the tab gets the state of now and opens no page of the meantime.
func TestAfterAnHour(t *testing.T) {
	d, ctx := start(t, "frame", ""), browser(t)
	d.signIn(ctx, "7")
	d.point("1.1", "agent-dial", "101", "Zoë")
	d.until(ctx, "1.1", "frame shown")
	eval(t, ctx, `window.gaps = [], window.whole = window.EventSource, window.EventSource = class extends window.whole { constructor(to) { super(to); this.addEventListener("hello", (m) => window.gaps.push(JSON.parse(m.data).gap)) } }`)
	freeze(t, ctx, "frozen")
	d.point("1.1", "call-hangup", "", "Zoë")
	d.restart() // the ids of before are unknown, as those that are no longer kept
	d.point("2.2", "agent-dial", "101", "Ada")
	d.point("2.2", "call-hangup", "", "Ada")
	d.point("3.3", "agent-dial", "101", "Eve")
	d.until(ctx, "3.3", ": signed-out")
	freeze(t, ctx, "active")
	eval(t, ctx, `window.dispatchEvent(new Event("online"))`)
	d.live(ctx)
	becomes(t, ctx, `window.gaps.includes(true) && document.querySelector("#call h1").textContent === "Eve"`)
	becomes(t, ctx, `document.querySelector("#pagetitle").textContent !== "Eve" && document.querySelector("#pagetitle").textContent !== "Ada"`)
	if trace := d.tell("trace", "3.3"); strings.Contains(trace, "shown") {
		t.Errorf("a pop was opened late:\n%s", trace)
	}
}

// TestMachineSlept has the clock step, as it does while a machine sleeps: the page asks whether its stream still is.
func TestMachineSlept(t *testing.T) {
	d, ctx := start(t, "frame", ""), browser(t)
	d.signIn(ctx, "7")
	eval(t, ctx, `window.asked = 0, window.plain = window.fetch, window.fetch = (...what) => (window.asked += String(what[0]).endsWith("/focus") ? 1 : 0, window.plain(...what))`)
	eval(t, ctx, `window.real = Date.now, Date.now = () => window.real() + 3600000`)
	becomes(t, ctx, `window.asked > 0`)
	d.point("1.1", "agent-dial", "101", "Zoë")
	becomes(t, ctx, `document.querySelector("#call h1")?.textContent === "Zoë"`)
}

// targets returns the tabs and windows that show a page of the CRM or the empty page of the desk's window.
func (d *desk) targets(ctx context.Context) (ids []target.ID) {
	d.t.Helper()
	all, err := chromedp.Targets(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, one := range all {
		if one.Type == "page" && (strings.HasPrefix(one.URL, d.crm) || strings.HasSuffix(one.URL, "/desk/window")) {
			ids = append(ids, one.TargetID)
		}
	}
	return ids
}

// TestWindowClosed closes the window for pages in a shift: the next page is offered, and a click opens the window again.
func TestWindowClosed(t *testing.T) {
	d, ctx := start(t, "window", ""), browser(t)
	d.signIn(ctx, "7")
	do(t, ctx, chromedp.Click(chromedp.CSS("#opensettings")), chromedp.Click(chromedp.CSS("#openwindow")))
	becomes(t, ctx, `!document.querySelector("#openwindow")`)
	do(t, ctx, chromedp.KeyEvent("s"))
	d.point("1.1", "agent-dial", "101", "Zoë")
	d.until(ctx, "1.1", "window shown")
	d.point("1.1", "call-hangup", "", "Zoë")
	for _, id := range d.targets(ctx) {
		window, cancel := chromedp.NewContext(ctx, chromedp.WithTargetID(id))
		do(t, window)
		err := chromedp.Cancel(window)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(limit); len(d.targets(ctx)) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the window is not closed")
		}
	}
	d.point("2.2", "agent-dial", "101", "Ada")
	d.until(ctx, "2.2", "window window-lost")
	becomes(t, ctx, `document.querySelector("#offers .offer")`)
	do(t, ctx, chromedp.Click(chromedp.CSS("#offers .primary")))
	d.until(ctx, "2.2", "window shown")
	d.point("2.2", "call-hangup", "", "Ada")
	d.point("3.3", "agent-dial", "101", "Eve")
	d.until(ctx, "3.3", "window shown")
}

// TestFrameRefused has pages that allow no frame, by either header. Browsers do not report it: the first pop leaves the frame when
// ringhook has read the page's headers, the next ones never enter it, and each goes to the next way, or is offered in the window.
func TestFrameRefused(t *testing.T) {
	for path, more := range map[string]string{"x-frame-options": "", "frame-ancestors": `else = ["notice", "window"]`} {
		t.Run(path, func(t *testing.T) {
			d := start(t, "card", "", "[[pop]]\nname = \"framed\"\nevents = [\"agent-answer\"]\nopen = \"frame\"\nurl = \"CRM/"+path+"?phone=%callerid%\"\n"+more+"\n")
			ctx := browser(t)
			d.signIn(ctx, "7")
			for _, call := range []string{"1.1", "2.2"} {
				d.point(call, "agent-dial", "101", "Zoë")
				d.point(call, "agent-answer", "101", "Zoë")
				d.until(ctx, call, "frame refused")
				if more != "" {
					d.until(ctx, call, "notice blocked")
				}
				if offered := more == "" || call == "1.1"; offered { // else the window is open from the first pop
					becomes(t, ctx, `document.querySelector("#offers .offer")`)
					do(t, ctx, chromedp.Click(chromedp.CSS("#offers .primary")))
				}
				d.until(ctx, call, "window shown")
				becomes(t, ctx, `!document.querySelector("#page iframe")`)
				trace := d.tell("trace", call)
				if !strings.Contains(strings.ToLower(trace), "ms: "+path) && !strings.Contains(trace, "ms: Content-Security-Policy: "+path) || call == "2.2" && strings.Contains(trace, "frame shown") {
					t.Errorf("%s", trace)
				}
				d.point(call, "call-hangup", "", "Zoë")
				becomes(t, ctx, `document.querySelector("#offers").hidden`)
			}
		})
	}
}

// TestSameMoment has two agents pick up at the same moment: Asterisk connects one of them, and the end of the other's ring is
// reported at the same moment.
func TestSameMoment(t *testing.T) {
	d, anna, boris := start(t, "frame", ""), browser(t), browser(t)
	d.signIn(anna, "7")
	d.signIn(boris, "8")
	// Each phone has a channel of its own, as those of a queue's members.
	of := func(point, channel, phone string) {
		d.tell("call", point, "--uniqueid", channel, "--from", "02079460142", "--name", "Zoë", "--channel", "Local/"+phone+"@agents-"+channel, "linkedid=1.1", "agent_phone="+phone)
	}
	d.point("1.1", "queue-dial", "", "Zoë")
	of("agent-dial", "1.2", "101")
	of("agent-dial", "1.3", "102")
	for _, ctx := range []context.Context{anna, boris} {
		becomes(t, ctx, `document.querySelector("#page iframe")`)
	}
	var answering sync.WaitGroup
	answering.Go(func() { of("agent-answer", "1.3", "102") })
	answering.Go(func() { of("agent-hangup", "1.2", "101") })
	answering.Wait()
	becomes(t, boris, `document.querySelector("#call .chip.good") && document.querySelector("#call h1").textContent === "Zoë" && document.querySelector("#page iframe")`)
	becomes(t, anna, `document.querySelector("#recent").textContent.includes("Zoë") && document.querySelector("#call .empty") && document.querySelector("#page .empty")`)
	for _, ctx := range []context.Context{anna, boris} {
		if n := len(d.targets(ctx)); n != 0 {
			t.Errorf("%d windows are open", n)
		}
	}
	if trace := d.tell("trace", "1.1"); strings.Count(trace, "rule card, force") != 2 {
		t.Errorf("not one pop for each agent:\n%s", trace)
	}
	d.point("1.1", "call-hangup", "", "Zoë")
	becomes(t, boris, `document.querySelector("#recent").textContent.includes("Zoë")`)
}

// TestRestartAndReload restarts ringhook in a call and reloads the page: the card comes back from Asterisk, and nothing pops again.
func TestRestartAndReload(t *testing.T) {
	d, ctx, _ := inCall(t, "frame", "")
	d.restart()
	do(t, ctx, chromedp.Reload())
	d.live(ctx)
	becomes(t, ctx, `document.querySelector("#call h1")?.textContent && document.querySelector("#call .chip.good") && document.querySelector("#hold")`)
	if trace := d.tell("trace", "1.1"); strings.Count(trace, "rule card, force") != 1 {
		t.Errorf("a restart pops again:\n%s", trace)
	}
}
