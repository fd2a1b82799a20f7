//go:build !failpoints

package failpoint

// On reports whether this program has failpoints.
const On = false

// Hit does nothing.
func Hit(Point) error { return nil }
