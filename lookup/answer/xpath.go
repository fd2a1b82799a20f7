package answer

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/antchfx/xpath"

	"ringhook/pattern"
)

// The limits of XPath expressions. The library asks nothing between its steps, and replace() and string-join() make more than
// they get: of a text of a megabyte and a replacement of a megabyte they make a terabyte. So the texts that an expression
// reads are bounded while it is evaluated, by deadlineNavigator, and what it makes of them when it is compiled.
const (
	// maxGrowth is the maximum number of times that an expression repeats what it reads.
	maxGrowth = 64
	// maxRead is the size of all texts that an expression with one of these functions reads, in bytes. Each is cut at maxText.
	maxRead = 1 << 20
)

// xpathExpr is an expression of XPath.
type xpathExpr struct {
	*xpath.Expr
	bounded bool // it calls a function whose cost is not proportional to what it reads
}

func compileXPath(text string) (*xpathExpr, error) {
	calls := callsOf(text)
	growth := 1
	for _, c := range calls {
		if err := c.check(); err != nil {
			return nil, err
		}
		if growth *= 1 + len(c.repeated()); growth > maxGrowth {
			return nil, fmt.Errorf("replace() and string-join() of the expression make a text up to %d times as long, %d at most", growth, maxGrowth)
		}
	}
	e, err := xpath.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("is no XPath: %w", err)
	}
	return &xpathExpr{Expr: e, bounded: len(calls) > 0}, nil
}

// xpathCall is a call of a function in an expression, with its arguments as they are written.
type xpathCall struct {
	function string
	args     []string
}

// boundedCalls are the functions whose cost is not proportional to what they read.
var boundedCalls = []string{"replace", "string-join", "matches", "translate"}

// check reports what makes a call unbounded, or fail for each answer.
func (c xpathCall) check() error {
	switch {
	case c.function == "replace" && len(c.args) == 3, c.function == "string-join" && len(c.args) == 2:
		if _, ok := literal(c.args[len(c.args)-1]); !ok {
			return fmt.Errorf("%s() needs its last argument as a text in quotes: an answer must not choose what is repeated", c.function)
		}
	}
	if c.function == "replace" && len(c.args) == 3 {
		if text, ok := literal(c.args[1]); ok {
			if err := pattern.Check(text); err != nil {
				return fmt.Errorf("replace(): %w", err)
			}
		}
	}
	return nil
}

// repeated returns the text that a call may repeat.
func (c xpathCall) repeated() string {
	if len(c.args) == 0 || c.function != "replace" && c.function != "string-join" {
		return ""
	}
	text, _ := literal(c.args[len(c.args)-1])
	return text
}

// callsOf returns the calls of boundedCalls in an expression, also those inside each other. What is no XPath may have calls
// that are not found: it is not compiled.
func callsOf(text string) (calls []xpathCall) {
	for i := 0; i < len(text); {
		if text[i] == '"' || text[i] == '\'' {
			i = afterQuote(text, i)
			continue
		}
		end := i
		for end < len(text) {
			r, size := utf8.DecodeRuneInString(text[end:])
			if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune("-_.", r) {
				break
			}
			end += size
		}
		if end == i {
			i++
			continue
		}
		rest := strings.TrimLeft(text[end:], " \t\r\n")
		for _, name := range boundedCalls {
			if text[i:end] == name && strings.HasPrefix(rest, "(") {
				calls = append(calls, xpathCall{name, argumentsOf(rest[1:])})
			}
		}
		i = end
	}
	return calls
}

// afterQuote returns the index behind a text in quotes that begins at i.
func afterQuote(text string, i int) int {
	end := strings.IndexByte(text[i+1:], text[i])
	if end < 0 {
		return len(text)
	}
	return i + end + 2
}

// argumentsOf returns the arguments up to the bracket that closes a call.
func argumentsOf(text string) (args []string) {
	depth, from := 0, 0
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"' || c == '\'':
			i = afterQuote(text, i)
			continue
		case c == '(' || c == '[':
			depth++
		case c == ',' && depth == 0:
			args, from = append(args, text[from:i]), i+1
		case c == ')' && depth == 0:
			return append(args, text[from:i])
		case c == ')' || c == ']':
			depth--
		}
		i++
	}
	return append(args, text[from:])
}

// literal returns the text of an argument that is one in quotes.
func literal(arg string) (string, bool) {
	arg = strings.TrimSpace(arg)
	if len(arg) < 2 || arg[0] != '"' && arg[0] != '\'' || afterQuote(arg, 0) != len(arg) || arg[len(arg)-1] != arg[0] {
		return "", false
	}
	return arg[1 : len(arg)-1], true
}

// errReads is returned by an expression that reads more than maxRead.
var errReads = &Error{ReasonLimit, errors.New("an expression of the mapping with replace(), translate(), matches() or string-join() reads too much text")}
