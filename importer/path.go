package importer

import (
	"fmt"
	"strconv"
	"strings"
)

// jqKey returns the jq expression of one member of an object, also if the value is none.
func jqKey(name string) string {
	return fmt.Sprintf(".[%s]?", quoted(name))
}

// jqWalk returns the expression that goes down a path, through every element of the lists on it.
func jqWalk(path []string) string {
	var expr strings.Builder
	expr.WriteByte('.')
	for _, name := range path {
		expr.WriteString(" | " + jqKey(name) + stepInto)
	}
	return expr.String()
}

// stepInto goes into the elements of a list.
const stepInto = ` | (if type == "array" then .[] else . end)`

// pathSize returns about the size of the expression of a path.
func pathSize(path []string) (n int) {
	for _, name := range path {
		n += len(name) + len(stepInto)
	}
	return n
}

// jqField returns the expression of a field below a record: its first value.
func jqField(path []string) string {
	if len(path) == 0 {
		return "."
	}
	if len(path) == 1 {
		return jqKey(path[0])
	}
	return "[" + jqWalk(path) + "] | .[0]"
}

// piece is a part of a text that is made of an answer: a literal, or a field.
type piece struct {
	literal string
	path    []string // nil for a literal
}

// jqText returns the expression of a text that is made of pieces; empty fields leave nothing.
func jqText(pieces []piece) string {
	if len(pieces) == 1 && pieces[0].path != nil {
		return jqField(pieces[0].path)
	}
	parts := make([]string, len(pieces))
	for i, p := range pieces {
		if p.path == nil {
			parts[i] = quoted(p.literal)
			continue
		}
		parts[i] = "((" + jqField(p.path) + `) // "" | tostring)`
	}
	return "[" + strings.Join(parts, ", ") + `] | join("")`
}

// jqName returns the expression of a name that is made of the fields that are not empty.
func jqName(paths [][]string) string {
	parts := make([]string, len(paths))
	for i, p := range paths {
		parts[i] = "((" + jqField(p) + `) // "" | tostring)`
	}
	return "[" + strings.Join(parts, ", ") + `] | map(select(. != "")) | join(" ")`
}

// gjsonPath splits a path of GJSON at its list: users.#.id is the list users and the field id. ok is false if it uses
// more of GJSON than that.
func gjsonPath(path string) (list []string, field []string, listed, ok bool) {
	if path == "" || strings.ContainsAny(path, `()|@*?\{}[]!`) {
		return nil, nil, false, false
	}
	parts := strings.Split(path, ".")
	for i, part := range parts {
		if part == "" {
			return nil, nil, false, false
		}
		if part == "#" {
			if listed {
				return nil, nil, false, false
			}
			list, listed = parts[:i], true
			parts = parts[i+1:]
			break
		}
	}
	for _, part := range parts {
		if part == "#" || part == "" {
			return nil, nil, false, false
		}
		if _, err := strconv.Atoi(part); err == nil {
			return nil, nil, false, false // the element of a list
		}
	}
	return list, parts, listed, len(parts) > 0
}
