package sidetest_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/account"
	"ringhook/dialplan"
	"ringhook/lookup"
	"ringhook/pgstore"
	"ringhook/pgstore/cache"
	"ringhook/pgstore/credentials"
	"ringhook/pgstore/desk"
	"ringhook/pgstore/phonebook"
	"ringhook/pgstore/sidetest"
	"ringhook/pgstore/trace"
	localcache "ringhook/store/cache"
	storedesk "ringhook/store/desk"
	"ringhook/store/storetest"
	"ringhook/test/wait"
)

func TestMain(m *testing.M) { sidetest.Main(m) }

// noFolder has no records of points.
type noFolder struct{}

// Trace implements dialplan.Tracer.
func (noFolder) Trace(time.Time, []byte) {}

// CallPoints implements browse.PointReader.
func (noFolder) CallPoints(string, time.Time) ([]dialplan.PointTrace, error) {
	return nil, nil
}

// PointsSince implements browse.PointReader.
func (noFolder) PointsSince(time.Time, func(*dialplan.PointTrace)) error { return nil }

// TestTenants checks that what two tenants have does not meet, though it has the same names.
func TestTenants(t *testing.T) {
	dsn := sidetest.Database(t)
	now := time.Now()
	for tenant := range 2 {
		engine, err := pgstore.Open(wait.Context(t), pgstore.Config{DSN: dsn, Tenant: tenant}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { engine.Close() })
		d, vault, book := desk.New(engine), credentials.New(engine), phonebook.New(engine)
		unused := prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})
		local := localcache.New(filepath.Join(t.TempDir(), localcache.File), 64<<20, 1000, func() bool { return true }, slog.New(slog.DiscardHandler), localcache.Metrics{Errors: unused, Dropped: unused}, time.Now)
		local.Open()
		go local.Run()
		t.Cleanup(local.Close)
		answers := cache.New(engine, local, cache.Limits{Rows: 100, Bytes: 1 << 20}, slog.New(slog.DiscardHandler), unused)
		traces := trace.New(engine, noFolder{}, time.Hour, slog.New(slog.DiscardHandler))
		points, err1 := trace.NewReader(engine, noFolder{}).CallPoints("1.1", time.Time{})
		tokens, err2 := d.Tokens()
		settings, err3 := d.Settings()
		states, err4 := vault.States()
		entries, err5 := answers.Show("+441")
		n, err6 := book.Len()
		if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
			t.Fatal(err)
		}
		if len(points)+len(tokens)+len(settings)+len(states)+len(entries)+n > 0 {
			t.Errorf("tenant %d has %v %v %v %v %v and %d contacts", tenant, points, tokens, settings, states, entries, n)
		}
		_, err1 = d.AddToken(storedesk.Token{Name: "crm", Rights: "administrator", Created: now})
		_, err2 = d.AddSession(storedesk.Session{Agent: "7", Created: now, Ends: now.Add(time.Hour)})
		unlock, err3 := vault.Lock(t.Context(), "zoho")
		if err := errors.Join(err1, err2, err3, d.SetSettings("7", map[string]string{"language": "he"}), d.ObserveStates([]storedesk.AgentState{{Agent: "7", State: storedesk.AgentIn}}, now),
			d.AddCampaign(storedesk.Campaign{ID: "c1", Created: now}, []storedesk.CampaignNumber{{Number: "+441"}}), vault.Save("zoho", account.State{Access: "x"}),
			book.Put([]lookup.Contact{storetest.Contact("+441", "Ada")})); err != nil {
			t.Fatal(err)
		}
		defer unlock()
		answers.Put(lookup.Entry{Key: "k", Number: "+441", Stored: now, Asked: now, Expires: now.Add(time.Hour)})
		traces.Trace(now, dialplan.EncodeTrace(&dialplan.PointTrace{At: now, Point: "call-dial", LinkedID: "1.1"}))
		if err := errors.Join(answers.Close(), traces.Close()); err != nil { // they store what waits
			t.Fatal(err)
		}
		if n, err := d.EndSessions("7"); n != 1 || err != nil {
			t.Errorf("tenant %d ended %d sessions, %v", tenant, n, err)
		}
	}
}
