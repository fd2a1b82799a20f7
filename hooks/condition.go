package hooks

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"ringhook/pattern"
)

// zeros are the parameters of the contract that are not strings. Every other
// name is a string, as the answers of lookups are.
var zeros = map[string]any{
	"seq": int64(0), "queue_position": int64(0), "queue_prio": int64(0), "wait_time": int64(0), "ring_time": int64(0),
	"talk_time": int64(0), "duration": int64(0), "billsec": int64(0), "cause": int64(0), "match_count": int64(0),
	"final": false, "correction": false, "presumed": false, "test": false, "callerid_withheld": false,
}

// The functions that a condition may use: none of them loops.
var functions = []string{"len", "lower", "upper", "trim", "trimPrefix", "trimSuffix", "hasPrefix", "hasSuffix", "indexOf", "abs", "min", "max"}

// conditionMemory bounds what one evaluation may allocate, in the elements
// that the expression language counts.
const conditionMemory = 10_000

// condition is a hook's when.
type condition struct {
	program *vm.Program
	zero    map[string]any // of the names that it uses
}

// parseCondition compiles a condition, typed by the parameters that it names.
func parseCondition(text string) (*condition, error) {
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, firstLine(err)
	}
	seen := reader{names: make(map[string]bool)}
	ast.Walk(&tree.Node, &seen)
	if seen.refused != nil {
		return nil, fmt.Errorf("condition: %w", seen.refused)
	}
	c := &condition{zero: make(map[string]any, len(seen.names))}
	for name := range seen.names {
		c.zero[name] = zeros[name]
		if c.zero[name] == nil {
			c.zero[name] = ""
		}
	}
	if c.program, err = expr.Compile(text, expr.Env(c.zero), expr.AsBool(), expr.MaxNodes(1000)); err != nil {
		return nil, firstLine(err)
	}
	return c, nil
}

// firstLine removes the excerpt of the expression that the language adds to its
// errors.
func firstLine(err error) error {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf("condition: %s", line)
}

// reader collects the names in an expression.
type reader struct {
	names   map[string]bool
	refused error // why it may not be used
}

// errPattern refuses a regular expression that is a value of the call: it would be compiled for each event, while the call
// waits.
var errPattern = errors.New("matches needs a regular expression in quotes")

// Visit implements ast.Visitor.
func (r *reader) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		r.names[n.Value] = true
	case *ast.BuiltinNode:
		if !slices.Contains(functions, n.Name) {
			r.refused = fmt.Errorf("function %s is not one of %s", n.Name, oneOf(functions))
		}
	case *ast.BinaryNode:
		if n.Operator != "matches" {
			return
		}
		if text, ok := n.Right.(*ast.StringNode); !ok {
			r.refused = errPattern
		} else if err := pattern.Check(text.Value); err != nil {
			r.refused = err
		}
	}
}

// holds reports whether an event meets the condition.
func (c *condition) holds(ev *Event) (bool, error) {
	env := make(map[string]any, len(c.zero))
	for name, zero := range c.zero {
		env[name] = zero
		if v, ok := ev.param(name); ok {
			env[name] = likeZero(v, zero)
		}
	}
	machine := vm.VM{MemoryBudget: conditionMemory}
	out, err := machine.Run(c.program, env)
	if err != nil {
		return false, firstLine(err)
	}
	return out.(bool), nil
}

// likeZero converts a value to the type that the condition was compiled for.
func likeZero(v, zero any) any {
	switch zero.(type) {
	case string:
		return textOf(v)
	case int64:
		if n, ok := v.(int64); ok {
			return n
		}
		n, err := strconv.ParseInt(textOf(v), 10, 64)
		if err != nil {
			return zero
		}
		return n
	default:
		return v == true || textOf(v) == "true"
	}
}
