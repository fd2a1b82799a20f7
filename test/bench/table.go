package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// table collects the measurements of the rounds, a line per work and number of
// concurrent sessions.
type table struct{ lines []line }

// line holds the loads of null, zaf/agi and ringhook.
type line struct {
	work work
	loads
}

func newTable() *table { return new(table) }

// print writes the table as Markdown. Ratios are to null's measurement of the
// same round.
func (t *table) print(out io.Writer, commit time.Duration) {
	fmt.Fprintln(out, "| work | at once | null/s | zaf/agi | ringhook | to reach | p50 null | p50 | p99 | CPU null | CPU | of null |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for i := range t.lines {
		l := &t.lines[i]
		null, zaf, ours := l.runs[0], l.runs[1], l.runs[2]
		fmt.Fprintf(out, "| %s | %s | %.0f | %.2f | %.2f | %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.2f |\n",
			l.work.name, l.level, median(null, perSecond), ratio(zaf, null, perSecond), ratio(ours, null, perSecond), l.target(commit),
			median(null, p50), median(ours, p50), median(ours, p99), median(null, cpu), median(ours, cpu), ratio(ours, null, cpu))
	}
}

// printJSON writes every measurement, a line each.
func (t *table) printJSON(enc *json.Encoder) error {
	for _, l := range t.lines {
		for _, runs := range l.runs {
			for round, m := range runs {
				if err := enc.Encode(struct {
					Work  string `json:"work"`
					Round int    `json:"round"`
					measurement
				}{l.work.name, round + 1, m}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// other returns the average share of the machine that neither server nor load used.
func (t *table) other() float64 {
	sum, n := 0.0, 0
	for _, l := range t.lines {
		for _, runs := range l.runs {
			for _, m := range runs {
				sum += m.Server.Other
				n++
			}
		}
	}
	return sum / float64(max(n, 1))
}

// target returns the target of the line.
func (l *line) target(commit time.Duration) string {
	var texts []string
	if want, ok := l.work.target[l.level]; ok {
		if want == oneCommit {
			alone := 1e6 / median(l.runs[0], perSecond)
			want = alone / (alone + float64(commit.Microseconds()) + 100)
		}
		texts = append(texts, fmt.Sprintf("%.2f", want))
	}
	if l.work.cpu > 0 {
		texts = append(texts, fmt.Sprintf("CPU %.1f", l.work.cpu))
	}
	return strings.Join(texts, ", ")
}

func median(runs []measurement, of func(measurement) float64) float64 {
	values := make([]float64, len(runs))
	for i, m := range runs {
		values[i] = of(m)
	}
	return middle(values)
}

// ratio returns the median of the ratios of two servers in the same round.
func ratio(a, b []measurement, of func(measurement) float64) float64 {
	values := make([]float64, min(len(a), len(b)))
	for i := range values {
		values[i] = of(a[i]) / of(b[i])
	}
	return middle(values)
}

func middle(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
