package board

import "testing"

// TestMaskedText checks that a supervisor does not see the last digits of a number in a text, in whatever way it is written,
// and sees what is no number of a person.
func TestMaskedText(t *testing.T) {
	v := Viewer{masked: true}
	for text, want := range map[string]string{
		"Zoë 442079460142":        "Zoë 442079460•••",
		"+44 20 7946 0142":        "+44 20 7946 0•••",
		"050-234-5678":            "050-234-5•••",
		"2012-34-5678":            "2012-34-5•••",
		"06.12.34.56.78":          "06.12.34.5•.••",
		"(495) 123-45-67":         "(495) 123-4•-••",
		"495 123\u201145\u201367": "495 123\u20114•\u2013••",
		"050\u00a0234\u202f5678":  "050\u00a0234\u202f5•••",
		"٠٥٠٢٣٤٥٦٧٨":              "٠٥٠٢٣٤٥•••",
		"tel:+442079460142;x=1":   "tel:+442079460•••;x=1",
		// Two numbers: where the first ends cannot be known.
		"0501234567 0529876543":                        "•••••••••• ••••••••••",
		"1768473741.17":                                "1768473741.17",
		"1768473741.17 and 1768473742.18 050-234-5678": "1768473741.17 and 1768473742.18 050-234-5•••",
		"2026-01-15 10:42:31.204":                      "2026-01-15 10:42:31.204",
		"2026-01-15 050-234-5678":                      "2026-01-15 050-234-5•••",
		"101":                                          "101",
		"12345":                                        "12345",
		"":                                             "",
	} {
		if got := v.text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := v.number("06.12.34.56.78"); got != "06.12.34.5•.••" {
		t.Errorf("a number: %q", got)
	}
}
