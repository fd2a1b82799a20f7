package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
)

// result is one figure: ringhook's value, the baseline of the same run, and the target.
type result struct {
	What     string  `json:"what"`
	AtOnce   string  `json:"at_once,omitempty"`
	Baseline float64 `json:"baseline"`
	Ringhook float64 `json:"ringhook"`
	Unit     string  `json:"unit"`   // of both
	Figure   float64 `json:"figure"` // the value that is compared with the target
	Is       string  `json:"figure_unit,omitempty"`
	AtLeast  float64 `json:"at_least,omitempty"`
	AtMost   float64 `json:"at_most,omitempty"`
}

// reached reports whether a figure meets its target, or has none.
func (r *result) reached() bool {
	return (r.AtLeast == 0 || r.Figure >= r.AtLeast) && (r.AtMost == 0 || r.Figure <= r.AtMost)
}

// add adds a figure.
func (b *bench) add(r result) { b.lines = append(b.lines, r) }

// report prints the results in the form that docs/performance.md has.
func (b *bench) report() error {
	if b.asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(b.about()); err != nil {
			return err
		}
		for _, r := range b.lines {
			if err := enc.Encode(struct {
				result
				Reached bool `json:"reached"`
			}{r, r.reached()}); err != nil {
				return err
			}
		}
		return nil
	}
	fmt.Println(b.about())
	fmt.Println()
	printResults(os.Stdout, b.lines)
	return nil
}

func printResults(out io.Writer, lines []result) {
	fmt.Fprintln(out, "| measure | at once | baseline | ringhook | figure | to reach | reached |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- | --- |")
	for i := range lines {
		r := &lines[i]
		target, reached := "", ""
		switch {
		case r.AtLeast > 0:
			target = "at least " + number(r.AtLeast)
		case r.AtMost > 0:
			target = "at most " + number(r.AtMost)
		}
		if target != "" {
			reached = map[bool]string{true: "yes", false: "no"}[r.reached()]
		}
		fmt.Fprintf(out, "| %s | %s | %s %s | %s %s | %s | %s | %s |\n", r.What, r.AtOnce, number(r.Baseline), r.Unit,
			number(r.Ringhook), r.Unit, unit(number(r.Figure), r.Is), unit(target, r.Is), reached)
	}
}

func unit(text, unit string) string {
	if text == "" || unit == "" {
		return text
	}
	return text + " " + unit
}

// number formats a value with three significant digits.
func number(v float64) string {
	digits := 0
	switch {
	case v > -10 && v < 10 && v != 0:
		digits = 2
	case v > -100 && v < 100 && v != float64(int64(v)):
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}
