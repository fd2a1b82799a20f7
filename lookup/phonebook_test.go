package lookup

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// book is a phonebook in memory.
type book struct {
	entries map[string][]Var
	broken  error
}

func (b *book) Find(number string) ([]Var, error) { return b.entries[number], b.broken }

// phonebook returns a lookup with the defaults that reads the phonebook.
func phonebook() Config {
	cfg := DefaultConfig()
	cfg.Name, cfg.Type = "book", typePhonebook
	return cfg
}

// TestPhonebook checks the answers of the phonebook.
func TestPhonebook(t *testing.T) {
	b := start(t, phonebook())
	b.book.entries = map[string][]Var{anna: {{Name: "CALLERID(name)", Value: "Anna"}, {Name: "QUEUE_PRIO", Value: "5"}}, "101": {{Name: "CALLERID(name)", Value: "Desk"}}}
	p := b.Ask(ask(anna))
	if !p.Done() {
		t.Error("a lookup in the phonebook makes the call wait")
	}
	got := p.Answer()
	want := []Var{{Name: "CALLERID(name)", Value: "Anna"}, {Name: "QUEUE_PRIO", Value: "5"}, {Name: "match", Value: "exact"}, {Name: "match_count", Value: "1"}}
	if got.Outcome != Found || got.Source != "book" || got.Cached || !slices.Equal(got.Vars, want) {
		t.Errorf("answer = %+v, want %+v", got, want)
	}
	for _, number := range []string{boris, "101", ""} { // extensions are not looked up
		if got := b.Ask(ask(number)).Answer(); got.Outcome != Missing {
			t.Errorf("answer for %q = %+v, want missing", number, got)
		}
	}
	if n := b.count(t, "ringhook_lookup_duration_seconds", "book", "found"); n != 1 {
		t.Errorf("%v measured as found, want 1", n)
	}
	if len(b.cache.entries) != 0 {
		t.Error("the answers of the phonebook are cached")
	}
}

// TestPhonebookExtensions checks that extensions are looked up if min_length allows it.
func TestPhonebookExtensions(t *testing.T) {
	cfg := phonebook()
	cfg.MinLength = 3
	b := start(t, cfg)
	b.book.entries = map[string][]Var{"101": {{Name: "CALLERID(name)", Value: "Desk"}}}
	if got := b.Ask(ask("101")).Answer(); got.Outcome != Found {
		t.Errorf("answer = %+v, want found", got)
	}
}

// TestPhonebookBroken checks that an unreadable phonebook is an error, and is logged once.
func TestPhonebookBroken(t *testing.T) {
	b := start(t, phonebook())
	b.book.broken = errors.New("disk is broken")
	for range 3 {
		if got := b.Ask(ask(anna)).Answer(); got.Outcome != Failed {
			t.Errorf("answer = %+v, want error", got)
		}
	}
	if n := b.count(t, "ringhook_lookup_errors_total", "book", "book"); n != 3 {
		t.Errorf("%v errors counted, want 3", n)
	}
	if text := b.log.text(); strings.Count(text, "disk is broken") != 1 || strings.Contains(text, anna) {
		t.Errorf("log = %s, want one line without the number", text)
	}
}

// TestPhonebookBeside checks the phonebook together with another source: by rank, fill and shadow.
func TestPhonebookBeside(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(book *Config)
		crm     string
		entry   []Var
		want    string // name and info
		asked   int32  // requests to the CRM
		verdict string
	}{
		{"first", func(*Config) {}, "name=Crm&info=C", []Var{{Name: "name", Value: "Book"}}, "Book/", 0, ""},
		{"first, without the number", func(*Config) {}, "name=Crm&info=C", nil, "Crm/C", 1, ""},
		{"fills", func(c *Config) { c.Rank, c.Fill = 2, true }, "name=Crm", []Var{{Name: "name", Value: "Book"}, {Name: "info", Value: "B"}}, "Crm/B", 1, ""},
		{"a shadow", func(c *Config) { c.Shadow = true }, "name=Crm", []Var{{Name: "name", Value: "Book"}}, "Crm/", 1, shadowDiffers},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var requests atomic.Int32
			book, crm := phonebook(), named(t, "crm", tc.crm, &requests)
			crm.Rank = 1
			tc.change(&book)
			b := start(t, book, crm)
			b.book.entries = map[string][]Var{anna: tc.entry}
			for range 2 { // the second time the CRM's answer is cached
				got := await(b.Ask(ask(anna)))
				if said := got.value("name") + "/" + got.value("info"); said != tc.want || requests.Load() != tc.asked {
					t.Errorf("answer %q after %d requests, want %q after %d", said, requests.Load(), tc.want, tc.asked)
				}
			}
			answer, reports := b.Explain(t.Context(), ask(anna))
			if said := answer.value("name") + "/" + answer.value("info"); said != tc.want || len(reports) != 2 {
				t.Errorf("explained as %q with %d reports, want %q with 2", said, len(reports), tc.want)
			}
			if tc.verdict != "" {
				if n := b.count(t, "ringhook_lookup_shadow_total", "book", tc.verdict); n != 2 {
					t.Errorf("%v comparisons counted as %s, want 2", n, tc.verdict)
				}
			}
		})
	}
}

// TestPhonebookConfig checks the keys that a phonebook lookup may have.
func TestPhonebookConfig(t *testing.T) {
	for _, tc := range []struct {
		change func(*Config)
		key    string // of the reported problem, empty if there is none
	}{
		{func(c *Config) { c.MinLength, c.Rank, c.Fill = 3, 5, true }, ""},
		{func(c *Config) { c.URL = "https://crm.example/" }, "type"},
		{func(c *Config) { c.Headers = map[string]string{"A": "b"} }, "type"},
		{func(c *Config) { c.Cache = 0 }, "type"},
		{func(c *Config) { c.Type = "ldap" }, "type"},
		{func(c *Config) { c.MinLength = 99 }, "min_length"},
	} {
		cfg := phonebook()
		cfg.Points = []string{"p"}
		tc.change(&cfg)
		var keys []string
		cfg.Check(func(key, _ string) { keys = append(keys, key) })
		if strings.Join(keys, " ") != tc.key {
			t.Errorf("%+v: reported %q, want %q", cfg, keys, tc.key)
		}
	}
}
