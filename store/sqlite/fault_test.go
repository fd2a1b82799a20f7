package sqlite

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// TestClassOfSystem checks that a failure to open a file for want of descriptors or room is no damage of it.
func TestClassOfSystem(t *testing.T) {
	for number, want := range map[syscall.Errno]Class{syscall.EMFILE: IO, syscall.ENFILE: IO, syscall.EACCES: IO, syscall.ENOMEM: IO, syscall.ENOSPC: Full, syscall.EDQUOT: Full} {
		if got := ClassOf(fmt.Errorf("open: %w", &os.PathError{Op: "open", Path: "cache.db", Err: number})); got != want {
			t.Errorf("%s: got %s, want %s", number, got, want)
		}
	}
	if got := ClassOf(ErrForeign); got != Other {
		t.Errorf("got %s, want %s", got, Other)
	}
}
