package number

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestNormalize(t *testing.T) {
	n := NewReader(Config{Country: "RU", Language: "en"})
	for _, tc := range []struct {
		raw  string
		kind Kind
		want string
	}{
		{"+74951234567", Normal, "+74951234567"},
		{"84951234567", Normal, "+74951234567"},
		{"74951234567", Normal, "+74951234567"},
		{"4951234567", Normal, "+74951234567"},
		{"8 (495) 123-45-67", Normal, "+74951234567"},
		{"00493012345678", Normal, "+493012345678"},
		{"810493012345678", Normal, "+493012345678"},
		{"972502345678", Normal, "+972502345678"},
		{"", Anonymous, ""},
		{"anonymous", Anonymous, ""},
		{"Anonymous", Anonymous, ""},
		{"<unknown>", Anonymous, ""},
		{"  ", Anonymous, ""},
		{"\r\n", Anonymous, ""},
		{"101", Emergency, "101"},
		{"112", Emergency, "112"},
		{"205", Short, "205"},
		{"123456", Short, "123456"},
		{"alice", Invalid, "alice"},
		{"1-800-FLOWERS", Invalid, "1-800-FLOWERS"},
		{"0000000000000", Invalid, "0000000000000"},
		{"1+2345678", Invalid, "1+2345678"},
		{"+", Invalid, "+"},
		{strings.Repeat("9", 500), Invalid, strings.Repeat("9", 64)},
	} {
		got := n.Normalize(tc.raw)
		if got.Kind != tc.kind || got.String() != tc.want {
			t.Errorf("Normalize(%q) = %s %q, want %s %q", tc.raw, got.Kind, got, tc.kind, tc.want)
		}
		if (got.E164 != "") != (got.Kind == Normal) {
			t.Errorf("Normalize(%q) = %s with E164 %q", tc.raw, got.Kind, got.E164)
		}
	}
}

func TestNormalizeWithoutCountry(t *testing.T) {
	n := NewReader(DefaultConfig())
	for raw, want := range map[string]string{
		"+74951234567": "+74951234567", "0074951234567": "+74951234567", "12125550123": "+12125550123", "112": "112", "0301234567": "0301234567",
	} {
		if got := n.Normalize(raw).String(); got != want {
			t.Errorf("Normalize(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestRegion(t *testing.T) {
	noon := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	ru := NewReader(Config{Country: "RU", Language: "ru"})
	en := NewReader(Config{Country: "RU", Language: "en"})
	for _, tc := range []struct {
		numbers       *Reader
		raw           string
		name, country string
		clock         string
	}{
		{en, "+493012345678", "Berlin", "DE", "13:00"},
		{ru, "84951234567", "Московская обл.", "RU", "15:00"},
		{en, "+12125551234", "New York, NY", "US", "07:00"},
		{en, "88001234567", "Russia", "RU", ""}, // toll free: any of the country's zones
		{en, "101", "", "", ""},
		{en, "anonymous", "", "", ""},
	} {
		got := tc.numbers.Normalize(tc.raw)
		if got.RegionName != tc.name || got.Country != tc.country || got.RegionTime(noon) != tc.clock {
			t.Errorf("%q: %q, %q, %q, want %q, %q, %q", tc.raw, got.RegionName, got.Country, got.RegionTime(noon), tc.name, tc.country, tc.clock)
		}
	}
}

func TestConfigCheck(t *testing.T) {
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{DefaultConfig(), ""},
		{Config{Country: "IL", Language: "he"}, ""},
		{Config{Country: "Russia", Language: "en"}, "country"},
		{Config{Country: "ru", Language: "en"}, "country"},
		{Config{Language: "english"}, "language"},
		{Config{}, "language"},
	} {
		got := ""
		tc.cfg.Check(func(key, _ string) { got += key })
		if got != tc.want {
			t.Errorf("Check(%+v) reports %q, want %q", tc.cfg, got, tc.want)
		}
	}
}

// T-NUM-01.
func FuzzNormalize(f *testing.F) {
	for _, s := range []string{
		"+74951234567", "84951234567", "", "anonymous", "112", "tel:+7;ext=5", "+7 495 x 12", "\x00", "٣٤٥٦٧٨٩", "+1-800-FLOWERS",
		";phone-context=+1", "00", "\xff\xfe", "+++++++", "(((((((", "12345678901234567890",
	} {
		f.Add(s)
	}
	numbers := []*Reader{NewReader(Config{Country: "RU", Language: "ru"}), NewReader(DefaultConfig())}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, n := range numbers {
			got := n.Normalize(raw)
			if len(got.Raw) > maxNumber || !utf8.ValidString(got.Raw) || strings.ContainsAny(got.Raw, "\r\n\x00") {
				t.Fatalf("Normalize(%q).Raw = %q", raw, got.Raw)
			}
			if got.Kind == Normal {
				if again := n.Normalize(got.E164); again.E164 != got.E164 {
					t.Fatalf("Normalize(%q) = %s, and that again = %s %s", raw, got.E164, again.Kind, again)
				}
				if digits, ok := strings.CutPrefix(got.E164, "+"); !ok || len(digits) > 17 {
					t.Fatalf("Normalize(%q) = %q, which is no E.164", raw, got.E164)
				}
			}
			got.RegionTime(time.Unix(1e9, 0))
		}
	})
}

func BenchmarkNormalize(b *testing.B) {
	n := NewReader(Config{Country: "RU", Language: "ru"})
	b.ReportAllocs()
	for b.Loop() {
		n.Normalize("84951234567")
	}
}
