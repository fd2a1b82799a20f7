//go:build failpoints

package failpoint

import (
	"errors"
	"testing"
)

// A trap springs once, at the hit that it was set for.
func TestFailPointSpringsOnce(t *testing.T) {
	traps = parse("result.before_commit=error@2;attempt.before_send=panic@1")
	for n, want := range []bool{false, true, false} {
		if err := Hit(ResultBeforeCommit); errors.Is(err, ErrInjected) != want {
			t.Errorf("hit %d: %v", n+1, err)
		}
	}
	if err := Hit(AcceptBeforeCommit); err != nil {
		t.Errorf("a point without a trap: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic where one was set")
		}
	}()
	_ = Hit(AttemptBeforeSend)
}

// What is set wrongly must not pass for a test that holds.
func TestFailPointRefusesNonsense(t *testing.T) {
	for _, text := range []string{"nowhere=kill@1", "result.before_commit", "result.before_commit=dance@1", "result.before_commit=kill@0", "result.before_commit=kill"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is taken", text)
				}
			}()
			parse(text)
		}()
	}
}
