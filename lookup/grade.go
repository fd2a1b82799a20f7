package lookup

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ringhook/lookup/answer"
	"ringhook/lookup/number"
)

// The grades of a match, which are the parameter match.
const (
	matchExact     = "exact"
	matchNational  = "national"  // by a number that other countries have too
	matchSuffix    = "suffix"    // by the last digits
	matchAmbiguous = "ambiguous" // several customers have the number
	matchNone      = "none"
)

// The answers for several customers with one number.
const (
	ambiguousNone  = "none"
	ambiguousFirst = "first"
	ambiguousJoin  = "join"
)

// joiner stands between the values of several customers.
const joiner = " / "

const (
	// maxValue is the maximum length of a kept value, in bytes; the rest is cut
	// off. A command to Asterisk is shorter than 2,048 bytes.
	maxValue = 2048
	// maxAnswer is the maximum length of all names and values of an answer that is
	// kept, in bytes. An answer with more is an error.
	maxAnswer = 32 << 10
)

// grader makes one answer of the customers that a source returned.
type grader struct {
	identity  string // the variable that distinguishes customers
	nobody    []string
	ambiguous string
}

func newGrader(c *Config) grader {
	g := grader{identity: c.Identity, nobody: c.Nobody, ambiguous: c.Ambiguous}
	if c.Format == "text" {
		g.identity = c.Variable // there is no other
	}
	return g
}

// grade makes one answer of customers. By is the grade of the spelling with
// which the source was asked. What it keeps is a copy, so that nothing
// holds on to the source's whole answer.
func (g grader) grade(records []answer.Record, by string) result {
	var known []answer.Record
	for _, r := range records {
		if !g.isNobody(r) && !slices.ContainsFunc(known, func(k answer.Record) bool { return g.same(k, r) }) {
			known = append(known, r)
		}
	}
	r := result{outcome: Found, count: len(known)}
	switch {
	case len(known) == 0:
		r.outcome, r.vars = Missing, withMatch(nil, matchNone, 0)
	case len(known) == 1:
		r.vars = withMatch(known[0], by, 1)
	case g.ambiguous == ambiguousFirst:
		r.vars = withMatch(known[0], matchAmbiguous, len(known))
	case g.ambiguous == ambiguousJoin:
		r.vars = withMatch(join(known), matchAmbiguous, len(known))
	default:
		r.outcome, r.vars = Missing, withMatch(nil, matchAmbiguous, len(known))
	}
	if err := checkSize(r.vars); err != nil {
		return failure(err)
	}
	return r
}

// checkSize returns an error if the variables of an answer are longer than maxAnswer in total.
func checkSize(vars []Var) error {
	size := 0
	for _, v := range vars {
		size += len(v.Name) + len(v.Value)
	}
	if size > maxAnswer {
		return &fault{reason: answer.ReasonLimit, err: fmt.Errorf("variables of the answer are longer than %d bytes in total", maxAnswer)}
	}
	return nil
}

// isNobody reports whether a record says in the source's own way that it is no
// customer.
func (g grader) isNobody(r answer.Record) bool {
	return len(r) == 0 || slices.Contains(g.nobody, r.Value(g.identity))
}

// same reports whether two records are of one customer.
func (g grader) same(a, b answer.Record) bool {
	if id := a.Value(g.identity); id != "" {
		return id == b.Value(g.identity)
	}
	return slices.Equal(a, b)
}

// withMatch copies a record and adds the grade to it, over what the source
// itself may have under those names.
func withMatch(r answer.Record, match string, count int) []Var {
	vars := make([]Var, 0, len(r)+2)
	for _, v := range r {
		if v.Name != "match" && v.Name != "match_count" {
			vars = append(vars, Var{Name: strings.Clone(v.Name), Value: strings.Clone(cut(v.Value))})
		}
	}
	return append(vars, Var{Name: "match", Value: match}, Var{Name: "match_count", Value: strconv.Itoa(count)})
}

// cut returns the beginning of a value that is kept, whole characters of it.
func cut(value string) string {
	if len(value) <= maxValue {
		return value
	}
	end := maxValue
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end]
}

// join makes one record of several: texts that differ stand side by side, and
// numbers that differ are left out, since none of them is right.
func join(records []answer.Record) answer.Record {
	var joined answer.Record
	for _, r := range records {
		for _, v := range r {
			if joined.Value(v.Name) == "" {
				joined = append(joined, v)
			}
		}
	}
	kept := joined[:0]
	for _, v := range joined {
		values, integers := []string{}, true
		for _, r := range records {
			if value := r.Value(v.Name); value != "" && !slices.Contains(values, value) {
				values = append(values, value)
				_, err := strconv.Atoi(value)
				integers = integers && err == nil
			}
		}
		if len(values) > 1 && integers {
			continue
		}
		kept = append(kept, Var{Name: v.Name, Value: strings.Join(values, joiner)})
	}
	return kept
}

// gradeOf returns the grade of a match by a spelling.
func gradeOf(spelling string) string {
	switch {
	case spelling == number.SpellNational, spelling == number.SpellNationalFormatted:
		return matchNational
	case strings.HasPrefix(spelling, number.SpellLast):
		return matchSuffix
	}
	return matchExact
}

// weakest returns the grade of a match by any of several spellings, if the
// source does not say by which.
func weakest(spellings []string) string {
	grades := []string{matchExact, matchNational, matchSuffix}
	worst := 0
	for _, s := range spellings {
		worst = max(worst, slices.Index(grades, gradeOf(s)))
	}
	return grades[worst]
}
