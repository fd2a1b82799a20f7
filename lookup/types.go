package lookup

import (
	"maps"
	"slices"
	"time"

	"ringhook/httpclient"
)

// sourceTypes are the values of the key type. A new one is a file with its
// backend and a line here.
var sourceTypes = map[string]sourceType{
	typeHTTP:      {check: checkHTTP, open: openHTTP, templates: httpTemplates},
	typePhonebook: {check: checkPhonebook, open: openPhonebook},
	typeDID:       {check: checkDID, open: openDID},
}

// typeNames returns the names of the source types, sorted.
func typeNames() []string { return slices.Sorted(maps.Keys(sourceTypes)) }

// sourceType is one kind of source.
type sourceType struct {
	// check reports mistakes in the keys that only this type has.
	check func(c *Config, report func(key, problem string))
	// open returns the backend of a checked configuration. A backend that holds
	// connections has a method Close.
	open func(c *Config, r resources) (backend, error)
	// templates reports the texts of a request that contain parameters of the call,
	// with their keys; nil if there are none.
	templates func(c *Config, report func(key string, t *httpclient.Template))
}

// resources are what backends may use.
type resources struct {
	book     Phonebook
	dids     DIDs
	accounts httpclient.Accounts
}

// backend asks one source.
type backend interface {
	// prepare renders a question's request, so that the question is not needed
	// any more. It returns nil if the source cannot be asked about this caller.
	prepare(q *Question) *request
}

// request is a question as one source is asked it.
type request struct {
	// key identifies the request: cache entries and requests in flight with equal
	// keys are shared. It is empty if the source answers from memory, at once.
	key string
	// number is the caller's number if the request depends on it.
	number string
	// ask asks the source and returns at the deadline at the latest.
	ask func(deadline time.Time) result
	// forPeople asks for the parts of a result that only people look at.
	forPeople bool
	// early, if not nil, is called with an answer that can be used while the rest of it is asked for.
	early func(result)
}

// result is what a source answered.
type result struct {
	outcome Outcome // Found, Missing, Timeout or Failed
	vars    []Var
	count   int    // customers
	fault   *fault // the cause of Timeout or Failed
	partial bool   // the second request is not answered
	lacks   string // why there are no variables of the second request

	// For people only:
	sent     string               // the last request that was made, without secrets
	response *httpclient.Response // nil if there was none
	notes    []string             // values that were left out, and why
	text     string               // the response in UTF-8
}

func failure(err error) result {
	f := asFault(err)
	if f.reason == httpclient.ClassTimeout {
		return result{outcome: Timeout, fault: f}
	}
	return result{outcome: Failed, fault: f}
}

// ByNumber reports whether the source is asked about the caller's number. The configuration
// must have passed Check.
func (c *Config) ByNumber() bool {
	if c.Type != typeHTTP {
		return c.Type != typeDID
	}
	t, err := newRequestTemplate(c)
	return err == nil && t.byNumber
}

// Parameters calls report for every parameter of the call that a request contains, with
// the key that names it. The configuration must have passed Check.
func (c *Config) Parameters(report func(key, name string)) {
	c.eachName((*httpclient.Template).Names, func(key, name string) {
		if _, own := c.settings()[name]; name != allSpellings && !own {
			report(key, name)
		}
	})
}

// Unclosed calls report for every name behind a percent sign that no other closes, with
// its key. The names of parameters among them are placeholders that were to be closed.
func (c *Config) Unclosed(report func(key, name string)) {
	c.eachName((*httpclient.Template).Unclosed, report)
}

func (c *Config) eachName(names func(*httpclient.Template) []string, report func(key, name string)) {
	kind := sourceTypes[c.Type]
	if kind.templates == nil {
		return
	}
	kind.templates(c, func(key string, t *httpclient.Template) {
		for _, name := range names(t) {
			report(key, name)
		}
	})
}
