package lookup

import "encoding/binary"

// The first byte of encoded variables. Entries with another one are ignored.
const (
	varsVersion    = 1
	partialVersion = 2 // the same, of an answer without that of the second request
)

// encodeVars writes variables compactly: the version, their number, then each name and
// value after its length.
func encodeVars(vars []Var, partial bool) []byte {
	size := 1 + binary.MaxVarintLen32
	for _, v := range vars {
		size += len(v.Name) + len(v.Value) + 2*binary.MaxVarintLen32
	}
	b := append(make([]byte, 0, size), varsVersion)
	if partial {
		b[0] = partialVersion
	}
	b = binary.AppendUvarint(b, uint64(len(vars)))
	for _, v := range vars {
		b = binary.AppendUvarint(b, uint64(len(v.Name)))
		b = append(b, v.Name...)
		b = binary.AppendUvarint(b, uint64(len(v.Value)))
		b = append(b, v.Value...)
	}
	return b
}

// decodeVars reads what encodeVars wrote, and reports whether it is that. The
// strings share one copy of b.
func decodeVars(b []byte) ([]Var, bool) {
	if len(b) == 0 || b[0] != varsVersion && b[0] != partialVersion {
		return nil, false
	}
	count, size := binary.Uvarint(b[1:])
	if size <= 0 || count > uint64(len(b)) {
		return nil, false
	}
	text := string(b)
	at := 1 + size
	vars := make([]Var, 0, count)
	for range count {
		var v Var
		for _, field := range []*string{&v.Name, &v.Value} {
			n, size := binary.Uvarint(b[at:])
			if size <= 0 || n > uint64(len(b)-at-size) {
				return nil, false
			}
			at += size
			*field = text[at : at+int(n)]
			at += int(n)
		}
		vars = append(vars, v)
	}
	return vars, at == len(b)
}

// Variables returns the variables of a cached answer, and reports whether this
// version of ringhook can read them.
func (e *Entry) Variables() ([]Var, bool) { return decodeVars(e.Vars) }

// partial reports whether an answer is without that of the second request.
func (e *Entry) partial() bool { return len(e.Vars) > 0 && e.Vars[0] == partialVersion }
