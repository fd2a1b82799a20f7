package phonebook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"ringhook/lookup"
	"ringhook/store/sqlite"
	"ringhook/store/storetest"
)

func contact(number, name string) lookup.Contact {
	return lookup.Contact{Number: number, Vars: []lookup.Var{{Name: "CALLERID(name)", Value: name}}}
}

func testPhonebook(t testing.TB) *Phonebook {
	t.Helper()
	p, err := Make(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func mustPut(t testing.TB, p *Phonebook, contacts ...lookup.Contact) {
	t.Helper()
	if err := p.Put(contacts); err != nil {
		t.Fatal(err)
	}
}

func TestPhonebook(t *testing.T) {
	storetest.RunPhonebook(t, func(t *testing.T) storetest.Phonebook { return testPhonebook(t) })
	p := testPhonebook(t)
	zoe := lookup.Contact{Number: "+4930123456", Vars: []lookup.Var{{Name: "CALLERID(name)", Value: "Zoë \"Z\" Müller"}, {Name: "call_info", Value: "line\none"}}}
	mustPut(t, p, zoe, contact("101", "Anna"))
	for number, want := range map[string][]lookup.Var{zoe.Number: zoe.Vars, "+493012345": nil, "": nil, "101": contact("", "Anna").Vars} {
		if got, err := p.Find(number); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("find %q: got %+v, %v, want %+v", number, got, err, want)
		}
	}
}

// The statements search the index, so the cost does not grow with the number of entries.
func TestPhonebookPlan(t *testing.T) {
	p := testPhonebook(t)
	for query, args := range map[string][]any{
		findContact:   {"+1"},
		eachContact:   {"+1"},
		removeContact: {"+1"},
	} {
		var plan strings.Builder
		rows, err := p.read.QueryContext(context.Background(), "explain query plan "+query, args...)
		err = sqlite.Each(rows, err, func(scan func(...any) error) error {
			var id, parent, unused int
			var detail string
			err := scan(&id, &parent, &unused, &detail)
			plan.WriteString(detail + "\n")
			return err
		})
		if err != nil || !strings.Contains(plan.String(), "SEARCH entry USING PRIMARY KEY") {
			t.Errorf("%s: plan is %q, %v", query, &plan, err)
		}
	}
}

// BenchmarkFind finds an entry among a thousand and among a million.
func BenchmarkFind(b *testing.B) {
	for _, size := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := testPhonebook(b)
			for from := 0; from < size; from += 1000 {
				batch := make([]lookup.Contact, 1000)
				for i := range batch {
					batch[i] = contact(fmt.Sprintf("+4930%08d", (from+i)*7919%100_000_000), "Zoë Müller")
				}
				mustPut(b, p, batch...)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				if vars, err := p.Find(fmt.Sprintf("+4930%08d", i%size*7919%100_000_000)); err != nil || len(vars) != 1 {
					b.Fatal(vars, err)
				}
			}
		})
	}
}

// A command writes while the daemon has the file open and calls read it.
func TestPhonebookBesideDaemon(t *testing.T) {
	p := testPhonebook(t)
	tool, err := Open(filepath.Dir(p.path))
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	mustPut(t, tool, contact("+1", "first"))

	var calls sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		calls.Go(func() {
			for {
				if vars, err := p.Find("+1"); err != nil || len(vars) != 1 {
					t.Errorf("a call found %v, %v", vars, err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 20 {
		batch := make([]lookup.Contact, 500)
		for n := range batch {
			batch[n] = contact(fmt.Sprint("+", n+1), fmt.Sprint("round ", i))
		}
		mustPut(t, tool, batch...)
	}
	close(done)
	calls.Wait()
	if vars, err := p.Find("+500"); err != nil || len(vars) != 1 || vars[0].Value != "round 19" {
		t.Errorf("the daemon sees %v, %v", vars, err)
	}
}

// Opening a missing phonebook fails and names the command that creates it.
func TestNoPhonebook(t *testing.T) {
	if _, err := Open(t.TempDir()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "import") {
		t.Errorf("got %v, want os.ErrNotExist and the command that creates one", err)
	}
}
