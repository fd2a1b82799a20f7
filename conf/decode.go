package conf

import (
	"encoding"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"time"

	"ringhook/hooks"
)

// decoder stores the values of a file in the structs of the rooms, by their toml
// tags. It reports values that do not fit, and continues.
type decoder struct {
	*report
	env   func(string) (string, bool)
	begin map[reflect.Type]beginning
	// expanded holds the values of environment variables in the order of their use.
	expanded []string
}

// beginning returns the value of a new list element before the file's keys are
// applied to it.
type beginning func(at *position, in any) any

// bareKey matches keys that need no quotes in TOML.
var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

var (
	textType      = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType  = reflect.TypeFor[time.Duration]()
	addressesType = reflect.TypeFor[hooks.Addresses]() // one text or a list of texts
)

// table decodes a table into a struct. Fields without a key in the file keep their values.
func (d *decoder) table(at *position, key string, in map[string]any, out reflect.Value) {
	fields := fieldsOf(out)
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if field, ok := fields[name]; ok {
			d.value(at.key(name), join(key, name), in[name], field)
			continue
		}
		d.wrong(at.key(name), join(key, name), "unknown key; %s", nearest("keys here", name, slices.Sorted(maps.Keys(fields))))
	}
}

// fieldsOf returns a struct's fields by their toml tags, including those of embedded
// structs.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	fields := make(map[string]reflect.Value, v.NumField())
	for i := range v.NumField() {
		if v.Type().Field(i).Anonymous {
			maps.Copy(fields, fieldsOf(v.Field(i)))
		} else if name := v.Type().Field(i).Tag.Get("toml"); name != "" && name != "-" {
			fields[name] = v.Field(i)
		}
	}
	return fields
}

// value decodes one value, which the parser returns as string, int64, float64, bool,
// time.Time, []any, map[string]any or []map[string]any.
func (d *decoder) value(at *position, key string, in any, out reflect.Value) {
	if out.Type() == durationType {
		d.duration(at, key, in, out)
		return
	}
	if out.Kind() == reflect.Interface {
		if v := d.free(at, key, in); !at.wrong {
			out.Set(reflect.ValueOf(v))
		}
		return
	}
	switch in := in.(type) {
	case string:
		if u, ok := out.Addr().Interface().(encoding.TextUnmarshaler); ok {
			if s, ok := d.expand(at, key, in); ok {
				if err := u.UnmarshalText([]byte(s)); err != nil {
					d.wrong(at, key, "%v", err)
				}
			}
			return
		}
		if out.Kind() == reflect.String {
			if s, ok := d.expand(at, key, in); ok {
				out.SetString(s)
			}
			return
		}
		if out.Type() == addressesType {
			if s, ok := d.expand(at, key, in); ok {
				out.Set(reflect.ValueOf(hooks.Addresses{s}))
			}
			return
		}
	case int64:
		if out.CanInt() && !out.OverflowInt(in) {
			out.SetInt(in)
			return
		}
	case bool:
		if out.Kind() == reflect.Bool {
			out.SetBool(in)
			return
		}
	case []any:
		if out.Kind() == reflect.Slice {
			d.list(at, key, in, out)
			return
		}
	case []map[string]any:
		if out.Kind() == reflect.Slice && out.Type().Elem().Kind() == reflect.Struct {
			list := make([]any, len(in))
			for i, table := range in {
				list[i] = table
			}
			d.list(at, key, list, out)
			return
		}
	case map[string]any:
		switch out.Kind() {
		case reflect.Struct:
			from := len(d.expanded)
			d.table(at, key, in, out)
			if c, ok := out.Addr().Interface().(interface{ SetEnvironment([]string) }); ok && len(d.expanded) > from {
				c.SetEnvironment(slices.Clone(d.expanded[from:]))
			}
			return
		case reflect.Map:
			d.dictionary(at, key, in, out)
			return
		}
	}
	d.wrong(at, key, "%s; %s", describe(key, in), expected(key, in, out.Type()))
}

// list decodes a list. Its elements start from the values in begin.
func (d *decoder) list(at *position, key string, in []any, out reflect.Value) {
	elem := out.Type().Elem()
	if _, room := d.begin[elem]; room && len(in) > maxRoomTables {
		d.wrong(at.item(maxRoomTables), key, "there are more than %d of these tables", maxRoomTables)
		in = nil
	}
	list := reflect.MakeSlice(out.Type(), len(in), len(in))
	for i, v := range in {
		if first, ok := d.begin[elem]; ok {
			list.Index(i).Set(reflect.ValueOf(first(at.item(i), v)))
		}
		d.value(at.item(i), key, v, list.Index(i))
		if elem.Kind() != reflect.Struct && at.item(i).wrong {
			at.wrong = true
		}
	}
	out.Set(list)
}

// dictionary decodes a table whose keys the administrator chooses. Its keys replace
// or extend those of a preset.
func (d *decoder) dictionary(at *position, key string, in map[string]any, out reflect.Value) {
	made := reflect.MakeMapWithSize(out.Type(), len(in)+out.Len())
	for has := out.MapRange(); has.Next(); {
		made.SetMapIndex(has.Key(), has.Value())
	}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		v := reflect.New(out.Type().Elem()).Elem()
		if before := made.MapIndex(reflect.ValueOf(name)); before.IsValid() {
			v.Set(before)
		}
		d.value(at.key(name), join(key, name), in[name], v)
		if at.key(name).wrong {
			at.wrong = true
			continue
		}
		made.SetMapIndex(reflect.ValueOf(name), v)
	}
	out.Set(made)
}

// free decodes a value for a field that accepts several types.
func (d *decoder) free(at *position, key string, in any) any {
	switch in := in.(type) {
	case string:
		s, _ := d.expand(at, key, in)
		return s
	case []any:
		list := make([]any, len(in))
		for i, v := range in {
			list[i] = d.free(at.item(i), key, v)
			at.wrong = at.wrong || at.item(i).wrong
		}
		return list
	case map[string]any:
		table := make(map[string]any, len(in))
		for _, name := range slices.Sorted(maps.Keys(in)) {
			table[name] = d.free(at.key(name), join(key, name), in[name])
			at.wrong = at.wrong || at.key(name).wrong
		}
		return table
	default:
		return in
	}
}

// join returns the full key of a value in a table.
func join(table, name string) string {
	if !bareKey.MatchString(name) {
		name = strconv.Quote(name)
	}
	if table == "" {
		return name
	}
	return table + "." + name
}
