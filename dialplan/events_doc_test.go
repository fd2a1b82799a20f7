package dialplan

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ringhook/hooks"
	"ringhook/lookup"
)

const eventsDoc = "../docs/events.md"

var update = flag.Bool("update", false, "write the sample of each event into "+eventsDoc)

// samples plays one call of each kind and returns its events. The first event of a name is the sample in
// the document; together the events have every parameter.
func samples(t *testing.T) []hooks.Event {
	t.Helper()
	var events []hooks.Event
	play := func(call func(p *pbx)) {
		p := newPBX(t)
		call(p)
		p.done()
		events = append(events, p.events...)
	}
	play(func(p *pbx) { // a queue call that an agent answers and transfers to a second queue
		p.at(0, "caller", CallDial)
		p.learn("CALLERID(name)", "Zoë Müller", "QUEUE_PRIO", "10", "call_info", "customer 4711",
			"agent_info", "prefers English", "match", "exact", "match_count", "1", "recording_url", "https://pbx.example/rec/1768473741.17.wav")
		p.set("caller", "MIXMONITOR_FILENAME", "/var/spool/asterisk/monitor/1768473741.17.wav")
		p.at(1, "caller", QueueDial, "queue_id=500")
		p.dial("caller", "local1")
		p.at(2, "local1", AgentDial, "agent_phone=101")
		p.dial("local1", "phone1")
		p.at(7, "phone1", AgentAnswer, "agent_phone=101")
		p.set("caller", "MEMBERINTERFACE", "Local/101@agents/n")
		p.set("caller", "QEORIGINALPOS", "2")
		p.set("caller", "QEHOLDTIME", "6")
		p.at(7, "caller", AgentAnswer)
		p.set("local1", "DIALSTATUS", "ANSWER")
		p.set("local1", "HANGUPCAUSE", "16")
		p.set("caller", "HANGUPCAUSE", "16")
		p.at(90, "local1", AgentHangup)
		p.at(90, "caller", QueueHangup)
		p.set("caller", "CDR(billsec)", "83")
		p.at(90, "caller", CallHangup)
		p.at(91, "caller", CustomEvent, "name=survey", "rating=4") // too late: a correction
	})
	play(func(p *pbx) { // the caller gives up
		p.at(0, "caller", QueueDial, "queue_id=500")
		p.dial("caller", "local1")
		p.at(1, "local1", AgentDial, "agent_phone=102")
		p.set("local1", "DIALSTATUS", "BUSY")
		p.set("local1", "HANGUPCAUSE", "17")
		p.at(4, "local1", AgentHangup)
		p.set("caller", "QEORIGINALPOS", "1")
		p.set("caller", "ABANDONED", "TRUE")
		p.set("caller", "HANGUPCAUSE", "16")
		p.at(20, "caller", QueueHangup)
		p.at(20, "caller", CallHangup)
	})
	play(func(p *pbx) { // no agent answers; the dialplan goes on to a second queue
		p.at(0, "caller", QueueDial, "queue_id=500")
		p.set("caller", "QUEUESTATUS", "TIMEOUT")
		p.set("caller", "QEORIGINALPOS", "1")
		p.at(30, "caller", QueueHangup)
		p.at(30, "caller", QueueDial, "queue_id=600")
		p.at(31, "caller", CustomEvent, "name=survey", "rating=4")
	})
	play(func(p *pbx) { // transferred by the agent, to a queue and to a colleague
		p.at(0, "caller", QueueDial, "queue_id=500")
		p.dial("caller", "local1")
		p.at(1, "local1", AgentDial, "agent_phone=101")
		p.dial("local1", "phone1")
		p.at(3, "phone1", AgentAnswer)
		p.at(10, "local1", QueueDial, "queue_id=600")
		p.dial("local1", "local2")
		p.at(11, "local2", AgentDial, "agent_phone=102")
		p.dial("local2", "phone2")
		p.at(14, "phone2", AgentAnswer)
		p.at(20, "local2", AgentCustom, "dialed=104")
		p.at(20, "local1", QueueHangup)
		p.set("local2", "DIALSTATUS", "NOANSWER")
		p.at(30, "local2", AgentDialoutHangup)
	})
	play(func(p *pbx) { // a transferred caller gives up; an agent's phone is busy meanwhile
		p.at(0, "caller", QueueDial, "queue_id=500", "transfer_uniqueid=1768473700.1")
		p.dial("caller", "local1")
		p.at(1, "local1", AgentDial, "agent_phone=102")
		p.set("local1", "DIALSTATUS", "BUSY")
		p.at(4, "local1", AgentHangup)
		p.set("caller", "ABANDONED", "TRUE")
		p.at(20, "caller", QueueHangup)
	})
	play(func(p *pbx) { // a transferred caller leaves the queue
		p.at(0, "caller", QueueDial, "queue_id=500", "transfer_uniqueid=1768473700.1")
		p.set("caller", "QUEUESTATUS", "FULL")
		p.set("caller", "HANGUPCAUSE", "17")
		p.at(5, "caller", QueueHangup)
	})
	play(func(p *pbx) { // a supervisor takes the caller out of the queue
		p.at(0, "caller", QueueDial, "queue_id=500")
		c, err := decodeCall(p.kept)
		if err != nil {
			p.t.Fatal(err)
		}
		c.Visits[0].EndedBy = "agent 9"
		if p.kept, err = c.encode(); err != nil {
			p.t.Fatal(err)
		}
		p.set("caller", "ABANDONED", "TRUE")
		p.at(20, "caller", QueueHangup)
	})
	play(func(p *pbx) { // a menu
		p.at(0, "caller", CallDial)
		p.set("caller", "HANGUPCAUSE", "16")
		p.at(9, "caller", IVRHangup, "ivr=main")
	})
	play(func(p *pbx) { // a direct call
		p.at(0, "caller", CallDial)
		p.at(0, "caller", AgentDial, "agent_phone=101")
		p.dial("caller", "phone1")
		p.at(4, "phone1", CallAnswer, "agent_phone=101")
		p.at(4, "phone1", AgentAnswer, "agent_phone=101")
		p.at(60, "caller", AgentHangup)
		p.at(60, "caller", CallHangup)
	})
	play(func(p *pbx) { // an agent calls out
		p.at(0, "agent", AgentCustom, "agent_phone=101", "dialed=02079460777")
		p.dial("agent", "trunk")
		p.at(6, "trunk", AgentDialoutAnswer)
		p.set("agent", "DIALSTATUS", "ANSWER")
		p.set("agent", "HANGUPCAUSE", "16")
		p.set("agent", "MIXMONITOR_FILENAME", "/var/spool/asterisk/monitor/1768473799.3.wav")
		p.at(66, "agent", AgentDialoutHangup)
		p.at(66, "agent", CallHangup)
	})
	return events
}

// learn adds the variables of a lookup's answer to the call, as alternating names and values.
func (p *pbx) learn(pairs ...string) {
	p.t.Helper()
	c, err := decodeCall(p.kept)
	if err != nil {
		p.t.Fatal(err)
	}
	var vars []lookup.Var
	for i := 0; i < len(pairs); i += 2 {
		vars = append(vars, lookup.Var{Name: pairs[i], Value: pairs[i+1]})
	}
	if _, refused := p.settings.filterAnswer(c, vars); len(refused) > 0 {
		p.t.Fatalf("refused: %v", refused)
	}
	if p.kept, err = c.encode(); err != nil {
		p.t.Fatal(err)
	}
}

// TestEventSamples checks the JSON of each event in docs/events.md against the events of the sample
// calls. With -update it writes the samples.
func TestEventSamples(t *testing.T) {
	doc, err := os.ReadFile(eventsDoc)
	if err != nil {
		t.Fatal(err)
	}
	written, seen := doc, map[string]bool{}
	disabled := hooks.DisabledEvent("journal", hooks.Gone, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	for _, ev := range append(samples(t), *disabled) {
		if seen[ev.Name] {
			continue
		}
		seen[ev.Name] = true
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(ev.Params); err != nil {
			t.Fatal(err)
		}
		section := regexp.MustCompile(`(?s)(\n### ` + regexp.QuoteMeta(ev.Name) + "\n.*?```json\n)(.*?)(```)")
		m := section.FindSubmatchIndex(written)
		if m == nil {
			t.Errorf("%s has no sample of %s", eventsDoc, ev.Name)
			continue
		}
		if got := written[m[4]:m[5]]; !bytes.Equal(got, b.Bytes()) {
			if !*update {
				t.Errorf("%s: the sample of %s is\n%s\nwant\n%s\n(go test ./dialplan -run TestEventSamples -update writes it)", eventsDoc, ev.Name, got, b.Bytes())
			}
			written = slices.Concat(written[:m[4]], b.Bytes(), written[m[5]:])
		}
	}
	for _, name := range Events() {
		if !seen[name] {
			t.Errorf("no sample call makes the event %s", name)
		}
	}
	if *update && !bytes.Equal(written, doc) {
		if err := os.WriteFile(eventsDoc, written, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// parameterRow matches the row of a parameter in docs/events.md: name, type, unit, events.
var parameterRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (text|integer|boolean) \\|([^|]*)\\| ([^|]+) \\| ")

// parameterDoc is a row of the table of parameters in docs/events.md.
type parameterDoc struct {
	name, kind string
	events     []string // patterns
}

// has reports whether an event has the parameter.
func (d parameterDoc) has(event string) bool {
	return slices.ContainsFunc(d.events, func(p string) bool { ok, _ := path.Match(p, event); return ok })
}

func documented(t *testing.T) (rows []parameterDoc) {
	t.Helper()
	doc, err := os.ReadFile(eventsDoc)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range parameterRow.FindAllStringSubmatch(string(doc), -1) {
		rows = append(rows, parameterDoc{m[1], m[2], strings.Split(strings.ReplaceAll(strings.TrimSpace(m[4]), "all", "*"), ", ")})
	}
	return rows
}

// TestEventParameters checks that the table of parameters in docs/events.md has every parameter, with its
// type and exactly the events that have it.
func TestEventParameters(t *testing.T) {
	kinds := map[kind]string{text: "text", integer: "integer", boolean: "boolean"}
	patterns := map[string][]string{}
	for _, row := range documented(t) {
		if k, ours := parameters[row.name]; ours && kinds[k] != row.kind {
			t.Errorf("%s: %s is %s, want %s", eventsDoc, row.name, row.kind, kinds[k])
		}
		patterns[row.name] = row.events
		holds(t, row.name, row.kind)
	}
	for _, name := range Parameters() {
		if patterns[name] == nil {
			t.Errorf("%s has no row for the parameter %s", eventsDoc, name)
		}
	}
	for name := range patterns {
		if !slices.Contains(Parameters(), name) {
			t.Errorf("%s has a row for %s, which is not a parameter", eventsDoc, name)
		}
	}

	has := map[string]map[string]bool{} // parameter, event
	for _, ev := range samples(t) {
		for name := range ev.Params {
			if !slices.Contains(Parameters(), name) {
				continue // named by the dialplan
			}
			if has[name] == nil {
				has[name] = map[string]bool{}
			}
			has[name][ev.Name] = true
		}
	}
	for name, events := range has {
		for event := range events {
			if !slices.ContainsFunc(patterns[name], func(p string) bool { ok, _ := path.Match(p, event); return ok }) {
				t.Errorf("%s: the row of %s does not name %s, which has it", eventsDoc, name, event)
			}
		}
		for _, p := range patterns[name] {
			for _, event := range Events() {
				if ok, _ := path.Match(p, event); ok && p != "*" && !events[event] {
					t.Errorf("%s: the row of %s names %s, which does not have it in any sample call", eventsDoc, name, event)
				}
			}
		}
	}
}

// holds checks that a condition accepts a parameter in its documented type.
func holds(t *testing.T, name, kind string) {
	t.Helper()
	c := hooks.DefaultConfig()
	c.Name, c.Events, c.URL = "h", []string{"*"}, hooks.Addresses{"https://crm.example/"}
	c.When = map[string]string{"text": name + " == 'x'", "integer": name + " > 1", "boolean": "not " + name}[kind]
	c.Check(func(key, problem string) {
		t.Errorf("when = %q: %s", c.When, fmt.Sprint(key, ": ", problem))
	})
}
