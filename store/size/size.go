// Package size reads numbers of bytes with their units.
package size

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. As text it has a unit, such as "4GiB".
type Size int64

// units are in ascending order, each 1024 times the one before.
var units = []string{"B", "KiB", "MiB", "GiB", "TiB"}

// UnmarshalText reads a whole number with one of the units B, KiB, MiB, GiB and TiB.
func (s *Size) UnmarshalText(text []byte) error {
	digits := strings.TrimRight(string(text), "BKMGTi")
	n, err := strconv.ParseUint(digits, 10, 63)
	unit := string(text[len(digits):])
	for i, name := range units {
		if err != nil || unit != name {
			continue
		}
		if n > math.MaxInt64>>(10*i) {
			return fmt.Errorf("%q is too large", text)
		}
		*s = Size(n) << (10 * i)
		return nil
	}
	return fmt.Errorf(`%q is not a size; write a whole number and a unit, such as "512MiB" or "4GiB"`, text)
}

// String returns the size with the largest unit that needs no fraction.
func (s Size) String() string {
	i := 0
	for s != 0 && s%1024 == 0 && i < len(units)-1 {
		s /= 1024
		i++
	}
	return strconv.FormatInt(int64(s), 10) + units[i]
}
