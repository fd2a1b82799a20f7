package conf

import "strings"

// position is the file and the line of a value: the line of its key, or of its first
// character if it is an element of a list.
type position struct {
	file  string
	line  int
	keys  map[string]*position // of a table
	items []*position          // of a list, and of tables written as [[name]]
	wrong bool                 // a mistake was reported here
}

// key returns the position of a table's key, and that of the table if the file does
// not have the key.
func (p *position) key(name string) *position {
	if at := p.keys[name]; at != nil {
		return at
	}
	return &position{file: p.file, line: p.line}
}

// dotted returns the position of a key inside tables, such as "headers.Accept".
func (p *position) dotted(key string) *position {
	table, rest, ok := strings.Cut(key, ".")
	if !ok || p.keys[key] != nil {
		return p.key(key)
	}
	return p.key(table).dotted(rest)
}

// item returns the position of a list element.
func (p *position) item(i int) *position {
	if i < len(p.items) {
		return p.items[i]
	}
	return &position{file: p.file, line: p.line}
}

// set stores the position of a table's key.
func (p *position) set(name string, at *position) {
	if p.keys == nil {
		p.keys = make(map[string]*position)
	}
	p.keys[name] = at
}

// add returns the position of a table's key, and creates it on this line if it is new.
// In a list of tables, the key belongs to the last one, as in TOML.
func (p *position) add(name string, line int) *position {
	if n := len(p.items); n > 0 {
		p = p.items[n-1]
	}
	if at := p.keys[name]; at != nil {
		return at
	}
	at := &position{file: p.file, line: line}
	p.set(name, at)
	return at
}
