package lookup

import (
	"reflect"
	"time"

	"ringhook/lookup/answer"
)

const typePhonebook = "phonebook"

// Phonebook holds numbers and names of ringhook's own. It is asked within each
// call, so its answers need no cache.
type Phonebook interface {
	// Find returns the variables of a number, none if the phonebook does not
	// contain it. It does not wait for writers.
	Find(number string) ([]Var, error)
}

// Contact is one entry of a phonebook.
type Contact struct {
	Number string // as in Question
	Vars   []Var  // at least one, each name once
}

// phonebookBackend answers from the phonebook.
type phonebookBackend struct {
	book      Phonebook
	grader    grader
	minLength int
}

func openPhonebook(c *Config, r resources) (backend, error) {
	return &phonebookBackend{book: r.book, grader: newGrader(c), minLength: c.MinLength}, nil
}

func (b *phonebookBackend) prepare(q *Question) *request {
	number := q.Number
	if !canLookUp(number, b.minLength) {
		return nil
	}
	return &request{number: number, ask: func(time.Time) result {
		r := b.find(number)
		r.sent = "phonebook " + number
		return r
	}}
}

func (b *phonebookBackend) find(number string) result {
	vars, err := b.book.Find(number)
	switch {
	case err != nil:
		return failure(&fault{reason: reasonBook, err: err})
	case len(vars) == 0:
		return b.grader.grade(nil, matchExact)
	}
	return b.grader.grade([]answer.Record{vars}, matchExact)
}

// checkPhonebook reports keys that have no meaning without a request and a format.
func checkPhonebook(c *Config, report func(key, problem string)) {
	used := DefaultConfig()
	used.Name, used.Type, used.Points = c.Name, c.Type, c.Points
	used.MinLength, used.Rank, used.Fill, used.Shadow = c.MinLength, c.Rank, c.Fill, c.Shadow
	if !reflect.DeepEqual(*c, used) {
		report("type", "is phonebook, which makes no request: beside it only name, points, min_length, rank, fill and shadow have a meaning")
	}
}
