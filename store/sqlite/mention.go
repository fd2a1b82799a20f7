package sqlite

import (
	"strings"

	"ringhook/store/mention"
)

// MentionSQL returns the SQL condition that a column may contain one of the numbers. It
// scans the whole table, so only operators' commands use it.
func MentionSQL(column string, numbers []string) (condition string, args []any) {
	var parts []string
	for _, word := range mention.Words(numbers) {
		parts = append(parts, "instr("+column+", ?) > 0")
		args = append(args, []byte(word))
	}
	return "(" + strings.Join(parts, " or ") + ")", args
}
