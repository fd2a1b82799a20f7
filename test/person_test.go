package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"ringhook/api"
	"ringhook/conf"
	"ringhook/hooks/hooktest"
	"ringhook/lookup"
	"ringhook/store"
)

// personReport is the output of ringhook export.
type personReport struct {
	Number     string
	Calls      []store.HeldCall
	Deliveries []api.DeliveryDetails
	Cache      []struct{ Variables []lookup.Var }
	Phonebook  []lookup.Var
}

// TestForget checks that everything stored about a caller is exported and erased.
func TestForget(t *testing.T) {
	var asked atomic.Int32
	receiver := hooktest.NewReceiver(t)
	receiver.Answer(func(hooktest.Request) hooktest.Step { return hooktest.Step{Status: 404} })
	file, _ := daemon(t, "", withCRM(t, &asked)+fmt.Sprintf("[[hook]]\nname = \"journal\"\nevents = [\"queue-dial\"]\nurl = %q\n", receiver.URL()))
	contacts := filepath.Join(t.TempDir(), "contacts.csv")
	if err := os.WriteFile(contacts, []byte("number,name\n+442079460142,Anna\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ringhook := func(code int, args ...string) string {
		t.Helper()
		var out, errOut bytes.Buffer
		if got := run(t.Context(), append(args, "-c", file), &out, &errOut); got != code {
			t.Fatalf("ringhook %s ended with %d: %s%s", args, got, &out, &errOut)
		}
		return out.String() + errOut.String()
	}
	held := func() (p personReport) {
		t.Helper()
		if err := json.Unmarshal([]byte(ringhook(exitOK, "export", "020 7946 0142")), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	ringhook(exitOK, "phonebook", "import", contacts)
	for n, from := range []string{"02079460142", "02079460500"} {
		ringhook(exitOK, "call", "queue-dial", "queue_id=500", "--uniqueid", fmt.Sprint("1.", n), "--from", from)
	}
	if _, err := receiver.Wait(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	p := held()
	for len(p.Cache) == 0 { // the cache is written in the background
		p = held()
	}
	if p.Number != "+442079460142" || len(p.Calls) != 1 || p.Calls[0].LinkedID != "1.0" || len(p.Deliveries) != 1 ||
		p.Deliveries[0].Params["callerid"] != "+442079460142" || len(p.Cache[0].Variables) == 0 || len(p.Phonebook) == 0 {
		t.Errorf("held: %+v", p)
	}
	cfg, err := conf.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(cfg.Store.Folder, "outbox.db.damaged-20260115T093000.000Z")
	if err := os.WriteFile(copied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ringhook(exitOK, "forget", "020 7946 0142"); !strings.Contains(got, copied) || !strings.Contains(got, "erased 1 calls with 1 points, 1 events with 1 deliveries, 1 cached answers") || !strings.Contains(got, "1 of the deliveries were still waiting") {
		t.Error(got)
	}
	if p = held(); len(p.Calls)+len(p.Deliveries)+len(p.Cache) != 0 || len(p.Phonebook) == 0 {
		t.Errorf("held after forget: %+v", p)
	}
	if got := ringhook(exitOK, "forget", "+442079460142", "--phonebook"); !strings.Contains(got, "erased from the phonebook") {
		t.Error(got)
	}
	if p = held(); len(p.Phonebook) != 0 {
		t.Errorf("held in the phonebook: %+v", p.Phonebook)
	}
	if got := ringhook(exitOK, "outbox", "list"); !strings.Contains(got, "1.1") {
		t.Errorf("another caller's delivery is gone too:\n%s", got)
	}
	ringhook(exitUsage, "export", "anonymous")
}
