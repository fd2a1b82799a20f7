package hooks

import (
	"strings"
	"testing"
)

// TestCondition checks the results of conditions.
func TestCondition(t *testing.T) {
	ev := &Event{Name: "agent-hangup", LinkedID: "1.2", Seq: 4, Final: true, Params: map[string]any{
		"talk_time": int64(7), "direction": "incoming", "queue_id": "500", "agent_name": "Анна", "vip": "1",
		"customer": int64(5), "cause": "16", "callerid": "",
	}}
	f := func(text string, want bool) {
		t.Helper()
		c, err := parseCondition(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		if got, err := c.holds(ev); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	f("talk_time < 10 and direction == 'incoming'", true)
	f("talk_time >= 10", false)
	f("talk_time / 2 > 3", true)
	f("queue_id in ['500', '501']", true)
	f(`agent_name startsWith "Ан"`, true)
	f("lower(agent_name) == 'анна'", true)
	f("final", true)
	f("seq == 4 && event == 'agent-hangup' && linkedid == '1.2'", true)
	f("wait_time == 0", true)
	f("status == ''", true)
	f("vip == '1'", true)
	f("customer == '5'", true)
	f("cause == 16", true)
	f("len(callerid) == 0", true)
	f("agent_name matches '^А'", true)
	f("true", true)
	f("direction == 'incoming' ? talk_time > 100 : true", false)
}

// TestConditionRefused checks that a condition that may not end is refused (T-CFG-03).
func TestConditionRefused(t *testing.T) {
	for _, text := range []string{
		"", "1 +", "talk_time", "'x'", "talk_time == 'x'", "final > 1", "exec('x')", "all(1..9, # > 0)", "repeat('x', 1000000) == ''",
		"map(1..1000000, #) == []", "sum(1..1000000) > 1", "now() > 1",
		"callerid matches '" + strings.Repeat(".{1000}", 30) + "'", "callerid matches '('", "callerid matches agent_name", "callerid matches lower('a')",
	} {
		if _, err := parseCondition(text); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
}

// TestConditionMemory checks the limit of a condition's memory.
func TestConditionMemory(t *testing.T) {
	c, err := parseCondition("len(0..talk_time) > 1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.holds(&Event{Params: map[string]any{"talk_time": int64(1 << 40)}}); err == nil {
		t.Error("a list of 2^40 numbers was created")
	}
}

func FuzzCondition(f *testing.F) {
	f.Add("talk_time < 10 and direction == 'incoming'", "incoming", int64(3))
	f.Add("queue_id in ['500']", "500", int64(0))
	f.Add("let x = 1; x == seq", "", int64(1))
	f.Fuzz(func(t *testing.T, text, s string, n int64) {
		c, err := parseCondition(text)
		if err != nil {
			return
		}
		c.holds(&Event{Seq: int(n), Params: map[string]any{"talk_time": n, "direction": s, "queue_id": s}})
	})
}
