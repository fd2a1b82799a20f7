package answer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/itchyny/gojq"
)

// jq is the expressions of one mapping, compiled.
type jq struct {
	records *gojq.Query
	fields  []field[*gojq.Query]
	vars    jqVariables
	runners sync.Pool // of *jqRunner
}

// jqVariables are the settings as expressions have them, sorted by name.
type jqVariables struct {
	names  []string // with their dollar signs
	values []any
}

func variablesOf(settings map[string]string) (v jqVariables) {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		v.names, v.values = append(v.names, "$"+name), append(v.values, settings[name])
	}
	return v
}

// jqRunner runs expressions for one answer at a time, and counts what they take.
type jqRunner struct {
	records *gojq.Code
	fields  []field[*gojq.Code]
	vars    jqVariables

	context.Context
	value       func(string) string // of the document
	steps, made int
	over        bool
}

// parseJQ reads an expression and rewrites it to one that is bounded.
func parseJQ(text string, vars jqVariables) (*gojq.Query, error) {
	query, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("is no expression of jq: %w", err)
	}
	if err := (&bounder{}).query(query); err != nil {
		return nil, err
	}
	query.FuncDefs = slices.Concat(boundedFunctions, query.FuncDefs)
	if _, err := (&jqRunner{vars: vars}).compile(query); err != nil {
		return nil, err
	}
	return query, nil
}

func newJQ(m *mapping[*gojq.Query], vars jqVariables) *jq {
	j := &jq{fields: m.fields, vars: vars}
	if m.records != nil {
		j.records = *m.records
	}
	j.runners.New = func() any { return j.newRunner() }
	return j
}

func (j *jq) newRunner() *jqRunner {
	r := &jqRunner{vars: j.vars}
	must := func(q *gojq.Query) *gojq.Code {
		code, err := r.compile(q)
		if err != nil {
			panic(err) // parseJQ has compiled it
		}
		return code
	}
	if j.records != nil {
		r.records = must(j.records)
	}
	for _, f := range j.fields {
		r.fields = append(r.fields, field[*gojq.Code]{f.name, must(f.expr)})
	}
	return r
}

func (r *jqRunner) compile(q *gojq.Query) (*gojq.Code, error) {
	code, err := gojq.Compile(q,
		gojq.WithVariables(r.vars.names),
		gojq.WithFunction(guard, 0, 0, func(v any, _ []any) any { return r.guard(v) }),
		gojq.WithFunction(check, 2, 2, func(_ any, args []any) any { return r.check(args[0], args[1]) }),
		gojq.WithFunction(with, 1, 1, func(v any, args []any) any { return r.with(v, args[0]) }),
		gojq.WithFunction(regex, 0, 0, func(v any, _ []any) any { return r.regex(v) }),
		gojq.WithFunction(set, 2, 2, func(v any, args []any) any { return r.set(v, args[0], args[1]) }),
		gojq.WithFunction(soft, 0, 0, func(v any, _ []any) any {
			if isNothing(v) {
				return nil
			}
			return v
		}),
		gojq.WithFunction(list, 0, 0, func(v any, _ []any) any {
			if isNothing(v) {
				return []any{}
			}
			return v
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("is no expression of jq: %w", err)
	}
	return code, nil
}

// Done is called by gojq before each step: it is where steps are counted.
func (r *jqRunner) Done() <-chan struct{} {
	if r.steps++; r.steps > maxSteps || r.over {
		return closed
	}
	return r.Context.Done()
}

// Err returns why Done is closed.
func (r *jqRunner) Err() error {
	if r.over || r.steps > maxSteps {
		return errExpression
	}
	return r.Context.Err()
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// run returns up to limit results of an expression. Its errors do not quote
// the answer, as those of gojq do.
func (r *jqRunner) run(code *gojq.Code, input any, limit int) ([]any, error) {
	r.steps = 0
	var results []any
	for iter := code.RunWithContext(r, input, r.vars.values...); len(results) < limit; {
		v, ok := iter.Next()
		if !ok {
			break
		}
		if err, failed := v.(error); failed {
			if r.Err() != nil {
				return nil, r.Err()
			}
			if halt := (*gojq.HaltError)(nil); errors.As(err, &halt) {
				break
			}
			return nil, errStructure
		}
		results = append(results, v)
	}
	if r.over {
		return nil, errExpression
	}
	return results, nil
}

var errStructure = errors.New("answer has another structure than the expression")

// isNothing reports whether a value stands for no value, as systems write it
// that have no null.
func isNothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	}
	return false
}

// isNobody reports whether a whole answer or a record stands for no customer: it is
// nothing, or a list or an object without anything.
func isNobody(v any) bool {
	switch v := v.(type) {
	case []any:
		return !slices.ContainsFunc(v, func(part any) bool { return !isNobody(part) })
	case map[string]any:
		return len(v) == 0
	}
	return isNothing(v)
}
