package place

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
)

var update = flag.Bool("update", false, "copy the files of the module")

// TestDataIsThatOfTheModule compares the tables with those of the module, which are newer after an upgrade.
func TestDataIsThatOfTheModule(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/nyaruka/phonenumbers").Output()
	if err != nil {
		t.Fatal(err)
	}
	from, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "data/prefix_to_geocodings/*.gz"))
	if err != nil || len(from) == 0 {
		t.Fatal(from, err)
	}
	ours, err := filepath.Glob("data/*.gz")
	if err != nil {
		t.Fatal(err)
	}
	if len(ours) != len(from) && !*update {
		t.Errorf("%d files, the module has %d", len(ours), len(from))
	}
	for _, path := range from {
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		own := filepath.Join("data", filepath.Base(path))
		if *update {
			if err := os.WriteFile(own, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(own); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from that of the module (%v): copy them with go test ./lookup/number/place -update", own, err)
		}
	}
}

// TestNameIsThatOfTheModule compares places of numbers of every country with those that the module finds.
func TestNameIsThatOfTheModule(t *testing.T) {
	kinds := []phonenumbers.PhoneNumberType{phonenumbers.FIXED_LINE, phonenumbers.MOBILE, phonenumbers.TOLL_FREE}
	n := 0
	for region := range phonenumbers.GetSupportedRegions() {
		for _, kind := range kinds {
			example := phonenumbers.GetExampleNumberForType(region, kind)
			if example == nil {
				continue
			}
			for _, lang := range []string{"en", "de", "he", "ru", "iw", "zz"} {
				want, err := phonenumbers.GetGeocodingForNumber(example, lang)
				if err != nil {
					t.Fatal(err)
				}
				n++
				e164 := phonenumbers.Format(example, phonenumbers.E164)
				if got := Name(lang, e164, phonenumbers.GetRegionCodeForNumber(example)); got != want {
					t.Errorf("%s in %s: got %q, want %q", e164, lang, got, want)
				}
			}
		}
	}
	if n < 3000 {
		t.Errorf("only %d were compared", n)
	}
}

// TestUnknownNames checks what is known of languages, countries and numbers that the tables do not have.
func TestUnknownNames(t *testing.T) {
	for _, tc := range []struct{ lang, e164, country, want string }{
		{"en", "", "", ""},
		{"en", "+", "", ""},
		{"en", "+49x", "DE", "Germany"},
		{"en", "+999", "", ""},
		{"ba", "+4915112345678", "DE", "Germany"}, // a language in which no country has a name
		{"de", "+493012345", "DE", "Berlin"},
		{"he", "+493012345", "DE", "Berlin"},
	} {
		if got := Name(tc.lang, tc.e164, tc.country); got != tc.want {
			t.Errorf("%+v: got %q", tc, got)
		}
	}
}

// BenchmarkName counts what a lookup takes.
func BenchmarkName(b *testing.B) {
	b.ReportAllocs()
	Name("de", "+493012345", "DE")
	for b.Loop() {
		Name("de", "+493012345", "DE")
	}
}
