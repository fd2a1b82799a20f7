// Package importer reads the CRM templates of other phone systems and writes the [[lookup]] and [[hook]] tables that do
// the same.
//
// It reads files of people who are not known within bounds of size and depth, asks nothing over the network, and lists
// what it could not carry over.
package importer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// MaxSize is the maximum size of a template in bytes.
const MaxSize = 1 << 20

// maxMade is the maximum size of what is made of a template, in bytes. Parameters that name each other, and headers of all
// requests, make much of a small file.
const maxMade = 4 * MaxSize

// Result is a template in ringhook's own form.
type Result struct {
	Name   string // of the product, as the template has it
	tables []*table
	// Variables are the environment variables that the tables use, with what the template says of them.
	Variables map[string]string
	// Left lists what could not be carried over, or must be checked.
	Left  []string
	names map[string]string // of the parameters, by their environment variables
	made  int               // bytes of the texts that were filled
}

// table is one table of ringhook.toml.
type table struct {
	header string // such as [[lookup]]
	about  string // a comment
	keys   []key
}

// hookTable is the header of hooks.
const hookTable = "[[hook]]"

// accountTable is the header of accounts, which do nothing by themselves.
const accountTable = "[[account]]"

type key struct {
	name  string
	value any // string, []string, int, bool or map[string]string
}

func (t *table) set(name string, value any) { t.keys = append(t.keys, key{name, value}) }

// setBody sets the body of a hook or a lookup.
func (t *table) setBody(body string, json bool) {
	t.set("body", body)
	kind, contentType := "form", "application/x-www-form-urlencoded"
	if json {
		kind, contentType = "json", "application/json"
	}
	if t.header == hookTable {
		t.set("format", "template")
		t.set("content_type", contentType)
	} else {
		t.set("body_type", kind)
	}
}

// addressOnly makes a hook send nothing beside its address: without params it would send every parameter of the event.
func (t *table) addressOnly(get bool) {
	t.set("format", map[bool]string{true: "query", false: "form"}[get])
	t.set("params", map[string]string{"nothing": ""})
	t.set("omit_empty", true)
}

// add adds a table.
func (r *Result) add(header, about string) *table {
	t := &table{header: header, about: about}
	r.tables = append(r.tables, t)
	return t
}

// spend counts bytes that are made of a template. ok is false if they are too many.
func (r *Result) spend(bytes int) (ok bool) {
	r.made += bytes
	return r.made <= maxMade
}

// finished returns the result, or an error if it is too large.
func (r *Result) finished() (*Result, error) {
	for _, t := range r.tables {
		for _, k := range t.keys {
			r.spend(sizeOf(k.value))
		}
	}
	if r.made > maxMade {
		return nil, fmt.Errorf("the parameters, headers and paths of the template make more than %d bytes, the maximum", maxMade)
	}
	return r, nil
}

// sizeOf returns the size of the texts of a value.
func sizeOf(v any) (n int) {
	switch v := v.(type) {
	case string:
		return len(v)
	case []string:
		for _, s := range v {
			n += len(s)
		}
	case map[string]string:
		for name, s := range v {
			n += len(name) + len(s)
		}
	}
	return n
}

// left notes what could not be carried over, once.
func (r *Result) left(format string, args ...any) {
	text := oneLine(fmt.Sprintf(format, args...))
	if !slices.Contains(r.Left, text) {
		r.Left = append(r.Left, text)
	}
}

// Empty reports whether nothing of the template was carried over that asks or reports anything.
func (r *Result) Empty() bool {
	return !slices.ContainsFunc(r.tables, func(t *table) bool { return t.header != accountTable })
}

// variable returns the reference to the environment variable of a parameter that the administrator chooses. Parameters whose
// names differ only in what a variable cannot have get different ones.
func (r *Result) variable(name, about string) string {
	variable := "CRM_" + strings.ToUpper(strings.Map(func(c rune) rune {
		if c < 0x80 && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			return c
		}
		return '_'
	}, name))
	if r.Variables == nil {
		r.Variables, r.names = map[string]string{}, map[string]string{}
	}
	base := variable
	for n := 2; ; n++ {
		if of, used := r.names[variable]; !used || of == name {
			break
		}
		variable = fmt.Sprintf("%s_%d", base, n)
	}
	r.Variables[variable], r.names[variable] = about, name
	return "${" + variable + "}"
}

// TOML returns the tables as a part of ringhook.toml.
func (r *Result) TOML() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Imported from the template %s. Test it before it is used: ringhook check, ringhook lookup NUMBER, ringhook hook test NAME.\n", oneLine(r.Name))
	if len(r.Variables) > 0 {
		b.WriteString("#\n# Set in the environment of the service:\n")
		for _, name := range slices.Sorted(maps.Keys(r.Variables)) {
			fmt.Fprintf(&b, "#   %s  %s\n", name, oneLine(r.Variables[name]))
		}
	}
	if len(r.Left) > 0 {
		b.WriteString("#\n# Not carried over, or to be checked:\n")
		for _, text := range r.Left {
			fmt.Fprintf(&b, "# - %s\n", oneLine(text))
		}
	}
	for _, t := range r.tables {
		fmt.Fprintf(&b, "\n")
		if t.about != "" {
			fmt.Fprintf(&b, "# %s\n", oneLine(t.about))
		}
		fmt.Fprintf(&b, "%s\n", t.header)
		for _, k := range t.keys {
			fmt.Fprintf(&b, "%s = %s\n", k.name, valueText(k.value))
		}
	}
	return b.Bytes()
}

// oneLine makes a text fit for a comment.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(c rune) bool { return c == ' ' || !unicode.IsPrint(c) }), " ")
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// valueText writes a value in TOML.
func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return quoted(v)
	case []string:
		parts := make([]string, len(v))
		for i, s := range v {
			parts[i] = quoted(s)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]string:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, quoted(name)+" = "+quoted(v[name]))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	return fmt.Sprint(v)
}

// quoted writes a text as a basic string of TOML: one of JSON is one.
func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(strings.ToValidUTF8(strings.ReplaceAll(s, "\x7f", ""), "\ufffd")) // a string cannot fail
	// What is not printable, such as a mark that turns the direction of a line, would make the file look different from what it is.
	var out strings.Builder
	for _, c := range strings.TrimSuffix(b.String(), "\n") {
		switch {
		case unicode.IsPrint(c):
			out.WriteRune(c)
		case c > 0xffff:
			fmt.Fprintf(&out, `\U%08x`, c)
		default:
			fmt.Fprintf(&out, `\u%04x`, c)
		}
	}
	return out.String()
}

// plain makes a text of the template literal in ringhook.toml: ${ would name an environment variable.
func plain(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// maxName is the maximum length of a table's name.
const maxName = 32

// tableNames returns a name for a table of a product, of which only the beginning is used.
func tableNames(product, what string) string {
	product = tableName(product)
	return tableName(product[:min(len(product), 14)] + "-" + what)
}

// tableName returns a name for a table: small letters, digits and hyphens.
func tableName(s string) string {
	s = s[:min(len(s), 100*maxName)]
	s = strings.Trim(strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return '-'
	}, s), "-")
	for strings.Contains(s, "--") {
		s = strings.ReplaceAll(s, "--", "-")
	}
	if len(s) > maxName {
		s = strings.Trim(s[:maxName], "-")
	}
	if s == "" {
		return "imported"
	}
	return s
}
