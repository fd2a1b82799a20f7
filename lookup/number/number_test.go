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
		if (got.E164 != "") != (got.Kind == Normal || got.Kind == Possible) {
			t.Errorf("Normalize(%q) = %s with E164 %q", tc.raw, got.Kind, got.E164)
		}
	}
}

// Numbers as people, spreadsheets and phones write them.
func TestNormalizeAsWritten(t *testing.T) {
	readers := map[string]*Reader{}
	for _, country := range []string{"DE", "EG", "IL", "TZ", "MX", "RU"} {
		readers[country] = NewReader(Config{Country: country, Language: "en"})
	}
	for _, tc := range []struct {
		country, raw string
		kind         Kind
		want         string
	}{
		// C4: spreadsheets, and two numbers in one.
		{"DE", "493023456701.0", Normal, "+493023456701"},
		{"DE", "+493023456701.00", Normal, "+493023456701"},
		{"DE", "030 23456701/02", Invalid, "030 23456701/02"},
		{"DE", "0171 1234567/8", Invalid, "0171 1234567/8"},
		{"DE", "030 23456701/030 23456702", Invalid, "030 23456701/030 23456702"},
		{"DE", "030/23456701", Normal, "+493023456701"},
		{"DE", "030 23456705-06", Invalid, "030 23456705-06"},
		{"DE", "030 23456707 - 8", Invalid, "030 23456707 - 8"},
		{"DE", "03023456710\u201312", Invalid, "03023456710\u201312"},
		{"DE", "030 23456700-99", Invalid, "030 23456700-99"},
		{"DE", "+49 30 2345670-9", Invalid, "+49 30 2345670-9"},
		{"DE", "030 23456701, 030 23456702", Invalid, "030 23456701, 030 23456702"},
		{"DE", "030 23456701; +49 171 1234567", Invalid, "030 23456701; +49 171 1234567"},
		{"DE", "030 23456701,,123456789#", Normal, "+493023456701"},
		{"DE", "030 12345 030 67890", Invalid, "030 12345 030 67890"},
		{"DE", "030-12345-030-67890", Invalid, "030-12345-030-67890"},
		{"DE", "(030) 12345 (030) 67890", Invalid, "(030) 12345 (030) 67890"},
		{"DE", "030 12345 0049 30 67890", Invalid, "030 12345 0049 30 67890"},
		{"DE", "+49 30 12345 030 67890", Invalid, "+49 30 12345 030 67890"},
		{"DE", "030 12345\t030 67890", Invalid, "030 12345 030 67890"},
		{"DE", "030 12345\r\n030 67890", Invalid, "030 12345  030 67890"},
		{"DE", "030 12345\u00a0030\u00a067890", Invalid, "030 12345\u00a0030\u00a067890"},
		{"IL", "03-6123456 03-6123457", Invalid, "03-6123456 03-6123457"},
		{"MX", "55 1234 5678 55 1234 5679", Invalid, "55 1234 5678 55 1234 5679"},
		{"DE", "030 2345 0678", Normal, "+493023450678"},
		{"DE", "030 234 567 0123", Normal, "+49302345670123"},
		{"DE", "0221 1234 056789", Normal, "+492211234056789"},
		{"DE", "0049 1512 3456789", Normal, "+4915123456789"},
		{"DE", "+33 1 02 03 04 05", Normal, "+33102030405"},
		{"DE", "00 44 020 7946 0958", Normal, "+442079460958"},
		{"DE", "1700000001.17", Invalid, "1700000001.17"}, // the linkedid of a call
		{"DE", "1732345678.0", Normal, "+491732345678"},
		{"DE", "030 234567-89", Normal, "+493023456789"},
		{"DE", "030-23456701", Normal, "+493023456701"},
		{"RU", "8 495 123-45-46", Normal, "+74951234546"},
		{"IL", "03-612-3457", Normal, "+97236123457"},
		{"MX", "55-1234-5678", Normal, "+525512345678"},
		{"DE", "=03023456701", Normal, "+493023456701"},
		{"DE", "=\"03023456701\"", Normal, "+493023456701"},
		{"DE", "Tel. 030 23456701", Normal, "+493023456701"},
		{"DE", "Mobil: 0171 1234567", Normal, "+491711234567"},
		{"DE", "telstra", Invalid, "telstra"},
		{"DE", "(030) 23456701 App. 12", Normal, "+493023456701"},
		{"DE", "4.93023E+11", Invalid, "4.93023E+11"},
		{"DE", "030/234567-01", Normal, "+493023456701"},
		{"DE", "+49/30/23456701", Normal, "+493023456701"},
		// C8: invisible and typographic marks.
		{"DE", "\u202a+49 30 23456701\u202c", Normal, "+493023456701"},
		{"DE", "+49\u00a030\u00a023456701", Normal, "+493023456701"},
		{"DE", "+49\u201130\u201123456701", Normal, "+493023456701"},
		{"DE", "+49 30\u200b23456701", Normal, "+493023456701"},
		{"DE", "+49\u202f30\u200923456701\ufeff", Normal, "+493023456701"},
		{"DE", "(+49) 30 23456701", Normal, "+493023456701"},
		{"DE", "(+49)(0)30 23456701", Normal, "+493023456701"},
		{"DE", "++49 30 23456701", Normal, "+493023456701"},
		{"DE", "'+493023456701", Normal, "+493023456701"},
		{"DE", "[030] 23456701", Normal, "+493023456701"},
		{"DE", "＋４９３０２３４５６７０１", Normal, "+493023456701"},
		{"DE", "٠٣٠٢٣٤٥٦٧٠١", Normal, "+493023456701"},
		{"DE", "030\u201323456701", Normal, "+493023456701"},
		{"DE", "tel:+49-30-23456701", Normal, "+493023456701"},
		{"DE", "\u061c+49 30 23456701", Normal, "+493023456701"},
		{"DE", "\u180e030\ufe0e23456701\U000e0020", Normal, "+493023456701"},
		{"DE", "030\u168023456701", Normal, "+493023456701"},
		{"DE", "030\u2e3a234567\u058a01", Normal, "+493023456701"},
		{"DE", "०३०२३४५६७०१", Normal, "+493023456701"},
		{"DE", "𝟎𝟑𝟎𝟐𝟑𝟒𝟓𝟔𝟕𝟎𝟏", Normal, "+493023456701"},
		{"DE", "030\u204423456701", Normal, "+493023456701"},
		{"DE", "030 23456701\u204402", Invalid, "030 23456701\u204402"},
		{"DE", "0171 1234567 (2)", Invalid, "0171 1234567 (2)"},
		{"DE", "0171 1234567 [8]", Invalid, "0171 1234567 [8]"},
		{"DE", "+49 30 + 23456701", Invalid, "+49 30 + 23456701"},
		// C13: extensions, pauses, remarks.
		{"DE", "030 23456701 x12", Normal, "+493023456701"},
		{"DE", "030 23456701x12", Normal, "+493023456701"},
		{"DE", "030 23456701,,12#", Normal, "+493023456701"},
		{"DE", "030 23456701;12", Normal, "+493023456701"},
		{"DE", "+493023456701;ext=12", Normal, "+493023456701"},
		{"DE", "030 23456701 ext. 12", Normal, "+493023456701"},
		{"DE", "030 23456701 Ext 12", Normal, "+493023456701"},
		{"DE", "030 23456701 (office)", Normal, "+493023456701"},
		{"DE", "030 23456701 (Büro 2)", Normal, "+493023456701"},
		{"RU", "8 495 123-45-67 доб. 12", Normal, "+74951234567"},
		{"DE", "030 23456701 x12 (office)", Normal, "+493023456701"},
		{"DE", "030 23456701 (office) x12", Normal, "+493023456701"},
		{"DE", "030 23456701p12p3", Normal, "+493023456701"},
		{"IL", "03-6123456 שלוחה 12", Normal, "+97236123456"},
		{"DE", "030 23456701p12", Normal, "+493023456701"},
		{"DE", "030 23456701 or 02", Invalid, "030 23456701 or 02"},
		{"DE", "101 x5", Short, "101 x5"},
		// C9: possible numbers, one key for all spellings.
		{"IL", "0501234567", Possible, "+972501234567"},
		{"IL", "+972501234567", Possible, "+972501234567"},
		{"IL", "972501234567", Possible, "+972501234567"},
		{"IL", "00972501234567", Possible, "+972501234567"},
		{"IL", "050-123-4567", Possible, "+972501234567"},
		{"EG", "002000000000001", Possible, "+2000000001"},
		{"EG", "+200000000001", Possible, "+2000000001"},
		{"DE", "+49000000100", Invalid, "+49000000100"},
		{"TZ", "0721234567", Possible, "+255721234567"},
		{"TZ", "+255 72 123 4567", Possible, "+255721234567"},
		{"MX", "+52 1 55 1234 5678", Normal, "+525512345678"},
		{"MX", "5215512345678", Normal, "+525512345678"},
		{"MX", "55 1234 5678", Normal, "+525512345678"},
		{"DE", "+999123456789", Invalid, "+999123456789"},
		{"DE", "0000000000000", Invalid, "0000000000000"},
	} {
		got := readers[tc.country].Normalize(tc.raw)
		if got.Kind != tc.kind || got.String() != tc.want {
			t.Errorf("Normalize(%q) in %s = %s %q, want %s %q", tc.raw, tc.country, got.Kind, got, tc.kind, tc.want)
		}
	}
}

func TestNormalizeWithoutCountry(t *testing.T) {
	n := NewReader(DefaultConfig())
	for raw, want := range map[string]string{
		"+74951234567": "+74951234567", "030 12345 030 67890": "030 12345 030 67890", "0074951234567": "+74951234567", "12125550123": "+12125550123", "112": "112", "0301234567": "0301234567",
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

// A trunk's names in its charset.
func TestName(t *testing.T) {
	for _, tc := range []struct{ charset, raw, want string }{
		{"windows-1251", "\xc0\xed\xed\xe0 K", "Анна K"},
		{"windows-1251", "Анна", "Анна"},
		{"windows-1255", "\xe7\xf0\xe4", "חנה"},
		{"", "\xc0\xed", "\xc0\xed"},
		{"utf-8", "\xc0\xed", "\xc0\xed"},
		{"windows-1251", "", ""},
	} {
		cfg := Config{Country: "RU", Language: "en", Charset: tc.charset}
		cfg.Check(func(key, problem string) { t.Errorf("%s %s", key, problem) })
		n := NewReader(cfg)
		other, _ := n.In("DE")
		if got := n.Name(tc.raw, ""); got != tc.want || other.Name(tc.raw, "") != tc.want {
			t.Errorf("Name(%q) in %s = %q, want %q", tc.raw, tc.charset, got, tc.want)
		}
	}
	n := NewReader(Config{Country: "RU", Language: "en", Charset: "windows-1251"})
	for trunk, want := range map[string]string{"windows-1255": "חנה", "": "зрд", "utf-8": "\xe7\xf0\xe4", "WINDOWS-1251": "зрд"} {
		if got := n.Name("\xe7\xf0\xe4", trunk); got != want || !IsCharset(trunk) {
			t.Errorf("from a trunk with %q: %q, want %q", trunk, got, want)
		}
	}
	for _, wrong := range []string{"martian", "utf-16le", "iso-2022-kr"} {
		if IsCharset(wrong) {
			t.Errorf("%s is taken for a charset of names", wrong)
		}
		cfg := Config{Language: "en", Charset: wrong}
		got := ""
		cfg.Check(func(key, _ string) { got += key })
		if got != "charset" {
			t.Errorf("charset %s: reported %q, want charset", wrong, got)
		}
	}
}

// FuzzBase compares the short way for numbers of digits with the expressions.
func FuzzBase(f *testing.F) {
	for _, s := range []string{"", "+", "++49", "4930+1", "84951234567", "+4930123456", "00", "4930123456.0", "+49 (0)30 12", "030 1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		raw = clip(raw)
		got, several := base(raw)
		if want, wantSeveral := trimmed(raw); got != want || several != wantSeveral {
			t.Errorf("base(%q) = %q, %v, want %q, %v", raw, got, several, want, wantSeveral)
		}
	})
}

// T-NUM-01.
func FuzzNormalize(f *testing.F) {
	for _, s := range []string{
		"+74951234567", "84951234567", "", "anonymous", "112", "tel:+7;ext=5", "+7 495 x 12", "\x00", "٣٤٥٦٧٨٩", "+1-800-FLOWERS",
		";phone-context=+1", "00", "\xff\xfe", "+++++++", "(((((((", "12345678901234567890",
		"002000000000001", "+49000000100",
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
			if got.Kind == Normal || got.Kind == Possible {
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

// BenchmarkNormalizeNew is of a caller who did not call recently.
func BenchmarkNormalizeNew(b *testing.B) {
	n := NewReader(Config{Country: "DE", Language: "en"})
	b.ReportAllocs()
	for b.Loop() {
		n.read("+493012345678")
	}
}
