package lookup

import (
	"slices"
	"testing"
)

func FuzzDecodeVars(f *testing.F) {
	f.Add(encodeVars(nil, false))
	f.Add(encodeVars([]Var{{Name: "CALLERID(name)", Value: "Anna"}, {Name: "QUEUE_PRIO", Value: "5"}}, true))
	f.Add([]byte{varsVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{varsVersion, 1, 1, 'a'})
	f.Add([]byte{varsVersion, 5})
	f.Add([]byte{3, 1, 'a', 1, 'b'})
	f.Fuzz(func(t *testing.T, b []byte) {
		vars, ok := decodeVars(b)
		if ok {
			if again, ok := decodeVars(encodeVars(vars, false)); !ok || !slices.Equal(again, vars) {
				t.Fatalf("%v becomes %v", vars, again)
			}
		}
	})
}
