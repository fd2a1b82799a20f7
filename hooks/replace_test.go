package hooks_test

import (
	"context"
	"encoding/pem"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
)

// replace returns a dispatcher that replaces another, like a reload.
func replace(t *testing.T, old *hooks.Dispatcher, outbox hooks.Outbox, cfgs ...hooks.Config) *hooks.Dispatcher {
	t.Helper()
	d, err := hooks.New(cfgs, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	d.Replace(old)
	t.Cleanup(func() { d.Close(context.Background()) })
	return d
}

// TestReplace checks that a reload does not interrupt unchanged hooks, that a changed hook starts after the
// attempt of its old configuration has ended, and that a receiver that hangs delays neither the reload nor
// another hook.
func TestReplace(t *testing.T) {
	crm, slow, outbox := hooktest.NewReceiver(t), hooktest.NewReceiver(t), hooktest.NewOutbox()
	answerCRM, answerSlow := make(chan struct{}), make(chan struct{})
	crm.Play(hooktest.Step{Wait: answerCRM})
	slow.Play(hooktest.Step{Wait: answerSlow})
	same, changed := hookTo("same", crm.URL()), hookTo("slow", slow.URL())
	same.Timeout, changed.Timeout = 60e9, 60e9
	first, _ := start(t, outbox, same, changed)
	held := outbox.Add(event("1.1", 1), "same", "slow")
	first.WakeAll()
	arrived(t, crm, 1)
	arrived(t, slow, 1)

	changed.Headers = map[string]string{"X-Second": "yes"}
	second := replace(t, first, outbox, same, changed)
	third := replace(t, second, outbox, same, changed) // nothing changed: a sender that still waits continues
	other := outbox.Add(event("2.1", 1), "same", "slow")
	third.WakeAll()
	arrived(t, crm, 2) // although the other receiver hangs, and the previous attempt is not answered
	outbox.Add(event("3.1", 1), "same")
	first.Wake("same") // like a call that began before the reload
	arrived(t, crm, 3)

	close(answerCRM)
	close(answerSlow)
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	for _, id := range append(held, other...) {
		if row := outbox.Row(id); len(row.Attempts) != 1 || row.State != hooks.Delivered {
			t.Errorf("delivery %d for %s: %d attempts, state %v", id, row.Hook, len(row.Attempts), row.State)
		}
	}
	requests := slow.Requests()
	if len(requests) != 2 || requests[0].Header.Get("X-Second") != "" || requests[1].Header.Get("X-Second") != "yes" {
		t.Errorf("the changed hook's receiver got %+v", requests)
	}
	outbox.Add(event("4.1", 1), "slow")
	first.Wake("slow")
	arrived(t, slow, 3)
}

// hanging has a receiver hold its first answer until the channel is closed, and returns a hook to it.
func hanging(slow *hooktest.Receiver) (answer chan struct{}, c hooks.Config) {
	answer = make(chan struct{})
	slow.Play(hooktest.Step{Wait: answer})
	c = hookTo("slow", slow.URL())
	c.Timeout = 60e9
	return answer, c
}

// TestReplaceDuringOnce checks that a changed hook does not wait for an attempt of Once of its old configuration, and that
// the end does, also after a second change.
func TestReplaceDuringOnce(t *testing.T) {
	slow, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	answer, c := hanging(slow)
	d, _ := start(t, outbox, c)
	first, done := d, make(chan error, 1)
	go func() {
		ev := event("1.1", 1)
		done <- first.Once("slow", &ev)
	}()
	arrived(t, slow, 1)
	for n, value := range []string{"second", "third"} {
		c.Headers = map[string]string{"X-Version": value}
		d = replace(t, d, outbox, c)
		outbox.Add(event(value, 1), "slow")
		d.Wake("slow")
		arrived(t, slow, n+2)
	}
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	closed := make(chan error, 1)
	go func() { closed <- d.Close(t.Context()) }()
	otherOutbox := hooktest.NewOutbox()
	other, _ := start(t, otherOutbox, hookTo("other", hooktest.NewReceiver(t).URL()))
	otherOutbox.Add(event("1.1", 1), "other") // a delivery and an end that wait for nothing take longer than one more end
	other.Wake("other")
	waitUntil(t, otherOutbox, func() bool { return otherOutbox.Pending() == 0 })
	if err := other.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(closed) > 0 {
		t.Error("the end did not wait for the attempt")
	}
	close(answer)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestReplaceTakenOut checks that a hook that is removed and added again while its attempt hangs does not make
// two attempts at the same time.
func TestReplaceTakenOut(t *testing.T) {
	slow, outbox := hooktest.NewReceiver(t), hooktest.NewOutbox()
	answer, c := hanging(slow)
	d, _ := start(t, outbox, c)
	ids := outbox.Add(event("1.1", 1), "slow")
	d.Wake("slow")
	arrived(t, slow, 1)
	d = replace(t, d, outbox)
	d = replace(t, d, outbox, c)
	close(answer)
	waitUntil(t, outbox, func() bool { return outbox.Pending() == 0 })
	if row := outbox.Row(ids[0]); len(row.Attempts) != 1 {
		t.Errorf("%d attempts", len(row.Attempts))
	}
	outbox.Add(event("2.1", 1), "slow")
	d.Wake("slow")
	arrived(t, slow, 2)
}

// TestReplaceCertificate checks that a hook with a renewed certificate file counts as changed.
func TestReplaceCertificate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	server := httptest.NewTLSServer(nil)
	server.Close()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(string(text))
	c, outbox := hookTo("crm", "https://127.0.0.1:1/"), hooktest.NewOutbox()
	c.CAFile = file
	d, _ := start(t, outbox, c)
	if next := replace(t, d, outbox, c); !hooks.SameSender(d, next, "crm") {
		t.Error("the same configuration counts as changed")
	} else {
		d = next
	}
	write(string(text) + "\n" + string(text))
	if next := replace(t, d, outbox, c); hooks.SameSender(d, next, "crm") {
		t.Error("a renewed certificate is not used")
	}
}

func arrived(t *testing.T, r *hooktest.Receiver, n int) {
	t.Helper()
	if got, err := r.Wait(t.Context(), n); err != nil {
		t.Fatalf("%d requests, want %d: %v", len(got), n, err)
	}
}
