package dialplan

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"ringhook/fastagi"
	"ringhook/lookup"
	"ringhook/lookup/number"
)

// FuzzRequest checks that no argument and no query string crashes a point, and that parsed values are
// text without control characters, within the limits.
func FuzzRequest(f *testing.F) {
	f.Add("queue-dial", "queue_id=500&callerid=%2B49", "linkedid=1.1")
	f.Add("agent-dial", "", "agent_phone=Local/101@agents/n")
	f.Add("event", "name=x&a=%ff%00", "b=\x1b[2J")
	f.Add("queue-dial", "queue_id=%zz;", "=")
	f.Fuzz(func(t *testing.T, point, query, arg string) {
		env := &fastagi.Env{Point: point, Query: query, Args: []string{arg}, UniqueID: "1.1"}
		r, err := parseRequest(env, nil)
		if err != nil {
			return
		}
		for name, v := range r.args {
			if len(v) > maxValue || !utf8.ValidString(v) || strings.ContainsFunc(v, isControl) {
				t.Errorf("%s of %q is %q", name, arg, v)
			}
		}
		s := &transition{request: r, call: newCall(Identity{LinkedID: "1.1"}, time.Now()), settings: newSettings(Settings{}), now: time.Now(), numbers: numbersOnce}
		s.mergeChannel()
		r.spec.step(s)
		for _, ev := range s.events {
			if ev.ID == "" || ev.Params["event_id"] != ev.ID {
				t.Errorf("%s has id %q and parameter %v", ev.Name, ev.ID, ev.Params["event_id"])
			}
		}
	})
}

var numbersOnce = number.NewReader(number.Config{Country: "DE", Language: "en"})

// FuzzAllowlist checks that of any answer only names of the contract reach the channel, and no value with
// control or direction override characters.
func FuzzAllowlist(f *testing.F) {
	f.Add("CALLERID(name)", "Zoë\u202e\r\nSET VARIABLE X 1")
	f.Add("__call_info", "x")
	f.Add("SHELL(id)", "x")
	f.Add("QUEUE_PRIO", "9223372036854775808")
	f.Fuzz(func(t *testing.T, name, value string) {
		set, _ := newSettings(Settings{}).filterAnswer(newCall(Identity{LinkedID: "1.1"}, time.Now()), []lookup.Var{{Name: name, Value: value}})
		for _, v := range set {
			if _, ok := contract[strings.TrimPrefix(v.Name, "__")]; !ok || strings.HasPrefix(name, "_") {
				t.Errorf("%q sets %q", name, v.Name)
			}
			if !utf8.ValidString(v.Value) || strings.ContainsFunc(v.Value, func(c rune) bool { return visible(c) < 0 }) {
				t.Errorf("%q is set to %q", name, v.Value)
			}
		}
	})
}
