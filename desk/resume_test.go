package desk

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ringhook/hooks"
	"ringhook/pops"
)

// ids returns the ids of the messages that wait in a stream.
func ids(s *stream) (list []string) {
	for {
		select {
		case m := <-s.out:
			id, _, _ := strings.Cut(strings.TrimPrefix(string(m), "id: "), "\n")
			list = append(list, id)
		default:
			return list
		}
	}
}

// TestResume checks that a tab that was away gets what it missed, and learns of a gap if that is not kept any more.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.URL = "http://desk.example"
		d, live := newDesk(t, nil, cfg, testRules(t, nil))
		defer live.Close()
		hello := func(s *stream) string {
			for {
				if m := string(<-s.out); strings.Contains(m, "event: hello") {
					return m
				}
			}
		}
		first, missed, _ := d.open("7", "", "")
		if len(missed) != 0 || !strings.Contains(hello(first), `"gap":false`) {
			t.Error("a first tab has missed something")
		}
		d.Call("7", pops.CallView{LinkedID: "1.1"})
		list := ids(first)
		last := list[len(list)-1]
		d.leave("7", first)
		d.Call("7", pops.CallView{LinkedID: "2.2"})
		d.Call("7", pops.CallView{LinkedID: "3.3"})
		second, missed, _ := d.open("7", last, "")
		if len(missed) != 2 || !strings.Contains(string(missed[0]), `"2.2"`) || !strings.Contains(string(missed[1]), `"3.3"`) {
			t.Errorf("missed: %q", missed)
		}
		if m := hello(second); !strings.Contains(m, `"gap":false`) || !strings.Contains(m, `"missed":2`) {
			t.Errorf("hello: %s", m)
		}
		d.leave("7", second)
		for _, wrong := range []string{"x", last + "9", d.epoch + "-", "0-1", d.epoch + "-99999999999999999999"} {
			s, missed, _ := d.open("7", wrong, "")
			if len(missed) != 0 || !strings.Contains(hello(s), `"gap":true`) {
				t.Errorf("the id %q: %q", wrong, missed)
			}
			d.leave("7", s)
		}
		for range maxSent + 1 {
			d.Call("7", pops.CallView{LinkedID: strings.Repeat("x", 200)})
		}
		h := d.hubs["7"]
		if len(h.sent) > maxSent || h.size > maxSentSize {
			t.Errorf("%d messages of %d bytes are kept", len(h.sent), h.size)
		}
		s, missed, _ := d.open("7", last, "")
		if len(missed) != 0 || !strings.Contains(hello(s), `"gap":true`) {
			t.Errorf("what is not kept: %d messages", len(missed))
		}
		list = ids(s)
		last = list[len(list)-1]
		d.leave("7", s)
		// An hour later nothing is kept, and no id of before is taken for one of now.
		time.Sleep(keepSent + time.Second)
		d.mu.Lock()
		d.sweep(time.Now())
		kept := len(d.hubs)
		d.mu.Unlock()
		if kept != 0 {
			t.Errorf("%d agents are kept", kept)
		}
		s, _, _ = d.open("7", last, "")
		if m := hello(s); !strings.Contains(m, fmt.Sprintf("id: %s-%d\n", d.epoch, h.seq+1)) {
			t.Errorf("after an hour: %s", m)
		}
		d.leave("7", s)
	})
}

// TestForgetEnded checks that nothing of an ended call reaches a tab once a number was erased.
func TestForgetEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.URL = "http://desk.example"
		d, live := newDesk(t, nil, cfg, testRules(t, nil))
		defer live.Close()
		tab, _, _ := d.open("7", "", "")
		last := ids(tab)[0]
		for _, name := range []string{"agent-dial", "call-hangup"} {
			live.Heard(&hooks.Event{ID: name, Name: name, LinkedID: "1.1", Time: time.Now(), Final: name == "call-hangup", Params: map[string]any{"agent_phone": "101", "callerid": "+4930123456"}}, "")
			synctest.Wait()
		}
		connect := func() (all string) {
			t.Helper()
			s, missed, _ := d.open("7", last, "")
			for _, m := range missed {
				all += string(m)
			}
			for len(s.out) > 0 {
				all += string(<-s.out)
			}
			d.leave("7", s)
			return all
		}
		if got := connect(); strings.Count(got, "+4930123456") < 2 { // as messages, and in the snapshot
			t.Fatalf("the call is not kept: %s", got)
		}
		live.ForgetEnded()
		d.ForgetSent()
		if why := <-tab.gone; why != byeAge {
			t.Errorf("the tab got %s", why)
		}
		d.leave("7", tab)
		if got := connect(); strings.Contains(got, "+4930123456") || !strings.Contains(got, `"gap":true`) || !strings.Contains(got, `"recent":[]`) {
			t.Errorf("after the erasure: %s", got)
		}
	})
}

// TestManyTabs opens 40 tabs of a browser over HTTP/1.1: the ones that were focused last have a stream, the others sleep
// until the agent looks at them, and none takes its place from another by itself.
func TestManyTabs(t *testing.T) {
	cfg := DefaultConfig()
	cfg.URL = "http://desk.example"
	d, live := newDesk(t, nil, cfg, testRules(t, nil))
	defer live.Close()
	var tabs []*stream
	for range 40 {
		s, _, status := d.open("7", "", "session")
		if status != 200 {
			t.Fatalf("status %d", status)
		}
		tabs = append(tabs, s)
		for _, old := range tabs {
			select {
			case why := <-old.gone:
				if why != byeSleep {
					t.Errorf("a tab ends with %q", why)
				}
				d.leave("7", old)
			default:
			}
		}
	}
	if n := d.Desks("7"); n != maxPlain {
		t.Errorf("%d tabs have a stream", n)
	}
	if _, _, status := d.open("7", "", "another browser"); status != 200 || d.Desks("7") != maxPlain+1 {
		t.Errorf("another browser: %d, %d tabs", status, d.Desks("7"))
	}
}
