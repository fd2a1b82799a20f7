package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// printable makes a value safe for a terminal: it escapes characters that are not printable.
func printable(value string) string {
	quoted := fmt.Sprintf("%q", value)
	return strings.ReplaceAll(strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`), `\\`, `\`)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}

// printJSON writes v as indented JSON, for people and for jq.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// listed joins names to a list for people.
func listed(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}
