//go:build !failpoints

package failpoint

// On tells whether this program has fail points.
const On = false

// Hit does nothing.
func Hit(Point) error { return nil }
