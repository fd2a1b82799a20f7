package lookup

import (
	"slices"
	"strconv"
	"strings"
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
func (s *source) grade(records []record, by string) result {
	var known []record
	for _, r := range records {
		if !s.isNobody(r) && !slices.ContainsFunc(known, func(k record) bool { return s.same(k, r) }) {
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
func (s *source) isNobody(r record) bool {
	return len(r) == 0 || slices.Contains(s.cfg.Nobody, r.value(s.cfg.Identity))
}

// same tells whether two records are of one customer.
func (s *source) same(a, b record) bool {
	if id := a.value(s.cfg.Identity); id != "" {
		return id == b.value(s.cfg.Identity)
	}
	return slices.Equal(a, b)
}

// withMatch adds the grade to a record, over what the source itself may have
// said by those names.
func withMatch(r record, match string, count int) []Var {
	vars := make([]Var, 0, len(r)+2)
	for _, v := range r {
		if v.Name != "match" && v.Name != "match_count" {
			vars = append(vars, v)
		}
	}
	return append(vars, Var{"match", match}, Var{"match_count", strconv.Itoa(count)})
}

// join makes one record of several: texts that differ stand side by side, and
// numbers that differ are left out, since none of them is right.
func join(records []record) record {
	var joined record
	for _, r := range records {
		for _, v := range r {
			if joined.value(v.Name) == "" {
				joined = append(joined, v)
			}
		}
	}
	kept := joined[:0]
	for _, v := range joined {
		values, integers := []string{}, true
		for _, r := range records {
			if value := r.value(v.Name); value != "" && !slices.Contains(values, value) {
				values = append(values, value)
				_, err := strconv.Atoi(value)
				integers = integers && err == nil
			}
		}
		if len(values) > 1 && integers {
			continue
		}
		kept = append(kept, Var{v.Name, strings.Join(values, joiner)})
	}
	return kept
}
