package sqlite

import "testing"

// An older SQLite may lose a write-ahead log.
func TestSQLiteVersion(t *testing.T) {
	if err := CheckVersion(); err != nil {
		t.Error(err)
	}
	for number, good := range map[int]bool{3_051_003: true, 3_053_004: true, 4_000_000: true, 3_051_002: false, 3_046_001: false} {
		if err := checkSQLite("x", number); (err == nil) != good {
			t.Errorf("%d: got %v", number, err)
		}
	}
}
