package store

import (
	"fmt"
	"testing"
)

// TestCallSet: what is added is there, once, until it is removed, and nothing else is.
func TestCallSet(t *testing.T) {
	const n = 100_000
	s := newCallSet()
	id := func(i int) string { return fmt.Sprintf("1795274532.%d", i) }
	for range 2 {
		for i := range n {
			s.add(id(i))
		}
	}
	for i := range n {
		if i%2 == 0 {
			s.remove(id(i))
			s.remove(id(i))
		}
	}
	if left := s.size(); left != n/2 {
		t.Errorf("%d calls are left, want %d", left, n/2)
	}
	for i := range 2 * n {
		if want := i < n && i%2 == 1; s.has(id(i)) != want {
			t.Fatalf("%s: %v, want %v", id(i), !want, want)
		}
	}
}

func (s *callSet) size() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, part := range s.parts {
		n += len(part)
	}
	return n
}

func BenchmarkCallSet(b *testing.B) {
	s := newCallSet()
	ids := make([]string, 1_000_000)
	for i := range ids {
		ids[i] = fmt.Sprintf("1795274532.%d", i)
		s.add(ids[i])
	}
	for i := 0; b.Loop(); i++ {
		s.has(ids[i%len(ids)])
	}
}
