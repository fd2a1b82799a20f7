package lookup

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"ringhook/lookup/answer"
)

// TestAnswersAreSmall checks that only the extracted values of an answer remain in memory, for an answer of
// 1 MiB that is 1 KiB compressed, in each format and with and without the cache.
func TestAnswersAreSmall(t *testing.T) {
	const callers = 40
	long := strings.Repeat("x", 1<<20-100)
	for name, tc := range map[string]struct {
		format, body string
	}{
		"text":      {"text", long},
		"pairs":     {"pairs", "CALLERID(name)=Anna&note=" + long},
		"pairs-raw": {"pairs-raw", "CALLERID(name)=Anna&note=" + long},
		"json":      {"json", `{"name":"Anna","note":"` + long + `"}`},
		"xml":       {"xml", "<c><name>Anna</name><note>" + long + "</note></c>"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := crm(t, zipped([]byte(tc.body)))
			cfg.Format = tc.format
			switch tc.format {
			case "json":
				cfg.Map = map[string]string{"CALLERID(name)": ".name", "note": ".note"}
			case "xml":
				cfg.Map = map[string]string{"CALLERID(name)": "//name", "note": "//note"}
			}
			b := start(t, cfg)
			var held []Answer
			before := heap()
			for i := range callers {
				got := await(b.Ask(ask(fmt.Sprintf("+7495%07d", i))))
				for _, v := range got.Vars {
					if len(v.Value) > maxValue {
						t.Fatalf("%s has %d bytes", v.Name, len(v.Value))
					}
				}
				held = append(held, got)
			}
			limit := float64(callers*4*maxValue + 1<<20) // the answer and its cache entry
			grown := heap() - before
			for i := 0; grown > limit && i < 50; i++ { // the last request may not have let go of its body yet
				grown = heap() - before
			}
			if grown > limit {
				t.Errorf("%d answers use %.0f bytes, want at most %.0f", callers, grown, limit)
			}
			runtime.KeepAlive(held)
		})
	}
}

// TestTooMuchText checks an answer that exceeds the limit of text.
func TestTooMuchText(t *testing.T) {
	var body strings.Builder
	for i := range 100 {
		fmt.Fprintf(&body, "v%d=%s&", i, strings.Repeat("x", 1000))
	}
	b := start(t, crm(t, answers(body.String())))
	if got := await(b.Ask(ask(anna))); got.Outcome != Failed {
		t.Errorf("answer = %.100v, want error", got)
	}
	if n := b.count(t, "ringhook_lookup_errors_total", "crm", answer.ReasonLimit); n != 1 {
		t.Errorf("counted %v times as %s, want once", n, answer.ReasonLimit)
	}
}

// TestCutKeepsCharacters checks that a cut value is valid UTF-8.
func TestCutKeepsCharacters(t *testing.T) {
	for _, s := range []string{"", "a", strings.Repeat("a", maxValue+1), strings.Repeat("я", maxValue), "a" + strings.Repeat("🙂", maxValue)} {
		got := cut(s)
		if !strings.HasPrefix(s, got) || len(got) > maxValue || len(got) < min(len(s), maxValue-3) || strings.ToValidUTF8(got, "") != got {
			t.Errorf("cut of %d bytes has %d bytes", len(s), len(got))
		}
	}
}

// TestNobodyOfText checks the rule `nobody` for format = "text", which has one variable.
func TestNobodyOfText(t *testing.T) {
	for body, want := range map[string]Outcome{"77": Found, "0": Missing, "": Missing} {
		cfg := crm(t, answers(body))
		cfg.Format, cfg.Variable, cfg.Nobody = "text", "customer_id", []string{"", "0"}
		if got := await(start(t, cfg).Ask(ask(anna))); got.Outcome != want || want == Found && got.value("customer_id") != "77" {
			t.Errorf("answer %q is %+v, want %s", body, got, want)
		}
	}
}
