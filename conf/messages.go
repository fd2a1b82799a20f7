package conf

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
)

// describe returns the type of a value, with the value unless it is secret.
func describe(key string, in any) string {
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
		return fmt.Sprintf("%v is a boolean", in)
	case time.Time:
		return "this is a date or a time"
	case []any:
		return "this is a list"
	case []map[string]any:
		return fmt.Sprintf("this is a list of tables, as written with [[%s]]", key)
	default:
		return "this is a table"
	}
}

// expected returns the right form, derived from the value if possible.
func expected(key string, in any, t reflect.Type) string {
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
	case reflect.PointerTo(t).Implements(textType):
		return `it must be a text with a unit, such as "4GiB"`
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
		return fmt.Sprintf("it must be a table: write [%s] on a line of its own, followed by its keys", key)
	}
}

// example returns a sample of a table whose keys the administrator chooses.
func example(t reflect.Type) string {
	if t.Kind() == reflect.Map {
		return "{ name = " + example(t.Elem()) + " }"
	}
	return `"value"`
}

// nearest suggests the known name that was probably meant, else lists the known
// names of this kind.
func nearest(kind, name string, known []string) string {
	if k := near(name, known); k != "" {
		return fmt.Sprintf("did you mean %s?", k)
	}
	return fmt.Sprintf("the %s are %s", kind, strings.Join(known, ", "))
}

// near returns the known name that was probably meant, empty if none is similar.
func near(name string, known []string) string {
	// A typo in a short name is one letter: dst is not test.
	best, least := "", 3
	if len(name) < 5 {
		least = 2
	}
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), k); d < least && 2*d <= len(name) {
			best, least = k, d
		}
	}
	return best
}
