package phonebook

import (
	"cmp"
	"regexp"
	"slices"
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

// phoneColumn and otherColumn know the headers of columns with numbers: they contain a word of the first, and none
// of the second. Outlook writes them in its own language.
var (
	phoneColumn = regexp.MustCompile(`(?i)phone|^tel\b|telefon|t[eé]l[eé]fono|t[eé]l[eé]phone|^t[eé]l\.|телефон|טלפון|` +
		`^(?:mobile|cell|callback|mobil|handy|m[oó]vil|celular|rückmeldung|мобильный|сотовый|обратный вызов|נייד)$`)
	otherColumn = regexp.MustCompile(`(?i)fax|факс|פקס|telex|телекс|tty|tdd|pager|isdn|type|typ$|label|e-?mail|e-?post|name|extension|durchwahl|phonetic`)
)

// nameColumns are the headers of the parts of a name, in the order in which they
// are said.
var nameColumns = [][]string{
	{"name prefix", "title", "anrede", "titre", "tratamiento", "título", "обращение", "תואר"},
	{"first name", "given name", "vorname", "prénom", "nombre", "имя", "שם פרטי"},
	{"middle name", "additional name", "weitere vornamen", "deuxième prénom", "segundo nombre", "отчество", "שם אמצעי"},
	{"last name", "family name", "surname", "nachname", "nom", "apellidos", "apellido", "фамилия", "שם משפחה"},
	{"name suffix", "suffix", "suffixe", "sufijo", "суффикс", "סיומת"},
}

// wholeColumns and companyColumns are the headers of a whole name and of an organization.
var (
	wholeColumns   = []string{"name", "full name", "display name", "contact name", "contact", "customer name", "customer", "фио"}
	companyColumns = []string{
		"company", "organization", "organization name", "organization 1 - name", "firma", "société", "organización", "compañía", "empresa", "организация", "חברה",
	}
)

// newAddressBook returns the columns of an exported address book, or nil if the header
// is none.
func newAddressBook(header []string) *addressBook {
	a := &addressBook{whole: -1, company: -1, fallback: -1}
	lower := make([]string, len(header))
	for i, name := range header {
		lower[i] = strings.ToLower(strings.TrimSpace(name))
		switch {
		case phoneColumn.MatchString(lower[i]) && !otherColumn.MatchString(lower[i]):
			a.phones = append(a.phones, i)
		case slices.Contains(wholeColumns, lower[i]):
			a.whole = i
		case slices.Contains(companyColumns, lower[i]):
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
			if slices.Contains(part, name) {
				a.names = append(a.names, i)
				break
			}
		}
	}
	if len(a.names) == 0 && a.whole < 0 && a.company < 0 && a.fallback < 0 {
		return nil
	}
	return a
}

// entries returns an entry for each number of a row.
func (a *addressBook) entries(line int, fields []string) ([]Entry, error) {
	cell := func(i int) string {
		if i < 0 || i >= len(fields) {
			return ""
		}
		return fields[i]
	}
	at := func(i int) string { return oneLine(cell(i)) }
	parts := make([]string, len(a.names))
	for i, column := range a.names {
		parts[i] = at(column)
	}
	company := at(a.company)
	name := cmp.Or(at(a.whole), words(parts...), company, at(a.fallback))
	var entries []Entry
	for _, column := range a.phones {
		for number := range strings.SplitSeq(cell(column), ":::") { // Google's separator of several values
			if number = numberLine(number); number != "" {
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
