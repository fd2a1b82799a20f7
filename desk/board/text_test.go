package board

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"ringhook/desk/figures"
	"ringhook/pops"
)

// TestTexts checks that every language has the same texts, and that every text that a page asks for is there.
func TestTexts(t *testing.T) {
	if len(texts) != 4 {
		t.Fatalf("%d languages", len(texts))
	}
	for tag, own := range texts {
		for key := range texts["en"] {
			if _, have := own[key]; !have {
				t.Errorf("%s has no %s", tag, key)
			}
		}
		if len(own) != len(texts["en"]) {
			t.Errorf("%s has %d texts, and English %d", tag, len(own), len(texts["en"]))
		}
	}
	shared := map[string]bool{ // of the desk
		"brand": true, "theme": true, "language": true, "sign_out": true, "sign_in": true, "withheld": true, "live": true, "reconnecting": true, "not_live": true,
		"failed": true, "no_reason": true, "log_in": true, "log_out": true, "hang_up": true, "pause": true, "resume": true, "static": true,
		"asleep": true, "asleep_hint": true, "show_here": true,
	}
	want := map[string]string{}
	asked := regexp.MustCompile(`(?:\.T |\bt\()"([a-z_]*[a-z])"`)
	for _, pattern := range []string{"assets/*.html", "assets/*.js", "*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range asked.FindAllStringSubmatch(string(text), -1) {
				want[m[1]] = name
			}
		}
	}
	for _, r := range pops.Reasons() {
		want["reason_"+string(r)] = "reasons"
		if r != pops.Popped {
			want["explain_"+string(r)] = "reasons"
		}
	}
	for _, f := range pops.Fates() {
		want["fate_"+string(f)] = "fates"
	}
	for _, o := range figures.Outcomes() {
		want["outcome_"+o] = "outcomes"
	}
	for _, s := range outboxStates {
		want["state_"+s] = "states"
	}
	for _, s := range spans {
		want[s.Key] = "spans"
	}
	for _, r := range Routes() {
		if m := regexp.MustCompile(`^GET /desk/([a-z]+)$`).FindStringSubmatch(r.Pattern); m != nil {
			want["page_"+m[1]] = "routes"
		}
	}
	for key, by := range want {
		if texts["en"][key] == "" && !shared[key] {
			t.Errorf("no text %s, which %s shows", key, by)
		}
	}
}

// TestMask checks which digits are hidden, and that ids of calls and dates stay.
func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"+442079460142": "+442079460•••", "101": "•••", "": "", "anonymous": "anonymous", "+49 30 123-456": "+49 30 123-•••",
	} {
		if got := mask(in); got != want {
			t.Errorf("mask(%q) is %q, want %q", in, got, want)
		}
	}
	v := Viewer{masked: true}
	for in, want := range map[string]string{
		"callerid=+442079460142 name=Zoë": "callerid=+442079460••• name=Zoë", "1768473741.17": "1768473741.17", "PJSIP/trunk-00000021": "PJSIP/trunk-00000•••",
		"https://crm.example/?p=%2B442079460142": "https://crm.example/?p=%2B442079460•••", "2026-01-15": "2026-01-15", "12 ms": "12 ms", "Anna 101": "Anna 101",
	} {
		if got := v.text(in); got != want {
			t.Errorf("text(%q) is %q, want %q", in, got, want)
		}
	}
}

func TestHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"Anna": "Anna", "=1+1": "'=1+1", "+49": "'+49", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "' =1", " =1": "' =1", "＝1": "'＝1", "|calc": "'|calc", "": "", "a=b": "a=b", "a\r\n=1": "a  =1",
		"Anna;=1+1": "Anna;'=1+1", "Anna, =1+1": "Anna,' =1+1", "Anna\t=1+1": "Anna =1+1", `Anna;"=1+1"`: `Anna;'"=1+1"`, ";;-1": ";;'-1", "Sales, Support; 5": "Sales, Support; 5", "\u200b=1": "'\u200b=1",
	} {
		if got := harmless(in); got != want {
			t.Errorf("harmless(%q) is %q, want %q", in, got, want)
		}
	}
}
