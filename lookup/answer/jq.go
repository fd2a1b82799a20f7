package answer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/itchyny/gojq"
)

// The limits of jq expressions. gojq looks at its context only between steps,
// and one step can take any time and memory: repeat a text 100,000,000 times,
// search a text of a megabyte, write an array with 500,000,000 elements. So each
// step is bounded: no value in an expression is larger than maxSize, and
// functions whose cost is not proportional to their input are refused.
const (
	maxSteps  = 300_000  // of one expression
	maxSize   = 2 << 20  // of one value, in bytes as sizeOf counts them
	maxMade   = 16 << 20 // of all values that one answer's expressions make
	maxText   = 8 << 10  // of a text in an answer, in bytes; longer ones are cut
	maxDigits = 100      // of a number in an answer
)

// errExpression is returned by an expression that reaches a limit.
var errExpression = &Error{ReasonLimit, errors.New("an expression of the mapping takes too many steps or makes too much")}

// jqFunctions are the functions that an expression may call, with their numbers of
// arguments. Their time and memory are proportional to their input, or they are
// made of steps that are counted. Those of guardedFunctions can return more
// than they get.
var jqFunctions = []string{
	"empty/0", "error/0", "error/1", "not/0", "length/0", "utf8bytelength/0", "keys/0", "has/1", "in/1", "add/0", "add/1",
	"toboolean/0", "tonumber/0", "tostring/0", "type/0", "reverse/0", "startswith/1", "endswith/1",
	"ltrimstr/1", "rtrimstr/1", "trimstr/1", "ltrim/0", "rtrim/0", "trim/0", "explode/0", "implode/0", "split/1", "split/2", "join/1",
	"ascii_downcase/0", "ascii_upcase/0", "tojson/0", "fromjson/0", "flatten/0", "flatten/1", "range/1", "range/2", "range/3",
	"min/0", "max/0", "min_by/1", "max_by/1", "sort/0", "sort_by/1", "group_by/1", "unique/0", "unique_by/1",
	"floor/0", "round/0", "ceil/0", "trunc/0", "fabs/0", "abs/0", "sqrt/0", "pow/2", "log/0", "log2/0", "log10/0", "exp/0", "fmin/2", "fmax/2", "fmod/2",
	"infinite/0", "nan/0", "isnan/0", "isinfinite/0", "isfinite/0", "isnormal/0",
	"map/1", "map_values/1", "walk/1", "select/1", "recurse/0", "recurse/1", "recurse/2", "to_entries/0", "from_entries/0", "with_entries/1", "while/2", "until/2", "repeat/1",
	"arrays/0", "objects/0", "iterables/0", "booleans/0", "numbers/0", "strings/0", "nulls/0", "values/0", "scalars/0",
	"first/0", "first/1", "last/0", "last/1", "nth/1", "nth/2", "isempty/1", "all/0", "all/1", "all/2", "any/0", "any/1", "any/2", "limit/2", "skip/2",
	"path/1", "paths/0", "paths/1", "getpath/1", "del/1", "delpaths/1", "bsearch/1", "IN/1", "IN/2",
	"match/1", "match/2", "test/1", "test/2", "capture/1", "capture/2", "scan/1", "scan/2", "splits/1", "splits/2", "sub/2", "sub/3", "gsub/2", "gsub/3",
	"index/1", "rindex/1", "indices/1", "contains/1", "inside/1",
	"now/0", "mktime/0", "gmtime/0", "strftime/1", "strptime/1", "todate/0", "fromdate/0", "fromdateiso8601/0", "todateiso8601/0",
}

// guardedFunctions make values.
var guardedFunctions = []string{
	"add", "tostring", "tojson", "fromjson", "tonumber", "reverse", "keys", "explode", "implode", "split", "join", "ascii_downcase", "ascii_upcase",
	"flatten", "sort", "sort_by", "group_by", "unique", "unique_by", "map", "map_values", "walk", "to_entries", "from_entries", "with_entries", "del", "delpaths",
	"match", "capture", "scan", "splits", "sub", "gsub", "indices", "strftime",
}

// pairedFunctions take input times argument, in time or memory.
var pairedFunctions = []string{"join", "index", "rindex", "indices", "contains", "inside"}

// pathFunctions take paths: nothing may stand in their arguments that is none.
var pathFunctions = []string{"path", "paths", "del"}

// The functions that the bounder adds to an expression. An expression cannot call them
// itself, because they are not in jqFunctions.
const (
	guard = "_ringhook_guard" // returns its input unless it is too large
	check = "_ringhook_check" // returns [left, right] of * and - unless that would take too much
	with  = "_ringhook_with"  // returns its argument unless a function with it would take too much
	soft  = "_ringhook_soft"  // returns null for what stands for nothing, so that it can be looked into
	list  = "_ringhook_list"  // returns [] for what stands for nothing
)

// jq is the expressions of one mapping, compiled.
type jq struct {
	records *gojq.Query
	fields  []field[*gojq.Query]
	runners sync.Pool // of *jqRunner
}

// jqRunner runs expressions for one answer at a time, and counts what they take.
type jqRunner struct {
	records *gojq.Code
	fields  []field[*gojq.Code]

	context.Context
	value       func(string) string // of the document
	steps, made int
	over        bool
}

// parseJQ reads an expression and rewrites it to one that is bounded.
func parseJQ(text string) (*gojq.Query, error) {
	query, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("is no expression of jq: %w", err)
	}
	if err := (&bounder{}).query(query); err != nil {
		return nil, err
	}
	if _, err := (&jqRunner{}).compile(query); err != nil {
		return nil, err
	}
	return query, nil
}

func newJQ(m *mapping[*gojq.Query]) *jq {
	j := &jq{fields: m.fields}
	if m.records != nil {
		j.records = *m.records
	}
	j.runners.New = func() any { return j.newRunner() }
	return j
}

func (j *jq) newRunner() *jqRunner {
	r := &jqRunner{}
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
		gojq.WithFunction(guard, 0, 0, func(v any, _ []any) any { return r.guard(v) }),
		gojq.WithFunction(check, 2, 2, func(_ any, args []any) any { return r.check(args[0], args[1]) }),
		gojq.WithFunction(with, 1, 1, func(v any, args []any) any { return r.with(v, args[0]) }),
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
	for iter := code.RunWithContext(r, input); len(results) < limit; {
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

// guard returns a value, or an error if it is too large. The flag ends the
// expression also if it catches the error.
func (r *jqRunner) guard(v any) any {
	size := sizeOf(v, maxSize)
	r.made += size
	if size > maxSize || r.made > maxMade {
		r.over = true
		return errExpression
	}
	return v
}

// check returns the operands of * and -, or an error if the operation would take
// too much. Others cost no more than their operands.
func (r *jqRunner) check(left, right any) any {
	texts, factor := left, right
	if _, ok := right.(string); ok {
		texts, factor = right, left
	}
	if s, ok := texts.(string); ok {
		if n := number(factor); n > 1 && n*float64(len(s)) > maxText {
			r.over = true
			return errExpression
		}
	}
	a, isList := left.([]any)
	b, isListToo := right.([]any)
	if isList && isListToo && len(a)*len(b) > maxSteps {
		r.over = true
		return errExpression
	}
	return []any{left, right}
}

// with returns a function's argument, or an error if the function would compare
// every part of its input with every part of it, or write it too often.
func (r *jqRunner) with(v, arg any) any {
	if length(v)*length(arg) > 4*maxSize {
		r.over = true
		return errExpression
	}
	return arg
}

// length returns the number of a value's parts: bytes of a text, all values in a
// list or an object.
func length(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []any, map[string]any:
		return sizeOf(v, maxSize) / valueSize
	}
	return 1
}

// number returns a factor, 0 if the value is no number.
func number(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case float64:
		return v
	case *big.Int:
		f, _ := v.Float64()
		return f
	case json.Number:
		f, _ := strconv.ParseFloat(string(v), 64) // infinite if it is too large
		return f
	}
	return 0
}

// valueSize is what a value takes at least, in bytes.
const valueSize = 16

// sizeOf returns what a value takes, in bytes, as if no part of it were shared. It
// stops counting at the limit. A text or a number that is too long by itself is
// larger than the limit.
func sizeOf(v any, limit int) int {
	size := valueSize
	switch v := v.(type) {
	case string:
		if size += len(v); len(v) > 2*maxText { // some functions take its length squared
			return limit + 1
		}
	case *big.Int:
		if size += v.BitLen() / 8; v.BitLen() > 8*maxDigits {
			return limit + 1
		}
	case []any:
		for _, part := range v {
			if size > limit {
				break
			}
			size += valueSize + sizeOf(part, limit-size)
		}
	case map[string]any:
		for name, part := range v {
			if size > limit {
				break
			}
			size += 2*valueSize + len(name) + sizeOf(part, limit-size)
		}
	}
	return size
}

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

// bounder rewrites an expression so that all that it makes is guarded.
type bounder struct {
	defined []string // functions of the expression itself, as name/arguments
	paths   int      // depth of arguments in which paths stand
}

func call(name string, args ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}}}
}

func pipe(left, right *gojq.Query) *gojq.Query {
	return &gojq.Query{Op: gojq.OpPipe, Left: left, Right: right}
}

// guarded returns a query whose results are guarded.
func guarded(q *gojq.Query) *gojq.Query { return pipe(q, call(guard)) }

// query rewrites a query in place.
func (b *bounder) query(q *gojq.Query) error {
	if q == nil {
		return nil
	}
	if len(q.Imports) > 0 || q.Meta != nil {
		return errors.New("must not import modules")
	}
	before := len(b.defined)
	for _, f := range q.FuncDefs {
		b.defined = append(b.defined, fmt.Sprintf("%s/%d", f.Name, len(f.Args)))
		outer := len(b.defined)
		for _, arg := range f.Args {
			b.defined = append(b.defined, strings.TrimPrefix(arg, "$")+"/0")
		}
		if err := b.query(f.Body); err != nil {
			return err
		}
		b.defined = b.defined[:outer]
	}
	err := errors.Join(b.patterns(q.Patterns), b.term(q.Term), b.query(q.Left), b.query(q.Right))
	b.defined = b.defined[:before]
	if err != nil {
		return err
	}
	switch q.Op {
	case gojq.OpAdd, gojq.OpDiv, gojq.OpMod:
		*q = gojq.Query{FuncDefs: q.FuncDefs, Op: gojq.OpPipe, Left: &gojq.Query{Op: q.Op, Left: q.Left, Right: q.Right}, Right: call(guard)}
	case gojq.OpMul, gojq.OpSub:
		at := func(i string) *gojq.Query {
			index := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeNumber, Number: i}}
			return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIndex, Index: &gojq.Index{Start: index}}}
		}
		checked := pipe(call(check, q.Left, q.Right), &gojq.Query{Op: q.Op, Left: at("0"), Right: at("1")})
		*q = gojq.Query{FuncDefs: q.FuncDefs, Op: gojq.OpPipe, Left: checked, Right: call(guard)}
	case gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
		return fmt.Errorf("has the operator %s, which an answer's expression cannot use: make a new object instead, such as {name: .n}", q.Op)
	}
	return nil
}

func (b *bounder) patterns(patterns []*gojq.Pattern) error {
	for _, p := range patterns {
		if p == nil {
			continue
		}
		if err := b.patterns(p.Array); err != nil {
			return err
		}
		for _, o := range p.Object {
			if err := errors.Join(b.text(o.KeyString), b.query(o.KeyQuery), b.patterns([]*gojq.Pattern{o.Val})); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bounder) text(s *gojq.String) error {
	if s == nil {
		return nil
	}
	return b.queries(s.Queries...)
}

func (b *bounder) queries(list ...*gojq.Query) error {
	for _, q := range list {
		if err := b.query(q); err != nil {
			return err
		}
	}
	return nil
}

// term rewrites a term in place.
func (b *bounder) term(t *gojq.Term) error {
	if t == nil {
		return nil
	}
	if err := b.parts(t); err != nil {
		return err
	}
	for _, s := range t.SuffixList {
		if err := b.index(s.Index); err != nil {
			return err
		}
	}
	base := &gojq.Query{Term: &gojq.Term{}}
	*base.Term = *t
	base.Term.SuffixList = nil
	plain := base.Term
	switch t.Type {
	case gojq.TermTypeObject, gojq.TermTypeArray, gojq.TermTypeFormat, gojq.TermTypeString:
		if t.Type != gojq.TermTypeString || t.Str != nil && len(t.Str.Queries) > 0 {
			base = guarded(base)
		}
	case gojq.TermTypeFunc:
		if slices.Contains(guardedFunctions, t.Func.Name) && !b.isDefined(t.Func) {
			base = guarded(base)
		}
	case gojq.TermTypeIndex:
		if b.paths == 0 {
			base.Term = &gojq.Term{
				Type: gojq.TermTypeQuery, Query: call(soft), SuffixList: []*gojq.Suffix{{Index: t.Index}},
			}
		}
	}
	for _, s := range t.SuffixList {
		if b.paths == 0 && s.Index != nil {
			base = pipe(base, call(soft))
		}
		if b.paths == 0 && s.Iter {
			base = pipe(base, call(list))
		}
		base = &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: base, SuffixList: []*gojq.Suffix{s}}}
	}
	if base.Term != plain {
		*t = gojq.Term{Type: gojq.TermTypeQuery, Query: base}
	}
	return nil
}

// parts rewrites what a term is made of.
func (b *bounder) parts(t *gojq.Term) error {
	switch t.Type {
	case gojq.TermTypeIndex:
		return b.index(t.Index)
	case gojq.TermTypeFunc:
		return b.function(t.Func)
	case gojq.TermTypeObject:
		for _, kv := range t.Object.KeyVals {
			if err := errors.Join(b.text(kv.KeyString), b.queries(kv.KeyQuery, kv.Val)); err != nil {
				return err
			}
		}
	case gojq.TermTypeArray:
		return b.query(t.Array.Query)
	case gojq.TermTypeUnary:
		return b.term(t.Unary.Term)
	case gojq.TermTypeFormat, gojq.TermTypeString:
		return b.text(t.Str)
	case gojq.TermTypeIf:
		for _, e := range t.If.Elif {
			if err := b.queries(e.Cond, e.Then); err != nil {
				return err
			}
		}
		return b.queries(t.If.Cond, t.If.Then, t.If.Else)
	case gojq.TermTypeTry:
		return b.queries(t.Try.Body, t.Try.Catch)
	case gojq.TermTypeReduce:
		return errors.Join(b.patterns(t.Reduce.Patterns), b.queries(t.Reduce.Query, t.Reduce.Start, t.Reduce.Update))
	case gojq.TermTypeForeach:
		f := t.Foreach
		return errors.Join(b.patterns(f.Patterns), b.queries(f.Query, f.Start, f.Update, f.Extract))
	case gojq.TermTypeLabel:
		return b.query(t.Label.Body)
	case gojq.TermTypeQuery:
		return b.query(t.Query)
	}
	return nil
}

func (b *bounder) index(i *gojq.Index) error {
	if i == nil {
		return nil
	}
	return errors.Join(b.text(i.Str), b.queries(i.Start, i.End))
}

func (b *bounder) isDefined(f *gojq.Func) bool {
	return slices.Contains(b.defined, fmt.Sprintf("%s/%d", f.Name, len(f.Args)))
}

func (b *bounder) function(f *gojq.Func) error {
	if f.Name == "$ENV" {
		return errors.New("must not read the environment")
	}
	defined := b.isDefined(f)
	if !defined && !strings.HasPrefix(f.Name, "$") && !slices.Contains(jqFunctions, fmt.Sprintf("%s/%d", f.Name, len(f.Args))) {
		return fmt.Errorf("calls %s with %d arguments, which is unknown or cannot be used here because its time and memory have no limit", f.Name, len(f.Args))
	}
	if paths := !defined && slices.Contains(pathFunctions, f.Name); paths {
		b.paths++
		defer func() { b.paths-- }()
	}
	if err := b.queries(f.Args...); err != nil {
		return err
	}
	if !defined && len(f.Args) == 1 && slices.Contains(pairedFunctions, f.Name) {
		f.Args[0] = call(with, f.Args[0])
	}
	return nil
}
