package answer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

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
		if own := func(name string) bool { return strings.HasPrefix(strings.TrimPrefix(name, "$"), ownPrefix) }; own(f.Name) || slices.ContainsFunc(f.Args, own) {
			return fmt.Errorf("must not define names that begin with %s: they are ringhook's", ownPrefix)
		}
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
	left, update := b.query, updates[q.Op]
	if update != "" {
		left = b.path
	}
	err := errors.Join(b.patterns(q.Patterns), b.term(q.Term), left(q.Left), b.query(q.Right))
	b.defined = b.defined[:before]
	if err != nil {
		return err
	}
	if update != "" {
		*q = gojq.Query{FuncDefs: q.FuncDefs, Term: call(update, q.Left, q.Right).Term}
		return nil
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

// path rewrites a query that stands for paths: nothing may be added to it that is no path.
func (b *bounder) path(q *gojq.Query) error {
	b.paths++
	defer func() { b.paths-- }()
	return b.query(q)
}

func (b *bounder) function(f *gojq.Func) error {
	if f.Name == "$ENV" {
		return errEnvironment
	}
	defined := b.isDefined(f)
	if !defined && !strings.HasPrefix(f.Name, "$") {
		if err := mayCall(f.Name, len(f.Args)); err != nil {
			return err
		}
	}
	arguments := b.query
	if !defined && slices.Contains(pathFunctions, f.Name) {
		arguments = b.path
	}
	for _, arg := range f.Args {
		if err := arguments(arg); err != nil {
			return err
		}
	}
	if !defined && slices.Contains(regexFunctions, f.Name) && (f.Name != "split" || len(f.Args) == 2) {
		f.Args[0] = pipe(f.Args[0], call(regex))
	}
	if !defined && len(f.Args) == 1 && slices.Contains(pairedFunctions, f.Name) {
		f.Args[0] = call(with, f.Args[0])
	}
	return nil
}

var errEnvironment = errors.New("reads the environment, which an expression cannot: write ${NAME} in it, which is replaced when the file is read")

// mayCall returns why an expression cannot call a function of jq, nil if it can.
func mayCall(name string, args int) error {
	switch {
	case slices.Contains(jqFunctions, fmt.Sprintf("%s/%d", name, args)):
		return nil
	case name == "env" && args == 0:
		return errEnvironment
	case isBuiltin(name, args):
		return fmt.Errorf("calls %s with %d arguments, which cannot be used here: its time or memory has no limit, or it reads more than the answer", name, args)
	}
	return fmt.Errorf("calls %s with %d arguments, which is no function of jq", name, args)
}

// isBuiltin reports whether jq has a function.
func isBuiltin(name string, args int) bool {
	text := name
	if args > 0 {
		text += "(." + strings.Repeat("; .", args-1) + ")"
	}
	query, err := gojq.Parse(text)
	if err != nil {
		return false
	}
	_, err = gojq.Compile(query, gojq.WithInputIter(gojq.NewIter[any]()))
	return err == nil
}
