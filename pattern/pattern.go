// Package pattern bounds regular expressions that come from outside: repetitions such as .{1000} make much of a short
// text, and Go's own limit is more than 100 MB.
package pattern

import (
	"errors"
	"regexp/syntax"
)

// maxSteps is the maximum number of steps of a compiled expression. One of a few words has less than 100.
const maxSteps = 20_000

// ErrTooLarge is returned for an expression that would take too much memory and time to compile.
var ErrTooLarge = errors.New("the regular expression is too large: its repetitions, such as .{1000}, make more than 20000 steps of it")

// Check returns why a text is not a regular expression that may be compiled, nil if it is one.
func Check(text string) error {
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return err
	}
	if steps(re) > maxSteps {
		return ErrTooLarge
	}
	return nil
}

// classShare is the number of characters and ranges of a class that count as one step.
const classShare = 64

// steps returns about the number of steps that an expression is compiled to, or more than maxSteps.
func steps(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n += len(re.Rune) / classShare
	case syntax.OpRepeat:
		n = 0
	}
	for _, sub := range re.Sub {
		if n += steps(sub); n > maxSteps {
			return n
		}
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1) // 1000 at most
	}
	return n
}
