package lookup

import (
	"reflect"

	"ringhook/lookup/answer"
)

// The types of sources.
const (
	typeHTTP      = "http"
	typePhonebook = "phonebook"
)

// Phonebook knows numbers and names of one's own. It is asked within each
// call, so that an answer needs no cache.
type Phonebook interface {
	// Find gives the variables of a number, none where the phonebook does not
	// have it. It does not wait for writers.
	Find(number string) ([]Var, error)
}

// Contact is one entry of a phonebook.
type Contact struct {
	Number string // as Question has it
	Vars   []Var  // at least one, each name once
}

// find answers from the phonebook.
func (s *source) find(number string) result {
	vars, err := s.book.Find(number)
	var r result
	switch {
	case err != nil:
		r = failure(&fault{reason: reasonBook, err: err})
	case len(vars) == 0:
		r = s.grade(nil, matchExact)
	default:
		r = s.grade([]answer.Record{vars}, matchExact)
	}
	s.note(r)
	return r
}

// checkPhonebook reports what has no meaning where nothing is sent and no
// format read.
func (c *Config) checkPhonebook(report func(key, problem string)) {
	meant := DefaultConfig()
	meant.Name, meant.Type, meant.Points = c.Name, c.Type, c.Points
	meant.MinLength, meant.Rank, meant.Fill, meant.Shadow = c.MinLength, c.Rank, c.Fill, c.Shadow
	if !reflect.DeepEqual(*c, meant) {
		report("type", "is phonebook, which is asked without a request: only name, points, min_length, rank, fill and shadow have a meaning beside it")
	}
}
