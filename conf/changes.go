package conf

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
)

// Changes lists what differs between two configurations: "[fastagi] budget" for a
// single key, and "[[hook]] crm", "[[hook]] crm added" or "[[hook]] crm removed" for a
// table of a list. It holds names only, so that no secret reaches a log.
func Changes(old, next *Config) (list []string) {
	before, after := reflect.ValueOf(*old), reflect.ValueOf(*next)
	for i := range before.NumField() {
		table := before.Type().Field(i).Tag.Get("toml")
		if table == "" {
			continue
		}
		if before.Field(i).Kind() == reflect.Slice {
			list = append(list, changedTables(table, before.Field(i), after.Field(i))...)
		} else {
			list = append(list, changedKeys(table, before.Field(i), after.Field(i))...)
		}
	}
	return list
}

func changedKeys(table string, before, after reflect.Value) (list []string) {
	for i := range before.NumField() {
		key := before.Type().Field(i).Tag.Get("toml")
		if key != "" && !reflect.DeepEqual(before.Field(i).Interface(), after.Field(i).Interface()) {
			list = append(list, "["+table+"] "+key)
		}
	}
	return list
}

func changedTables(table string, before, after reflect.Value) (list []string) {
	names := func(tables reflect.Value) (names []string) {
		for i := range tables.Len() {
			names = append(names, tableName(tables.Index(i)))
		}
		return names
	}
	was, is := names(before), names(after)
	for i, name := range was {
		switch n := slices.Index(is, name); {
		case n < 0:
			list = append(list, "[["+table+"]] "+name+" removed")
		case !reflect.DeepEqual(before.Index(i).Interface(), after.Index(n).Interface()):
			list = append(list, "[["+table+"]] "+name)
		}
	}
	for _, name := range is {
		if !slices.Contains(was, name) {
			list = append(list, "[["+table+"]] "+name+" added")
		}
	}
	return list
}

// tableName returns the key that is unique in a list of tables: its name, or its id.
func tableName(table reflect.Value) string {
	for _, field := range []string{"ID", "Name"} {
		if f := table.FieldByName(field); f.IsValid() && f.String() != "" {
			return f.String()
		}
	}
	return "?"
}

// ofMachine are the tables that differ between servers which share their calls.
var ofMachine = []string{"fastagi", "http", "log", "store", "ami", "desk"}

// Digests returns a short digest of each table that is the same at servers which share their calls, by the name of the table.
func (c *Config) Digests() map[string]string {
	digests := map[string]string{}
	v := reflect.ValueOf(*c)
	for i := range v.NumField() {
		table := v.Type().Field(i).Tag.Get("toml")
		if table == "" || slices.Contains(ofMachine, table) {
			continue
		}
		text, err := json.Marshal(v.Field(i).Interface())
		if err != nil { // a test has that there is none
			continue
		}
		sum := sha256.Sum256(text)
		digests[table] = hex.EncodeToString(sum[:4])
	}
	return digests
}
