package size

import "testing"

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"4GiB": 4 << 30, "512MiB": 512 << 20, "16KiB": 16384, "0B": 0, "1TiB": 1 << 40, "100B": 100, "8191PiB": -1, "8388608TiB": -1, "8388607TiB": 8388607 << 40,
		"": -1, "4": -1, "4 GiB": -1, "4GB": -1, "4G": -1, "4gib": -1, "-4GiB": -1, "+4GiB": -1, "1.5GiB": -1, "GiB": -1, "99999999999999999999B": -1, "4GiBMiB": -1, "0x4B": -1,
	} {
		var got Size
		err := got.UnmarshalText([]byte(text))
		if (err == nil) != (want >= 0) || err == nil && got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
		if err == nil && got.String() != text {
			t.Errorf("%q: printed as %s", text, got)
		}
	}
}
