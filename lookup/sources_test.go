package lookup

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"ringhook/lookup/answer"
)

// named returns a lookup with a name, whose source answers body and counts requests.
func named(t *testing.T, name, body string, requests *atomic.Int32) Config {
	cfg := crm(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		io.WriteString(w, body)
	})
	cfg.Name = name
	return cfg
}

// TestRank checks that a source is asked only if no source of a lower rank has an answer.
func TestRank(t *testing.T) {
	for _, tc := range []struct {
		name         string
		first, later string // bodies
		want         string
		asked        int32 // requests to the later source
	}{
		{"the first has an answer", "name=A", "name=B", "A", 0},
		{"the first has none", "", "name=B", "B", 1},
		{"the first answer is invalid", "<html>", "name=B", "B", 1},
		{"neither has an answer", "", "", "", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var first, later atomic.Int32
			a, z := named(t, "a", tc.first, &first), named(t, "z", tc.later, &later)
			z.Rank = 1
			b := start(t, z, a) // the rank decides, not the order in the file
			got := await(b.Ask(ask(anna)))
			if got.value("name") != tc.want || first.Load() != 1 || later.Load() != tc.asked {
				t.Errorf("answer %+v after %d and %d requests, want %q after 1 and %d", got, first.Load(), later.Load(), tc.want, tc.asked)
			}
			got = await(b.Ask(ask(anna)))
			if got.value("name") != tc.want {
				t.Errorf("second answer %+v, want %q", got, tc.want)
			}
		})
	}
}

// TestRankAfterTimeout checks that the next rank is asked after the timeout of a source.
func TestRankAfterTimeout(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	slow := crm(t, func(http.ResponseWriter, *http.Request) { <-release })
	slow.Name, slow.Timeout = "slow", 20*time.Millisecond
	var requests atomic.Int32
	next := named(t, "next", "name=B", &requests)
	next.Rank = 1
	if got := await(start(t, slow, next).Ask(ask(anna))); got.Outcome != Found || got.Source != "next" {
		t.Errorf("answer = %+v, want the next rank's", got)
	}
}

// TestRankAtDeadline checks that at the deadline the cached answer of a rank that was not asked is used.
func TestRankAtDeadline(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	var block atomic.Bool
	first := crm(t, func(http.ResponseWriter, *http.Request) {
		if block.Load() {
			<-release
		}
	})
	first.Name, first.CacheMissing = "first", 0
	var requests atomic.Int32
	next := named(t, "next", "name=B", &requests)
	next.Rank = 1
	b := start(t, first, next)
	await(b.Ask(ask(anna)))
	block.Store(true)
	if got := b.Ask(ask(anna)).Answer(); got.Outcome != Found || got.Source != "next" || !got.Cached {
		t.Errorf("answer = %+v, want the next rank's from the cache", got)
	}
}

// TestFill checks that variables missing in the answer are taken from other sources.
func TestFill(t *testing.T) {
	for _, tc := range []struct {
		name, winner, filler string
		rank                 int
		source, person, info string
		outcome              Outcome
	}{
		{"fills", "name=A", "name=B&info=VIP", 1, "winner", "A", "VIP", Found},
		{"fills in the same rank", "name=A", "name=B&info=VIP", 0, "winner", "A", "VIP", Found},
		{"knows nothing", "name=A", "", 1, "winner", "A", "", Found},
		{"fails", "name=A", "<html>", 1, "winner", "A", "", Found},
		{"wins itself", "", "name=B&info=VIP", 1, "filler", "B", "VIP", Found},
		{"nobody", "", "", 1, "", "", "", Missing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var n, m atomic.Int32
			winner, filler := named(t, "winner", tc.winner, &n), named(t, "filler", tc.filler, &m)
			filler.Fill, filler.Rank = true, tc.rank
			b := start(t, winner, filler)
			for range 2 {
				got := await(b.Ask(ask(anna)))
				if got.Outcome != tc.outcome || got.Source != tc.source || got.value("name") != tc.person || got.value("info") != tc.info {
					t.Errorf("answer = %+v", got)
				}
			}
			// The filled variables must not be in the cache entry of the winner.
			for range b.cache.entries {
				if e := <-b.cache.stored; e.Lookup == "winner" {
					if vars, _ := decodeVars(e.Vars); answer.Record(vars).Value("info") != "" {
						t.Errorf("the entry of the winner has %v", vars)
					}
				}
			}
		})
	}
}

// TestShadow checks that the answer of a shadow is compared but not used.
func TestShadow(t *testing.T) {
	for _, tc := range []struct {
		name, given, shadow string
		verdict             string
	}{
		{"the same", "name=A&x=1", "name=A&y=2", shadowAgrees},
		{"no customer, both", "", "", shadowAgrees},
		{"another name", "name=A", "name=B", shadowDiffers},
		{"knows one more", "", "name=B", shadowDiffers},
		{"knows one less", "name=A", "", shadowMissing},
		{"fails", "name=A", "<html>", shadowUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var n, m atomic.Int32
			given, shadow := named(t, "given", tc.given, &n), named(t, "shadow", tc.shadow, &m)
			shadow.Shadow = true
			b := start(t, shadow, given)
			got := await(b.Ask(ask(anna)))
			if got.value("name") != answer.Record(fields(t, tc.given)).Value("name") || got.Source == "shadow" {
				t.Errorf("answer = %+v, want %q", got, tc.given)
			}
			// Close waits for the goroutine that compares the answers.
			if err := b.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, verdict := range []string{shadowAgrees, shadowDiffers, shadowMissing, shadowUnknown} {
				want := map[bool]float64{true: 1}[verdict == tc.verdict]
				if n := b.count(t, "ringhook_lookup_shadow_total", "shadow", verdict); n != want {
					t.Errorf("%v comparisons counted as %s, want %v", n, verdict, want)
				}
			}
			if m.Load() != 1 {
				t.Errorf("the shadow was asked %d times, want once", m.Load())
			}
		})
	}
}

func fields(t *testing.T, body string) []Var {
	t.Helper()
	if body == "" {
		return nil
	}
	reader, err := answer.NewReader(answer.Config{Format: "pairs"})
	if err != nil {
		t.Fatal(err)
	}
	read, err := reader.Read(t.Context(), []byte(body), "")
	if err != nil || len(read.Records) != 1 {
		t.Fatal(read, err)
	}
	return read.Records[0]
}

// TestShadowAlone checks that a call does not wait for a shadow.
func TestShadowAlone(t *testing.T) {
	var n atomic.Int32
	shadow := named(t, "shadow", "name=A", &n)
	shadow.Shadow = true
	b := start(t, shadow)
	if b.Wants("p") {
		t.Error("a point with only a shadow waits for a lookup")
	}
	if p := b.Ask(ask(anna)); !p.Done() || p.Answer().Outcome != Missing {
		t.Errorf("answer = %+v, want missing at once", p.Answer())
	}
}

// TestRenewBehind checks renew = "behind": the answer is stale, and the entry is refreshed in the background.
func TestRenewBehind(t *testing.T) {
	var body atomic.Value
	body.Store("name=Anna")
	release := make(chan struct{})
	cfg := crm(t, func(w http.ResponseWriter, _ *http.Request) {
		if body.Load() != "name=Anna" {
			<-release
		}
		io.WriteString(w, body.Load().(string))
	})
	cfg.Renew = "behind"
	b := start(t, cfg)
	await(b.Ask(ask(anna)))
	<-b.cache.stored
	body.Store("name=Anna+Berg")
	b.pass(time.Hour)
	p := b.Ask(ask(anna))
	if got := p.Answer(); got.Outcome != Stale || got.value("name") != "Anna" {
		t.Errorf("answer = %+v, want stale Anna immediately", got)
	}
	close(release)
	<-b.cache.stored
	if got := b.Ask(ask(anna)).Answer(); got.Outcome != Found || got.value("name") != "Anna Berg" {
		t.Errorf("next answer = %+v, want the answer of the source in the background", got)
	}
}
