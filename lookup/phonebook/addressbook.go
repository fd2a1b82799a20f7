package phonebook

import (
	"cmp"
	"regexp"
	"strings"

	"ringhook/lookup"
)

// addressBook is the columns of a table that Google Contacts, Outlook or a phone
// exports: several numbers in each row, and names in parts.
type addressBook struct {
	names    []int // the parts of a person's name, in the order in which they are said
	whole    int   // the whole name, -1 if there is none
	company  int   // -1 if there is none
	phones   []int
	fallback int // what the entry is filed under, -1 if there is none
}

// phoneColumn knows the headers of columns with numbers.
var phoneColumn = regexp.MustCompile(`(?i)^(?:phone \d+ - value|(?:business|home|mobile|other|primary|car|company main|assistant's|radio) phone(?: \d)?|mobile|callback|telephone)$`)

// nameColumns are the headers of the parts of a name, in the order in which they
// are said.
var nameColumns = [][]string{
	{"name prefix", "title"}, {"first name", "given name"}, {"middle name", "additional name"}, {"last name", "family name"}, {"name suffix", "suffix"},
}

// newAddressBook returns the columns of an exported address book, or nil if the header
// is none.
func newAddressBook(header []string) *addressBook {
	a := &addressBook{whole: -1, company: -1, fallback: -1}
	lower := make([]string, len(header))
	for i, name := range header {
		lower[i] = strings.ToLower(strings.TrimSpace(name))
		switch {
		case phoneColumn.MatchString(lower[i]):
			a.phones = append(a.phones, i)
		case lower[i] == "name":
			a.whole = i
		case lower[i] == "company", lower[i] == "organization name", lower[i] == "organization 1 - name":
			a.company = i
		case lower[i] == "file as":
			a.fallback = i
		}
	}
	if len(a.phones) == 0 {
		return nil
	}
	for _, part := range nameColumns {
		for i, name := range lower {
			if name == part[0] || name == part[1] {
				a.names = append(a.names, i)
				break
			}
		}
	}
	return a
}

// entries returns an entry for each number of a row.
func (a *addressBook) entries(line int, fields []string) ([]Entry, error) {
	at := func(i int) string {
		if i < 0 || i >= len(fields) {
			return ""
		}
		return oneLine(fields[i])
	}
	parts := make([]string, len(a.names))
	for i, column := range a.names {
		parts[i] = at(column)
	}
	company := at(a.company)
	name := cmp.Or(at(a.whole), words(parts...), company, at(a.fallback))
	var entries []Entry
	for _, column := range a.phones {
		for number := range strings.SplitSeq(at(column), ":::") { // Google's separator of several values
			if number = strings.TrimSpace(number); number != "" {
				entries = append(entries, Entry{Line: line, Number: number})
			}
		}
	}
	if len(entries) > 0 && name == "" {
		return nil, &Mistake{line, "has numbers and no name"}
	}
	vars := []lookup.Var{{Name: callerName, Value: name}}
	if company != "" && company != name {
		vars = append(vars, lookup.Var{Name: "call_info", Value: company})
	}
	for i := range entries {
		entries[i].Vars = vars
	}
	return entries, nil
}
