package lookup

import (
	"testing"
	"time"

	"ringhook/lookup/answer"
)

// greeting is a source type that is defined only by this file and its line in sourceTypes.
type greeting struct{ grader grader }

func (g greeting) prepare(q *Question) *request {
	number := q.Number
	return &request{key: "greeting " + number, number: number, ask: func(time.Time) result {
		return g.grader.grade([]answer.Record{{{Name: "CALLERID(name)", Value: "Hello " + number}}}, matchExact)
	}}
}

// TestNewSourceType checks that a source type defined by one file and one line is asked, cached, explained
// and closed like the others.
func TestNewSourceType(t *testing.T) {
	sourceTypes["greeting"] = sourceType{
		check: func(*Config, func(key, problem string)) {},
		open:  func(c *Config, _ resources) (backend, error) { return greeting{newGrader(c)}, nil },
	}
	defer delete(sourceTypes, "greeting")
	cfg := DefaultConfig()
	cfg.Name, cfg.Type = "hello", "greeting"
	cfg.Parameters(func(key, name string) { t.Errorf("parameter %s of %s", name, key) })
	b := start(t, cfg)
	for i := range 2 {
		got := await(b.Ask(ask(anna)))
		if got.Outcome != Found || got.Source != "hello" || got.value("CALLERID(name)") != "Hello "+anna || got.Cached != (i == 1) {
			t.Errorf("answer %d = %+v", i, got)
		}
	}
	if _, reports := b.Explain(t.Context(), ask(anna)); len(reports) != 1 || reports[0].Outcome != Found || reports[0].Cache != "fresh" {
		t.Errorf("reports = %+v", reports)
	}
}
