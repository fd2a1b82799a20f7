package phonebook_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ringhook/lookup"
	"ringhook/pgstore/phonebook"
	"ringhook/pgstore/sidetest"
	storebook "ringhook/store/phonebook"
	"ringhook/store/storetest"
)

func TestMain(m *testing.M) { sidetest.Main(m) }

func TestPhonebook(t *testing.T) {
	storetest.RunPhonebook(t, func(t *testing.T) storetest.Phonebook {
		return phonebook.New(sidetest.Open(t, sidetest.Database(t)))
	})
}

// node is a copy with its follower.
type node struct {
	*storebook.Phonebook
	*phonebook.Follower
	folder string
	t      *testing.T
}

func newNode(t *testing.T, book *phonebook.Phonebook) *node {
	t.Helper()
	folder := t.TempDir()
	copied, err := storebook.Make(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { copied.Close() })
	return &node{copied, phonebook.NewFollower(book, copied, slog.New(slog.DiscardHandler)), folder, t}
}

// has brings the copy up to date, and checks what it contains.
func (n *node) has(want ...lookup.Contact) {
	n.t.Helper()
	if err := n.Step(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	if got := storetest.Contacts(n.t, n, ""); !reflect.DeepEqual(got, want) {
		n.t.Errorf("the copy has %d contacts, want %d: %.500v", len(got), len(want), got)
	}
}

// TestFollow checks that the copies of two nodes follow changes by either, also those of a node that sees several at once.
func TestFollow(t *testing.T) {
	dsn := sidetest.Database(t)
	book, other := phonebook.New(sidetest.Open(t, dsn)), phonebook.New(sidetest.Open(t, dsn))
	a, b := newNode(t, book), newNode(t, other)
	put := func(book *phonebook.Phonebook, list ...lookup.Contact) {
		t.Helper()
		if err := book.Put(list); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(number string) {
		t.Helper()
		if removed, err := book.Remove(number); !removed || err != nil {
			t.Fatal(removed, err)
		}
	}
	a.has()
	ada, ben := storetest.Contact("+441", "Ada"), storetest.Contact("+442", "Ben")
	put(book, ada)
	a.has(ada)
	b.has(ada)
	put(other, ben, storetest.Contact("+441", "Ada Lovelace"))
	a.has(storetest.Contact("+441", "Ada Lovelace"), ben)
	remove("+441")
	a.has(ben)
	put(book, ada)
	a.has(ada, ben)
	remove("+442")
	b.has(ada)
	var many []lookup.Contact
	for i := range 4500 {
		many = append(many, storetest.Contact(fmt.Sprintf("+49%06d", i), "Zoë"))
	}
	put(book, many[:3000]...)
	put(book, many[3000:]...)
	a.has(append([]lookup.Contact{ada}, many...)...)
	// Removals that are not known any more.
	remove("+441")
	if err := book.Purge(0); err != nil {
		t.Fatal(err)
	}
	b.has(many...)
	a.has(many...)
	// A node that comes later.
	newNode(t, other).has(many...)
}

// TestOwnPhonebook checks that what a folder had before is used until the engine has a phonebook, and kept aside then.
func TestOwnPhonebook(t *testing.T) {
	book := phonebook.New(sidetest.Open(t, sidetest.Database(t)))
	n := newNode(t, book)
	own, ada := storetest.Contact("+1", "own"), storetest.Contact("+441", "Ada")
	if err := n.Put([]lookup.Contact{own}); err != nil {
		t.Fatal(err)
	}
	n.has(own)
	if err := book.Put([]lookup.Contact{ada}); err != nil {
		t.Fatal(err)
	}
	n.has(ada)
	files, err := filepath.Glob(filepath.Join(n.folder, "*before-postgres*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("kept aside: %v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil || !strings.Contains(string(text), "own") {
		t.Errorf("the file does not have the former numbers: %v", err)
	}
	n.has(ada)
}
