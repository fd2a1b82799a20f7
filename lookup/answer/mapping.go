package answer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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

// newMapping compiles the expressions of a configuration.
func newMapping[E any](cfg *Config, compile func(string) (E, error)) (*mapping[E], error) {
	if len(cfg.Map) == 0 {
		return nil, &KeyError{"map", fmt.Errorf(`is missing: format %s needs the expression of each variable, such as "CALLERID(name)" = %q`,
			cfg.Format, map[string]string{"json": ".contact.name", "xml": "//contact/name"}[cfg.Format])}
	}
	m := &mapping[E]{}
	if cfg.Records != "" {
		e, err := compile(cfg.Records)
		if err != nil {
			return nil, &KeyError{"records", err}
		}
		m.records = &e
	}
	for name, text := range cfg.Map {
		if !IsVarName(name) {
			return nil, &KeyError{"map." + name, errors.New("is no name of a variable")}
		}
		e, err := compile(text)
		if err != nil {
			return nil, &KeyError{"map." + name, err}
		}
		m.fields = append(m.fields, field[E]{name, e})
	}
	slices.SortFunc(m.fields, func(a, b field[E]) int { return strings.Compare(a.name, b.name) })
	return m, nil
}
