//go:build !failpoints

package failpoint

import "testing"

// Without the tag, Hit does nothing, whatever the environment says.
func TestOff(t *testing.T) {
	t.Setenv("RINGHOOK_FAILPOINTS", "accept.before_commit=panic@1")
	for _, p := range All {
		if err := Hit(p); err != nil || On {
			t.Errorf("%s: %v", p, err)
		}
	}
}
