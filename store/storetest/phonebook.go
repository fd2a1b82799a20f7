package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"ringhook/lookup"
)

// Phonebook is a store of the administrator's own numbers under test.
type Phonebook interface {
	Put(contacts []lookup.Contact) error
	Remove(number string) (removed bool, err error)
	Each(ctx context.Context, prefix string, f func(lookup.Contact) error) error
	Names(ctx context.Context) ([]string, error)
	Len() (int, error)
}

// Contact returns a contact with a name.
func Contact(number, name string) lookup.Contact {
	return lookup.Contact{Number: number, Vars: []lookup.Var{{Name: "CALLERID(name)", Value: name}}}
}

// Contacts returns what a phonebook has of the numbers that begin with a prefix.
func Contacts(t testing.TB, p Phonebook, prefix string) (list []lookup.Contact) {
	t.Helper()
	err := p.Each(t.Context(), prefix, func(c lookup.Contact) error {
		list = append(list, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// RunPhonebook checks what a phonebook promises. open returns an empty one that is closed when the test ends.
func RunPhonebook(t *testing.T, open func(t *testing.T) Phonebook) {
	t.Run("numbers", func(t *testing.T) {
		p := open(t)
		zoe := lookup.Contact{Number: "+4930123456", Vars: []lookup.Var{{Name: "CALLERID(name)", Value: "Zoë \"Z\" Müller"}, {Name: "call_info", Value: "line\none"}}}
		good(t, p.Put([]lookup.Contact{Contact(zoe.Number, "old"), Contact("+44207", "Ben"), Contact("101", "Anna")}))
		good(t, p.Put([]lookup.Contact{Contact(zoe.Number, "older"), zoe}), p.Put(nil))
		for prefix, want := range map[string][]lookup.Contact{
			"": {Contact("+44207", "Ben"), zoe, Contact("101", "Anna")}, "+4": {Contact("+44207", "Ben"), zoe}, "+49": {zoe}, "1": {Contact("101", "Anna")}, "2": nil,
		} {
			same(t, "numbers that begin with "+prefix, Contacts(t, p, prefix), want)
		}
		names, err := p.Names(t.Context())
		good(t, err)
		same(t, "names", names, []string{"CALLERID(name)", "call_info"})
		for _, want := range []bool{true, false} {
			removed, err := p.Remove("101")
			good(t, err)
			same(t, "removed", removed, want)
		}
		n, err := p.Len()
		good(t, err)
		same(t, "length", n, 2)
		stop := errors.New("stop")
		if err := p.Each(t.Context(), "", func(lookup.Contact) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("each: got %v, want the error of the function", err)
		}
	})
	t.Run("many", func(t *testing.T) {
		p := open(t)
		const many = 4001 // more than is read at once
		var list []lookup.Contact
		for i := range many {
			list = append(list, Contact(fmt.Sprintf("+4930%06d", i), fmt.Sprint(i)))
		}
		good(t, p.Put(list))
		same(t, "all", Contacts(t, p, ""), list)
	})
}
