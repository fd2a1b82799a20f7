//go:build e2e

package lab

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// book is what a receiver got: each event once, by its id.
type book struct {
	mu      sync.Mutex
	events  map[string]event
	bodies  map[string][sha256.Size]byte
	last    map[string]int // seq of the latest first delivery of a call
	repeats int
	wrong   []string
}

func newBook() *book {
	return &book{events: map[string]event{}, bodies: map[string][sha256.Size]byte{}, last: map[string]int{}}
}

// ServeHTTP notes a delivery, and what is wrong with it.
func (b *book) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // ringhook was killed while it sent
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil || e.text("event_id") != r.Header.Get("webhook-id") {
		b.note("a delivery with the id %s: %v\n%q", r.Header.Get("webhook-id"), err, body)
		return
	}
	sum, id, call := sha256.Sum256(body), e.text("event_id"), e.text("linkedid")
	b.mu.Lock()
	defer b.mu.Unlock()
	if before, known := b.bodies[id]; known {
		b.repeats++
		if before != sum {
			b.wrong = append(b.wrong, fmt.Sprintf("%s: %s of seq %d was repeated with another body", call, e.text("event"), e.number("seq")))
		}
		return
	}
	b.events[id], b.bodies[id] = e, sum
	if seq := e.number("seq"); seq > b.last[call] {
		b.last[call] = seq
	} else {
		b.wrong = append(b.wrong, fmt.Sprintf("%s: %s of seq %d came first after %d", call, e.text("event"), seq, b.last[call]))
	}
}

func (b *book) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
}

// calls are the events by call, in the order of their seq.
func (b *book) calls() map[string][]event {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := map[string][]event{}
	for _, e := range b.events {
		calls[e.text("linkedid")] = append(calls[e.text("linkedid")], e)
	}
	for _, events := range calls {
		slices.SortFunc(events, func(a, b event) int { return a.number("seq") - b.number("seq") })
	}
	return calls
}

// asked is one point as the dialplan saw it.
type asked struct {
	linkedid, uniqueid, point, argument, status string
	took                                        time.Duration
}

// kept reports whether the dialplan got an acknowledgement of the point's event.
func (a asked) kept() bool { return a.status != "" }

// askedPoints reads what Asterisk logged of the points.
func (a *asterisk) askedPoints(t *testing.T) (all []asked) {
	t.Helper()
	f, err := os.Open(filepath.Join(a.folder, "log", "full"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, line, ok := strings.Cut(lines.Text(), ": fire|")
		if !ok {
			continue
		}
		fields := strings.Split(line, "|")
		if len(fields) != 7 {
			t.Fatalf("Asterisk logged a point as %q", line)
		}
		if fields[5] == "" {
			continue // hung up before anything was asked
		}
		began, err := strconv.ParseFloat(fields[5], 64)
		ended, err2 := strconv.ParseFloat(fields[6], 64)
		if err != nil || err2 != nil {
			t.Fatalf("Asterisk logged a point as %q", line)
		}
		all = append(all, asked{fields[0], fields[1], fields[2], fields[3], fields[4], time.Duration((ended - began) * float64(time.Second))})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// proof compares what the dialplan was promised with what a receiver got.
type proof struct {
	points map[string][]asked // by call
	events map[string][]event // by call
	wrong  []string
}

func (p *proof) say(call, format string, args ...any) {
	p.wrong = append(p.wrong, call+": "+fmt.Sprintf(format, args...))
}

// prove returns everything that does not hold.
func prove(points []asked, books map[string]*book) (wrong []string) {
	byCall := map[string][]asked{}
	for _, a := range points {
		byCall[a.linkedid] = append(byCall[a.linkedid], a)
	}
	for name, b := range books {
		p := &proof{points: byCall, events: b.calls(), wrong: b.wrong}
		p.prove()
		for _, w := range p.wrong {
			wrong = append(wrong, w+" ("+name+")")
		}
	}
	return wrong
}

func (p *proof) prove() {
	for _, call := range slices.Sorted(maps.Keys(p.points)) {
		p.promised(call)
	}
	for _, call := range slices.Sorted(maps.Keys(p.events)) {
		if len(p.points[call]) == 0 {
			p.say(call, "events of a call that never was: %v", eventNames(p.events[call]))
		}
		p.consistent(call)
	}
}

// find counts the events of a call by name, and by channel if they name one.
func (p *proof) find(call, uniqueid string, names ...string) (n int) {
	for _, e := range p.events[call] {
		if slices.Contains(names, e.text("event")) && (uniqueid == "" || e.text("uniqueid") == uniqueid) {
			n++
		}
	}
	return n
}

// rang counts what came of a point at the rings of one phone: its own event, or an end.
func (p *proof) rang(call, phone, point string) (n int) {
	for _, e := range p.events[call] {
		if e.text("agent_phone") == phone && slices.Contains([]string{point, "agent-hangup", "agent-cancel"}, e.text("event")) {
			n++
		}
	}
	return n
}

// kept reports whether a point of a channel, or of any, was acknowledged.
func (p *proof) kept(call, uniqueid, point string) bool {
	return slices.ContainsFunc(p.points[call], func(a asked) bool {
		return a.kept() && a.point == point && (uniqueid == "" || a.uniqueid == uniqueid)
	})
}

// promised: what a point was promised for has come. The end of a visit or of an
// outgoing call has no event if its beginning was not reported, and it may be reported by
// the end of the call. A phone that was rung is reported in any case.
func (p *proof) promised(call string) {
	for _, a := range p.points[call] {
		if !a.kept() {
			continue
		}
		here, names := a.uniqueid, []string{a.point}
		// Asterisk runs h alone, without a phone, on a member's channel that is hung up before its first line.
		if phone, ok := strings.CutPrefix(a.argument, "agent_phone="); ok && phone != "" && a.point != "agent-dial" {
			if p.rang(call, phone, a.point) == 0 {
				p.say(call, "%s %s on %s was answered %s, and nothing came of that phone; there are %v", a.point, a.argument, a.uniqueid, a.status, eventNames(p.events[call]))
			}
		}
		switch a.point {
		case "call-dial", "queue-dial", "agent-dial", "agent-custom", "ivr-hangup", "call-hangup":
		case "call-answer":
			here = ""
		case "queue-hangup":
			if !p.kept(call, here, "queue-dial") {
				continue
			}
		case "agent-hangup":
			if !p.kept(call, here, "agent-dial") {
				continue
			}
			names = append(names, "agent-cancel")
		case "agent-dialout-hangup":
			if !p.kept(call, here, "agent-custom") {
				continue
			}
		case "agent-answer":
			if here = ""; !p.kept(call, "", "agent-dial") {
				continue
			}
			names = append(names, "agent-hangup", "agent-cancel")
		case "agent-dialout-answer":
			if here = ""; !p.kept(call, "", "agent-custom") {
				continue
			}
			names = append(names, "agent-dialout-hangup")
		default:
			p.say(call, "point %s is not one of the sample's", a.point)
		}
		if p.find(call, here, names...) == 0 {
			p.say(call, "%s %s on %s was answered %s, and no event of it came; there are %v", a.point, a.argument, a.uniqueid, a.status, eventNames(p.events[call]))
		}
	}
	if n := p.find(call, "", "call-hangup"); n > 1 || n == 0 && p.kept(call, "", "call-hangup") {
		p.say(call, "call-hangup came %d times: %v", n, eventNames(p.events[call]))
	}
}

// consistent: a call's events are numbered without a gap, and its end leaves
// nothing open, and says of the call what it was.
func (p *proof) consistent(call string) {
	events := p.events[call]
	for i, e := range events {
		if e.number("seq") != i+1 {
			p.say(call, "%s has seq %d where %d should be: %v", e.text("event"), e.number("seq"), i+1, eventNames(events))
			return
		}
	}
	end := slices.IndexFunc(events, func(e event) bool { return e.text("event") == "call-hangup" })
	if end < 0 {
		return
	}
	for _, e := range events {
		if e["correction"] != nil {
			continue
		}
		var ends []string
		switch e.text("event") {
		case "agent-dial":
			ends = []string{"agent-hangup", "agent-cancel"}
		case "agent-custom":
			ends = []string{"agent-dialout-hangup"}
		case "queue-dial":
			ends = []string{"queue-hangup"}
		default:
			continue
		}
		if n := p.find(call, e.text("uniqueid"), ends...); n != 1 {
			p.say(call, "%s on %s has %d ends: %v", e.text("event"), e.text("uniqueid"), n, eventNames(events))
		}
	}
	for name, s := range allSeries {
		if s.to != events[end].text("directid") && s.to != events[end].text("dialed") {
			continue
		}
		if got := events[end].text("status"); got != s.status {
			p.say(call, "%s: call-hangup says %s: %v", name, got, eventNames(events))
		}
		if s.status == "answer" && p.find(call, "", "queue-abandon") > 0 {
			p.say(call, "%s: reported as given up, and was answered: %v", name, eventNames(events))
		}
	}
}
