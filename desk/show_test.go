package desk

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ringhook/desk/framing"
	"ringhook/hooks"
	"ringhook/pops"
)

// tab is a stream without a browser.
type tab struct {
	*stream
	t *testing.T
}

// pop returns the latest message about a pop, nil if there is none.
func (b tab) pop() (last *popMessage) {
	b.t.Helper()
	for {
		select {
		case m := <-b.out:
			if _, rest, ok := strings.Cut(string(m), "event: pop\ndata: "); ok {
				last = &popMessage{}
				if err := json.Unmarshal([]byte(strings.TrimSpace(rest)), last); err != nil {
					b.t.Fatal(err)
				}
			}
		default:
			return last
		}
	}
}

// TestNextTabAndNextWay checks that a pop that no tab confirms goes from tab to tab, and then to the next way.
func TestNextTabAndNextWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.URL = "http://desk.example"
		d, live := newDesk(t, nil, cfg, testRules(t, func(c *pops.Config) { c.Else = []string{"notice"} }))
		defer live.Close()
		open := func() tab {
			s, _ := d.tab("7")
			return tab{s, t}
		}
		old, young := open(), open()
		d.focus("7", old.id)
		old.pop()
		young.pop()
		live.Heard(&hooks.Event{ID: "m1", Name: "agent-dial", LinkedID: "1.1", Time: time.Now(), Params: map[string]any{"agent_phone": "101", "callerid": "+49301", "direction": "incoming"}}, "")
		synctest.Wait()
		first, other := old.pop(), young.pop()
		if first == nil || !first.Lead || first.Way != "frame" || other == nil || other.Lead {
			t.Fatalf("first: %+v, other: %+v", first, other)
		}
		time.Sleep(cfg.Receipt)
		synctest.Wait()
		if p := young.pop(); p == nil || !p.Lead || p.Way != "frame" {
			t.Fatalf("the second tab: %+v", p)
		}
		old.pop()
		time.Sleep(cfg.Receipt)
		synctest.Wait()
		if p := old.pop(); p == nil || !p.Lead || p.Way != "notice" {
			t.Fatalf("the next way: %+v", p)
		}
		if err := d.receipt("7", first.Pop, old.id, pops.Shown); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if p := old.pop(); p != nil {
			t.Errorf("shown again: %+v", p)
		}
		live.View("7", func(s pops.Snapshot) {
			if len(s.Pops) != 1 || s.Pops[0].Life.Fate != pops.Shown || s.Pops[0].Way != pops.Notice {
				t.Errorf("got %+v", s.Pops)
			}
		})
	})
}

// TestFrameRefused checks that a pop whose page allows no frame goes to the next way, or is offered in the window; the next one at
// once, without ever being in the frame.
func TestFrameRefused(t *testing.T) {
	f := func(further []string, way, mode string) {
		synctest.Test(t, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.URL = "http://desk.example"
			d, live := newDesk(t, nil, cfg, testRules(t, func(c *pops.Config) { c.Else = further }))
			defer live.Close()
			answer := make(chan framing.Result)
			d.frames = framing.NewChecker(func(string, string, time.Time) framing.Result { return <-answer })
			s, _ := d.tab("7")
			b := tab{s, t}
			ring := func(id string) *popMessage {
				live.Heard(&hooks.Event{ID: id, Name: "agent-dial", LinkedID: id, Time: time.Now(), Params: map[string]any{"agent_phone": "101", "callerid": "+49301"}}, "")
				synctest.Wait()
				return b.pop()
			}
			p := ring("1.1")
			if p == nil || p.Way != "frame" {
				t.Fatalf("first: %+v", p)
			}
			if err := d.receipt("7", p.Pop, s.id, pops.Shown); err != nil { // as browsers do
				t.Fatal(err)
			}
			answer <- framing.Result{Known: true, Why: "X-Frame-Options: deny", Status: 200}
			synctest.Wait()
			if p := b.pop(); p == nil || p.Way != way || p.Mode != mode || !p.Lead {
				t.Errorf("after the refusal: %+v", p)
			}
			live.Heard(&hooks.Event{ID: "end", Name: "call-hangup", LinkedID: "1.1", Time: time.Now(), Final: true}, "")
			if p := ring("2.2"); p == nil || p.Way != way || p.Mode != mode {
				t.Errorf("the next pop: %+v", p)
			}
			d.leave("7", s)
			synctest.Wait()
		})
	}
	f(nil, "window", "offer")
	f([]string{"notice"}, "notice", "force")
}

// TestBlockedAndLeft checks that a tab that refuses a pop, and one that closes, pass it on at once.
func TestBlockedAndLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.URL = "http://desk.example"
		d, live := newDesk(t, nil, cfg, testRules(t, func(c *pops.Config) { c.Open, c.Else = "window", []string{"frame"} }))
		defer live.Close()
		a, _ := d.tab("7")
		b, _ := d.tab("7")
		first, second := tab{b, t}, tab{a, t}
		ring := func(id string) {
			live.Heard(&hooks.Event{ID: id, Name: "agent-dial", LinkedID: id, Time: time.Now(), Params: map[string]any{"agent_phone": "101", "callerid": "+49301"}}, "")
			synctest.Wait()
		}
		ring("1.1")
		p := first.pop()
		if p == nil || !p.Lead || p.Way != "window" {
			t.Fatalf("got %+v", p)
		}
		if err := d.receipt("7", p.Pop, first.id, pops.WindowLost); err != nil {
			t.Fatal(err)
		}
		if p := first.pop(); p == nil || !p.Lead || p.Way != "frame" {
			t.Fatalf("after the window was lost: %+v", p)
		}
		second.pop()
		ring("2.2")
		if p := first.pop(); p == nil || !p.Lead {
			t.Fatalf("got %+v", p)
		}
		second.pop()
		d.leave("7", first.stream)
		synctest.Wait()
		if p := second.pop(); p == nil || !p.Lead {
			t.Fatalf("after the first tab was closed: %+v", p)
		}
		time.Sleep(time.Minute)
	})
}

// TestSlowBrowser checks that a stream that is not read ends, and delays nothing.
func TestSlowBrowser(t *testing.T) {
	cfg := DefaultConfig()
	cfg.URL = "http://desk.example"
	d, live := newDesk(t, nil, cfg, testRules(t, nil))
	defer live.Close()
	s, _ := d.tab("7")
	for range 2 * streamRoom {
		d.Call("7", pops.CallView{LinkedID: "1.1"})
	}
	if why := <-s.gone; why != byeAge {
		t.Errorf("got %q", why)
	}
}

// TestLimits checks that tabs and streams are bounded.
func TestLimits(t *testing.T) {
	cfg := DefaultConfig()
	cfg.URL, cfg.MaxStreams = "http://desk.example", maxTabs
	d, live := newDesk(t, nil, cfg, testRules(t, nil))
	defer live.Close()
	first, _ := d.tab("7")
	for range maxTabs {
		if _, status := d.tab("7"); status != 200 {
			t.Fatalf("status %d", status)
		}
	}
	if why := <-first.gone; why != byeSleep {
		t.Errorf("the oldest tab: %q", why)
	}
	if _, status := d.tab("8"); status != 503 {
		t.Errorf("above max_streams: %d", status)
	}
}

// tab opens a stream without a browser.
func (d *Desk) tab(agent string) (*stream, int) {
	s, _, status := d.open(agent, "", "")
	return s, status
}
