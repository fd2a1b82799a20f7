package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/hooks"
	"ringhook/hooks/hooktest"
	"ringhook/httpclient"
)

// TestAccountRate checks that the hooks of an account share its rate: they take turns, each keeps the order of its
// deliveries, no delivery waits in memory, and a lookup comes between them.
func TestAccountRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quota := httpclient.NewQuota(httpclient.ParseRate("1/s", 2, nil), func(httpclient.QuotaOutcome) {})
		tokens := httpclient.KeepTokens(func(context.Context, string) (httpclient.Token, error) {
			return httpclient.Token{Access: "token-1"}, nil
		}, httpclient.KeptTokens{Quota: quota})
		defer tokens.Close()
		var cfgs []hooks.Config
		for _, name := range []string{"journal", "notes"} {
			cfg := hookTo(name, "http://crm.example/")
			cfg.Account, cfg.Order = "crm", "strict"
			cfgs = append(cfgs, cfg)
		}
		outbox := hooktest.NewOutbox()
		d, err := hooks.NewShared(cfgs, hooks.Shared{Accounts: func(string) *httpclient.Tokens { return tokens }}, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var sent []string
		start := time.Now()
		for _, name := range d.Names() {
			d.SetSend(name, func(req *httpclient.Request, _ time.Time) (*httpclient.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, fmt.Sprintf("%s %v", name, time.Since(start).Round(time.Second)))
				return &httpclient.Response{Status: 200}, nil
			})
		}
		d.Start()
		for call := range 4 {
			outbox.Add(event(fmt.Sprint("1.", call), 1), "journal", "notes")
		}
		d.WakeAll()
		time.Sleep(1500 * time.Millisecond)
		if err := quota.WaitForCall(start.Add(2500 * time.Millisecond)); err != nil {
			t.Errorf("a lookup waits for the hooks: %v", err)
		}
		time.Sleep(time.Minute)
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		// Both of the burst may be those of one hook; from then on the hooks take turns, but for the second of the lookup.
		if len(sent) != 8 || outbox.Pending() != 0 {
			t.Fatalf("sent %q", sent)
		}
		var seconds []string
		for i, s := range sent {
			var name, at string
			fmt.Sscan(s, &name, &at)
			seconds = append(seconds, at)
			if i > 3 && i < 6 && name == firstWord(sent[i-1]) {
				t.Errorf("a hook comes twice: %q", sent)
			}
		}
		if want := []string{"0s", "0s", "1s", "3s", "4s", "5s", "6s", "7s"}; !slices.Equal(seconds, want) {
			t.Errorf("at %q, want %q", seconds, want)
		}
	})
}

func firstWord(s string) (word string) {
	fmt.Sscan(s, &word)
	return word
}

// TestUnsentUsesNoRate checks that what is not sent, because a value or a recording is missing, leaves the account's rate to
// others.
func TestUnsentUsesNoRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quota := httpclient.NewQuota(httpclient.ParseRate("1/h", 3, nil), func(httpclient.QuotaOutcome) {})
		tokens := httpclient.KeepTokens(func(context.Context, string) (httpclient.Token, error) {
			return httpclient.Token{Access: "token-1"}, nil
		}, httpclient.KeptTokens{Quota: quota})
		defer tokens.Close()
		uploads, with, _ := uploading(t, "http://crm.example/")
		notes := hookTo("notes", "http://crm.example/")
		notes.RememberedBy, notes.Needs = "journal", []string{"call_log"}
		uploads.Account, notes.Account = "crm", "crm"
		with.Accounts = func(string) *httpclient.Tokens { return tokens }
		outbox := hooktest.NewOutbox()
		d, err := hooks.NewShared([]hooks.Config{uploads, notes}, with, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		d.Start()
		once := event("1.3", 1)
		if err := d.Once("notes", &once); err == nil {
			t.Error("an attempt beside the outbox was delivered without the value")
		}
		ids := []int64{outbox.Add(recordedEvent(1, "later.wav"), "crm")[0], outbox.Add(event("1.2", 1), "notes")[0]}
		d.WakeAll()
		time.Sleep(time.Minute)
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for _, id := range ids {
			if row := outbox.Row(id); row.State != hooks.Pending || len(row.Attempts) < 2 || row.Attempts[0].Status != 0 {
				t.Errorf("got %+v", row)
			}
		}
		if n := quota.Take(9); n != 3 {
			t.Errorf("%d of 3 requests are left", n)
		}
	})
}

// TestUnmadeRequestUsesNoRate checks that neither a receiver that cannot be reached nor a token that is not there uses the
// account's rate up.
func TestUnmadeRequestUsesNoRate(t *testing.T) {
	for _, c := range []struct {
		token error
		send  error
		left  int
	}{
		{token: &httpclient.Error{Class: httpclient.ClassToken, Sent: true, Err: errors.New("get token: status 500")}, left: 3},
		{send: &httpclient.Error{Class: httpclient.ClassConnect, Err: errors.New("connection refused")}, left: 3},
		{send: &httpclient.Error{Class: httpclient.ClassTimeout, Sent: true, Err: errors.New("deadline passed")}, left: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			quota := httpclient.NewQuota(httpclient.ParseRate("1/h", 3, nil), func(httpclient.QuotaOutcome) {})
			tokens := httpclient.KeepTokens(func(context.Context, string) (httpclient.Token, error) {
				return httpclient.Token{Access: "token-1"}, c.token
			}, httpclient.KeptTokens{Quota: quota})
			defer tokens.Close()
			cfg := hookTo("crm", "http://crm.example/")
			cfg.Account = "crm"
			outbox := hooktest.NewOutbox()
			d, err := hooks.NewShared([]hooks.Config{cfg}, hooks.Shared{Accounts: func(string) *httpclient.Tokens { return tokens }}, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			d.SetSend("crm", func(*httpclient.Request, time.Time) (*httpclient.Response, error) { return nil, c.send })
			d.Start()
			once := event("1.1", 1)
			if err := d.Once("crm", &once); err == nil {
				t.Error("delivered")
			}
			outbox.Add(event("1.2", 1), "crm")
			d.WakeAll()
			time.Sleep(time.Second)
			if err := d.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if n := quota.Take(9); n != c.left {
				t.Errorf("%v, %v: %d of 3 requests are left, want %d", c.token, c.send, n, c.left)
			}
		})
	}
}

// TestStoppedIsNoAttempt checks that a delivery for which a stop leaves no token is not attempted: it is due again at once after
// the start, and not by the schedule.
func TestStoppedIsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := httpclient.KeepTokens(func(context.Context, string) (httpclient.Token, error) {
			return httpclient.Token{Access: "token-1"}, nil
		}, httpclient.KeptTokens{})
		defer tokens.Close()
		tokens.Stop()
		journal := hookTo("journal", "http://crm.example/")
		journal.Account = "crm"
		with := hooks.Shared{Accounts: func(string) *httpclient.Tokens { return tokens }}
		outbox := hooktest.NewOutbox()
		d, err := hooks.NewShared([]hooks.Config{journal}, with, outbox, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		d.Start()
		id := outbox.Add(event("1.1", 1), "journal")[0]
		d.WakeAll()
		time.Sleep(10 * time.Second)
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if row := outbox.Row(id); row.State != hooks.Pending || len(row.Attempts) > 0 || row.Next.After(time.Now().Add(time.Minute)) {
			t.Errorf("got %+v", row)
		}
	})
}
