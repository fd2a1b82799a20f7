package answer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// mapping is how variables are taken out of an answer in JSON or XML.
type mapping[E any] struct {
	records *E // the customers in it; nil if the whole answer is one
	fields  []field[E]
}

type field[E any] struct {
	name string
	expr E
}

// newMapping compiles the expressions of a configuration. Its error joins those of all keys.
func newMapping[E any](cfg *Config, compile func(string) (E, error)) (*mapping[E], error) {
	if len(cfg.Map) == 0 {
		return nil, &KeyError{"map", fmt.Errorf(`is missing: format %s needs the expression of each variable, such as "CALLERID(name)" = %q`,
			cfg.Format, map[string]string{"json": ".contact.name", "xml": "//contact/name"}[cfg.Format])}
	}
	m := &mapping[E]{}
	var wrong []error
	if cfg.Records != "" {
		e, err := compile(cfg.Records)
		if err != nil {
			wrong = append(wrong, &KeyError{"records", err})
		}
		m.records = &e
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Map)) {
		e, err := compile(cfg.Map[name])
		if !IsVarName(name) {
			err = errors.New("is no name of a variable")
		}
		if err != nil {
			wrong = append(wrong, &KeyError{"map." + name, err})
		}
		m.fields = append(m.fields, field[E]{name, e})
	}
	return m, errors.Join(wrong...)
}
