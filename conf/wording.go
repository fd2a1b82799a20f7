package conf

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
)

// is says what a value is, and shows it where it may be shown.
func is(key string, in any) string {
	shown := "this"
	switch in := in.(type) {
	case string:
		if !secretKey(key) {
			shown = strconv.Quote(in)
		}
		return shown + " is a string"
	case int64, float64:
		if !secretKey(key) {
			shown = fmt.Sprint(in)
		}
		return shown + " is a number"
	case bool:
		return fmt.Sprintf("%v is a truth value", in)
	case time.Time:
		return "this is a date or a time"
	case []any:
		return "this is a list"
	case []map[string]any:
		return fmt.Sprintf("this is a list of tables, as [[%s]] begins one", key)
	default:
		return "this is a table"
	}
}

// wanted says what would be right, by the example of the value where it can.
func wanted(key string, in any, t reflect.Type) string {
	switch {
	case t.Kind() == reflect.String:
		switch in.(type) {
		case int64, float64, bool:
			if secretKey(key) {
				return "put it in quotes"
			}
			return fmt.Sprintf(`put it in quotes: "%v"`, in)
		}
		return `it must be a string, such as "text"`
	case t.Kind() == reflect.Bool:
		return "it must be true or false, without quotes"
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		if s, ok := in.(string); ok {
			if _, err := strconv.Atoi(s); err == nil {
				return "write it without quotes: " + s
			}
		}
		return "it must be a whole number, without quotes"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return fmt.Sprintf("write [[%s]], with two brackets, before each", key)
	case t.Kind() == reflect.Slice:
		if s, ok := in.(string); ok {
			return fmt.Sprintf("it must be a list: [%q]", s)
		}
		return `it must be a list, such as ["one", "two"]`
	case t.Kind() == reflect.Map:
		return "it must be a table, such as " + example(t)
	default:
		return fmt.Sprintf("it must be a table: write [%s] on a line of its own, and its keys below", key)
	}
}

// example is what a table of the administrator's own keys looks like.
func example(t reflect.Type) string {
	if t.Kind() == reflect.Map {
		return "{ name = " + example(t.Elem()) + " }"
	}
	return `"value"`
}

// nearest says which known name was probably meant, or else which names of
// the kind there are.
func nearest(kind, name string, known []string) string {
	if k := near(name, known); k != "" {
		return fmt.Sprintf("did you mean %s?", k)
	}
	return fmt.Sprintf("the %s are %s", kind, strings.Join(known, ", "))
}

// near gives the name that was meant, empty where none is like it.
func near(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), k); d < least && d < len(k) {
			best, least = k, d
		}
	}
	return best
}
