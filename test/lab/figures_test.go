//go:build e2e

package lab

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"ringhook/desk/figures"
	"ringhook/store"
)

// counters are Asterisk's own of a queue, and those of one member.
type counters struct{ completed, abandoned, taken int }

var (
	queueCounters = regexp.MustCompile(`C:(\d+), A:(\d+)`)
	memberCounter = regexp.MustCompile(`Agent (\d+) .*has taken (\d+) calls`)
)

// counted reads what `queue show` says.
func (a *asterisk) counted(t *testing.T, queue, phone string) (c counters) {
	t.Helper()
	text := color.ReplaceAllString(a.cli(t, "queue show "+queue), "")
	m := queueCounters.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("queue show has no counters:\n%s", text)
	}
	c.completed, _ = strconv.Atoi(m[1])
	c.abandoned, _ = strconv.Atoi(m[2])
	for _, m := range memberCounter.FindAllStringSubmatch(text, -1) {
		if m[1] == phone {
			c.taken, _ = strconv.Atoi(m[2])
		}
	}
	return c
}

// figures returns ringhook's figures of a queue, and those of one phone in it, from the calls that the server keeps.
func (l *lab) figures(t *testing.T, queue, phone string) (q figures.Queue, a figures.Agent) {
	t.Helper()
	s, err := store.OpenTool(filepath.Join(l.server.folder, "data"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b := figures.New(s, 20*time.Second, slog.New(slog.DiscardHandler))
	err = b.Update()
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	today := b.Today(figures.Scope{Queues: []string{queue}, Others: true})
	for _, one := range today.Agents {
		if one.Phone == phone {
			a = one
		}
	}
	return today.Queues[0], a
}

// figuresAgree plays callers who are answered, give up, are kicked, and leave by a timeout, and compares the figures with
// Asterisk's counters. Asterisk counts the last two kinds as abandoned; ringhook counts them as left.
func figuresAgree(t *testing.T, l *lab) {
	q, empty := l.queue(t), l.queue(t)
	answers := q.phones[0]
	type both struct {
		own      figures.Queue
		agent    figures.Agent
		asterisk counters
	}
	read := func(id string) (b both) {
		b.own, b.agent = l.figures(t, id, answers)
		b.asterisk = l.asterisk.counted(t, id, answers)
		return b
	}
	var before, beforeEmpty both
	eventually(t, "the visits of earlier tests have ended", func() bool {
		before, beforeEmpty = read(q.id), read(empty.id)
		return before.own.Waiting == 0 && beforeEmpty.own.Waiting == 0
	})

	left := l.call(t, empty.did, caller{Number: l.caller(t), GiveUp: 33 * time.Second}) // no phone is there; the queue's timeout is 30 s
	l.phone(t, answers, phone{Ring: 5 * time.Second})
	for range 2 {
		l.call(t, q.did, caller{Number: l.caller(t), Talk: 2 * time.Second}).wait(t)
	}
	l.call(t, q.did, caller{Number: l.caller(t), GiveUp: 2 * time.Second}).wait(t)
	l.waiting(t, q, 0)
	kicked := l.call(t, q.did, caller{Number: l.caller(t), Refused: "486"})
	waiting := l.waiting(t, q, 1)
	l.command(t, "POST", "/queues/"+q.id+"/kick", fmt.Sprintf(`{"calls": [%q]}`, waiting[0].UniqueID), 200, `"result":"ok"`)
	kicked.wait(t)
	left.wait(t)

	var after, afterEmpty both
	eventually(t, "all visits have ended", func() bool {
		after, afterEmpty = read(q.id), read(empty.id)
		return after.own.Waiting == 0 && afterEmpty.own.Waiting == 0 && after.asterisk.completed-before.asterisk.completed == 2
	})
	check := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %d, want %d", what, got, want)
		}
	}
	t.Logf("%s: figures %+v, Asterisk %+v, before %+v", q.id, after.own, after.asterisk, before.asterisk)
	t.Logf("%s: figures %+v, Asterisk %+v, before %+v", empty.id, afterEmpty.own, afterEmpty.asterisk, beforeEmpty.asterisk)
	check("offered", after.own.Offered-before.own.Offered, 4)
	check("answered", after.own.Answered-before.own.Answered, 2)
	check("answered and completed", after.own.Answered-before.own.Answered, after.asterisk.completed-before.asterisk.completed)
	check("answered by the phone", after.agent.Answered-before.agent.Answered, after.asterisk.taken-before.asterisk.taken)
	check("abandoned", after.own.Abandoned-before.own.Abandoned, 1)
	check("left by a command", after.own.Left-before.own.Left, 1)
	lost := func(b both) int { return b.own.Abandoned + b.own.Left }
	check("abandoned or left, and Asterisk's abandoned", lost(after)-lost(before), after.asterisk.abandoned-before.asterisk.abandoned)
	check("left by a timeout", afterEmpty.own.Left-beforeEmpty.own.Left, 1)
	check("not abandoned by a timeout", afterEmpty.own.Abandoned-beforeEmpty.own.Abandoned, 0)
	check("left by a timeout, and Asterisk's abandoned", lost(afterEmpty)-lost(beforeEmpty), afterEmpty.asterisk.abandoned-beforeEmpty.asterisk.abandoned)
	if a := after.own.Average; a == nil || *a < 1 {
		t.Errorf("average talk time: %v", a)
	}
}
