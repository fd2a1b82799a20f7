package lookup

import (
	"slices"
	"strconv"
	"strings"

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

// What is to be done about several customers with one number.
const (
	ambiguousNone  = "none"
	ambiguousFirst = "first"
	ambiguousJoin  = "join"
)

// joiner stands between the values of several customers.
const joiner = " / "

// grade makes one answer of the customers that a source names. By is the grade
// of the spelling that it was asked by.
func (s *source) grade(records []answer.Record, by string) result {
	var known []answer.Record
	for _, r := range records {
		if !s.isNobody(r) && !slices.ContainsFunc(known, func(k answer.Record) bool { return s.same(k, r) }) {
			known = append(known, r)
		}
	}
	r := result{outcome: Found, count: len(known)}
	switch {
	case len(known) == 0:
		r.outcome, r.vars = Missing, withMatch(nil, matchNone, 0)
	case len(known) == 1:
		r.vars = withMatch(known[0], by, 1)
	case s.cfg.Ambiguous == ambiguousFirst:
		r.vars = withMatch(known[0], matchAmbiguous, len(known))
	case s.cfg.Ambiguous == ambiguousJoin:
		r.vars = withMatch(join(known), matchAmbiguous, len(known))
	default:
		r.outcome, r.vars = Missing, withMatch(nil, matchAmbiguous, len(known))
	}
	return r
}

// isNobody tells whether a record says in the source's own way that it names
// no customer.
func (s *source) isNobody(r answer.Record) bool {
	return len(r) == 0 || slices.Contains(s.cfg.Nobody, r.Value(s.cfg.Identity))
}

// same tells whether two records are of one customer.
func (s *source) same(a, b answer.Record) bool {
	if id := a.Value(s.cfg.Identity); id != "" {
		return id == b.Value(s.cfg.Identity)
	}
	return slices.Equal(a, b)
}

// withMatch adds the grade to a record, over what the source itself may have
// said by those names.
func withMatch(r answer.Record, match string, count int) []Var {
	vars := make([]Var, 0, len(r)+2)
	for _, v := range r {
		if v.Name != "match" && v.Name != "match_count" {
			vars = append(vars, v)
		}
	}
	return append(vars, Var{Name: "match", Value: match}, Var{Name: "match_count", Value: strconv.Itoa(count)})
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

// gradeOf is what a match by a spelling is worth.
func gradeOf(spelling string) string {
	switch {
	case spelling == number.SpellNational:
		return matchNational
	case strings.HasPrefix(spelling, number.SpellLast):
		return matchSuffix
	}
	return matchExact
}

// weakest is the grade of a match by any of several spellings, where the
// source does not tell by which.
func weakest(spellings []string) string {
	grades := []string{matchExact, matchNational, matchSuffix}
	worst := 0
	for _, s := range spellings {
		worst = max(worst, slices.Index(grades, gradeOf(s)))
	}
	return grades[worst]
}

// knowable tells whether the source can know a number: a withheld one, an
// extension or a service code names nobody.
func (s *source) knowable(caller string) bool {
	if number.IsAnonymous(caller) {
		return false
	}
	digits, plain := number.Digits(caller)
	return !plain || len(digits) >= s.cfg.MinLength
}
