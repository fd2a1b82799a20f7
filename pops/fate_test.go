package pops

import (
	"slices"
	"testing"
)

// TestFates walks through every life: no fate returns but by a move, and nothing follows an end.
func TestFates(t *testing.T) {
	var walk func(l Life, past []Fate)
	lives := 0
	walk = func(l Life, past []Fate) {
		lives++
		if len(past) > 12 {
			return
		}
		for _, to := range Fates() {
			next := l
			if next.Turn(to, at) != nil {
				continue
			}
			if l.Fate.Over() {
				t.Fatalf("%v is followed by %s", past, to)
			}
			since := slices.Index(past, Moved)
			if since < 0 && slices.Contains(past, to) {
				t.Fatalf("%v: %s returns", past, to)
			}
			if to == Moved {
				continue // from here it starts again
			}
			walk(next, append(slices.Clone(past), to))
		}
	}
	walk(Life{}, nil)
	if lives < 20 {
		t.Errorf("%d lives", lives)
	}
}

func TestMovesAreBounded(t *testing.T) {
	l := Life{}
	for n := 0; ; n++ {
		if n > 2*maxMoves {
			t.Fatal("a pop moves for ever")
		}
		if l.Turn(Sent, at) != nil || l.Turn(NoReceipt, at) != nil {
			t.Fatalf("cannot send after %d moves", n)
		}
		if l.Turn(Moved, at) != nil {
			break
		}
	}
	if err := l.Turn(Expired, at); err != nil {
		t.Error(err)
	}
}
