package hooks

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
)

// usePreset returns the hook of a preset.
func usePreset(t *testing.T, name string, change func(*Config)) *hook {
	t.Helper()
	text, ok := Preset(name)
	if !ok {
		t.Fatalf("there is no preset %q", name)
	}
	c := DefaultConfig()
	c.Name, c.URL = "crm", Addresses{"https://crm.example/cti"}
	meta, err := toml.Decode(string(text), &c)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if keys := meta.Undecoded(); len(keys) > 0 {
		t.Errorf("%s: unknown keys %v", name, keys)
	}
	for setting, value := range c.Settings {
		if value == "(required)" {
			c.Settings[setting] = "77"
		}
	}
	if c.Password != "" {
		c.Username = "key"
	}
	if change != nil {
		change(&c)
	}
	return testBuild(t, &c)
}

// ofProduct returns what events carry for a preset of a product that knows customers and users.
func ofProduct(name string) map[string]any {
	text, _ := Preset(name)
	if strings.Contains(string(text), "remembered_by") {
		return map[string]any{"call_log": "log-7", "crm_call": "externalCall.1", "crm_finished": "yes", "call_uuid": "b840bc6a-0490-51ef-9690-9d1131bed071", recordingFile: "/monitor/17.wav"}
	}
	if !strings.Contains(string(text), "call_uuid") && !strings.Contains(string(text), "customer_id") && !strings.Contains(string(text), "agent_id_") {
		return nil
	}
	product, _, _ := strings.Cut(name, "-")
	values := map[string]any{"call_uuid": "b840bc6a-0490-51ef-9690-9d1131bed071", "agent_id_" + product: "9101", "agent_id_" + strings.ReplaceAll(name, "-", "_"): "9101"}
	if !strings.HasSuffix(name, "-unknown") {
		values["customer_id"], values["customer_type"] = "4711", "Contact"
	}
	return values
}

// story returns an event of each kind, from an incoming call to a queue, one to a menu, and an outgoing
// call.
func story() []*Event {
	at := time.Date(2026, 1, 15, 9, 30, 0, 250e6, time.UTC)
	incoming := map[string]any{
		"linkedid": "1768469300.17", "uniqueid": "1768469300.17", "direction": "incoming", "callerid": "+79161234567",
		"callerid_name": "Анна & Co", "directid": "+74951112233", "region_name": "Moscow", "region_time": "12:30",
	}
	queue := with(incoming, map[string]any{"queue_id": "500", "queue_name": "Sales", "transfer_uniqueid": "1768469200.3"})
	agent := with(queue, map[string]any{"agent_id": "7", "agent_phone": "101", "agent_name": "Boris", "agent_info": "b@example.com", "call_info": "https://crm.example/c?id=7"})
	outgoing := map[string]any{
		"linkedid": "1768469900.40", "uniqueid": "1768469900.40", "direction": "outgoing", "agent_id": "7", "agent_phone": "101",
		"agent_name": "Boris", "dialed": "+79037654321", "transfer_uniqueid": "",
	}
	ended := map[string]any{"duration": int64(102), "billsec": int64(80), "talk_time": int64(80), "recording_file": "/rec/17.wav", "recording_url": "https://pbx.example/rec/17.wav", "cause": int64(16)}
	var events []*Event
	add := func(name string, seq int, sets ...map[string]any) {
		ev := &Event{ID: "msg_" + name, Name: name, Seq: seq, Time: at.Add(time.Duration(len(events)) * time.Second), Final: name == "call-hangup"}
		ev.Params = with(sets...)
		ev.LinkedID = ev.Params["linkedid"].(string)
		maps.Copy(ev.Params, map[string]any{
			"event": name, "event_id": ev.ID, "seq": int64(seq), "final": ev.Final, "time": ev.Time.Format(time.RFC3339),
			"started": at.Add(-time.Minute).Format(time.RFC3339Nano),
		})
		events = append(events, ev)
	}
	status := func(s string) map[string]any { return map[string]any{"status": s} }
	add("call-dial", 1, incoming)
	add("queue-dial", 1, queue)
	add("agent-dial", 2, agent)
	add("agent-cancel", 3, agent, map[string]any{"ring_time": int64(9)}, status("busy"))
	add("agent-answer", 4, agent, map[string]any{"wait_time": int64(14), "ring_time": int64(5)})
	add("call-answer", 4, incoming, map[string]any{"agent_phone": "101", "agent_name": "Boris"})
	add("agent-hangup", 5, agent, ended, map[string]any{"wait_time": int64(14), "ring_time": int64(5)}, status("answer"))
	add("queue-hangup", 6, queue, map[string]any{"wait_time": int64(14)}, status("answer"))
	add("queue-abandon", 6, queue, map[string]any{"wait_time": int64(31)}, status("cancel"))
	add("queue-failover", 6, queue, map[string]any{"wait_time": int64(60)}, status("noanswer"))
	add("ivr-hangup", 3, incoming, map[string]any{"ivr": "main", "wait_time": int64(8)}, status("cancel"))
	add("call-hangup", 7, agent, ended, map[string]any{"wait_time": int64(14)}, status("answer"))
	add("call-hangup", 7, queue, map[string]any{"wait_time": int64(31), "duration": int64(31), "billsec": int64(0)}, status("cancel"))
	add("call-hangup", 4, incoming, map[string]any{"duration": int64(9), "billsec": int64(0)}, status("cancel")) // after a menu
	add("agent-custom", 1, outgoing)
	add("agent-dialout-answer", 2, outgoing, map[string]any{"ring_time": int64(6)})
	add("agent-dialout-hangup", 3, outgoing, ended, map[string]any{"ring_time": int64(6)}, status("answer"))
	add("agent-dialout-hangup", 3, outgoing, map[string]any{"ring_time": int64(20), "duration": int64(20), "billsec": int64(0)}, status("busy"))
	add("call-hangup", 4, outgoing, ended, status("answer"))
	return events
}

// heldBack returns events that presets with a condition do not send: those of internal calls, a transfer to
// an outside number, and the second report of an answer.
func heldBack() []*Event {
	var events []*Event
	for _, direction := range []string{"internal", "incoming"} {
		for seq, name := range []string{
			"agent-custom", "agent-dial", "agent-answer", "agent-dialout-answer", "agent-hangup", "agent-cancel", "agent-dialout-hangup", "call-answer", "call-hangup",
		} {
			transfer := name == "agent-custom" || strings.HasPrefix(name, "agent-dialout-") || name == "call-answer"
			if direction == "internal" || transfer {
				events = append(events, &Event{Name: name, Seq: seq + 3, Params: map[string]any{
					"event": name, "direction": direction, "seq": int64(seq + 3), "status": "answer", "dialed": "102", "talk_time": int64(90),
				}})
			}
		}
	}
	// The phone that answers has points of its own, so agent-answer follows.
	return append(events, &Event{Name: "call-answer", Seq: 3, Params: map[string]any{
		"event": "call-answer", "direction": "incoming", "seq": int64(3), "status": "answer", "callerid": "+79161234567", "agent_phone": "101", "ring_started": "2026-01-15T09:30:00.000Z",
	}})
}

func with(sets ...map[string]any) map[string]any {
	all := make(map[string]any)
	for _, set := range sets {
		maps.Copy(all, set)
	}
	return all
}

// TestPresetsHoldBack checks that presets do not send internal calls and transfers as calls of customers, and no answer
// twice. Linia24 has no such rule.
func TestPresetsHoldBack(t *testing.T) {
	for _, name := range Presets() {
		if name == "standard" || name == "linia24" {
			continue
		}
		d := &Dispatcher{subs: newSubscriptions([]*hook{usePreset(t, name, nil)})}
		for _, ev := range heldBack() {
			if d.Match(ev) != nil {
				t.Errorf("%s: sends %s with %v", name, ev.Name, ev.Params)
			}
		}
	}
}

func TestPresets(t *testing.T) {
	names := Presets()
	if len(names) < 16 || !slices.IsSorted(names) {
		t.Errorf("got %q", names)
	}
	if _, ok := Preset("../preset"); ok {
		t.Error("a file outside the folder of presets is a preset")
	}
	for _, name := range names {
		h := usePreset(t, name, func(c *Config) {
			if name == "almog-soap" {
				c.Settings["password"] = "p&ss"
			}
		})
		var b strings.Builder
		sent := make(map[string]bool)
		subs := newSubscriptions([]*hook{h})
		d := &Dispatcher{subs: subs}
		play := func(more map[string]any, skip map[string]bool) {
			for _, ev := range story() {
				ev.Params = with(ev.Params, more)
				if d.Match(ev) == nil || skip[ev.Name] {
					continue
				}
				sent[ev.Name] = true
				b.WriteString("=== " + ev.Name + "\n" + strings.TrimSuffix(written(t, h, ev), "\n") + "\n\n")
			}
		}
		product := ofProduct(name)
		play(product, nil)
		// What is sent for callers whom the lookup did not find alone.
		delete(product, "customer_id")
		play(product, maps.Clone(sent))
		for _, event := range h.cfg.Events {
			if !sent[event] && !isPattern(event) {
				t.Errorf("%s: nothing is sent for %s", name, event)
			}
		}
		compare(t, "presets/"+name, b.String())
	}
}
