package conf

import "strings"

// place is where a value stands in the file: the line of its key, or of its
// first character where it is an element of a list.
type place struct {
	line  int
	keys  map[string]*place // of a table
	items []*place          // of a list, and of tables written as [[name]]
	wrong bool              // a mistake is reported already
}

// key gives the place of a table's key. Where the file does not have the key it is the
// table's own line: there it is missing.
func (p *place) key(name string) *place {
	if at := p.keys[name]; at != nil {
		return at
	}
	return &place{line: p.line}
}

// dotted gives the place of a key inside tables, as "headers.Accept".
func (p *place) dotted(key string) *place {
	table, rest, ok := strings.Cut(key, ".")
	if !ok || p.keys[key] != nil {
		return p.key(key)
	}
	return p.key(table).dotted(rest)
}

// item gives the place of a list's element.
func (p *place) item(i int) *place {
	if i < len(p.items) {
		return p.items[i]
	}
	return &place{line: p.line}
}

// add gives the place of a table's key, made on this line where it is new. In a list of
// tables the key is the last one's, as TOML has it.
func (p *place) add(name string, line int) *place {
	if n := len(p.items); n > 0 {
		p = p.items[n-1]
	}
	if at := p.keys[name]; at != nil {
		return at
	}
	if p.keys == nil {
		p.keys = make(map[string]*place)
	}
	at := &place{line: line}
	p.keys[name] = at
	return at
}
