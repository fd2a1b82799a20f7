package command

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"ringhook/clickfrom"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/pops"
)

type presetsCmd struct {
	List presetsListCmd `cmd:"" default:"1" help:"List the presets, those of one product together."`
	Show presetsShowCmd `cmd:"" help:"Print a preset, to read it or to copy it into a table."`
}

// preset is a preset of one kind of table.
type preset struct {
	kind string // lookup, hook, pop or click_from
	name string
	text []byte
}

// product is the part of the name that presets of one product share.
func (p *preset) product() string {
	product, _, _ := strings.Cut(p.name, "-")
	return product
}

// about is the first sentence of the preset's description.
func (p *preset) about() string {
	about, _, _ := strings.Cut(strings.TrimLeft(string(p.text), "# "), "\n")
	about, _, _ = strings.Cut(about, ". ")
	return strings.TrimSuffix(about, ".")
}

// allPresets returns the presets of every kind by product; within one, those of lookups first, as a call needs them.
func allPresets() []preset {
	var all []preset
	for _, kind := range []struct {
		name  string
		names func() []string
		text  func(string) ([]byte, bool)
	}{{"lookup", lookup.Presets, lookup.Preset}, {"hook", hooks.Presets, hooks.Preset}, {"pop", pops.Presets, pops.Preset}, {"click_from", clickfrom.Presets, clickfrom.Preset}} {
		for _, name := range kind.names() {
			text, _ := kind.text(name)
			all = append(all, preset{kind.name, name, text})
		}
	}
	slices.SortStableFunc(all, func(a, b preset) int { return cmp.Compare(a.product(), b.product()) })
	return all
}

type presetsListCmd struct{}

// Run lists the presets, each with the first sentence of its description.
func (presetsListCmd) Run(s *streams) error {
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	for _, p := range allPresets() {
		fmt.Fprintf(w, "%s\t[[%s]]\t%s\n", p.name, p.kind, p.about())
	}
	return w.Flush()
}

type presetsShowCmd struct {
	Name string `arg:"" help:"The preset's name, from the list."`
}

// Run prints the presets of a name: a product may have one for each kind of table.
func (c *presetsShowCmd) Run(s *streams) error {
	all := allPresets()
	named := slices.DeleteFunc(slices.Clone(all), func(p preset) bool { return p.name != c.Name })
	if len(named) == 0 {
		var names []string
		for _, p := range all {
			names = append(names, p.name)
		}
		slices.Sort(names)
		return usageError{fmt.Errorf("there is no preset %q; the presets are %s", c.Name, strings.Join(slices.Compact(names), ", "))}
	}
	for i, p := range named {
		if i > 0 {
			fmt.Fprintln(s.out)
		}
		if len(named) > 1 {
			fmt.Fprintf(s.out, "# [[%s]]\n", p.kind)
		}
		fmt.Fprintf(s.out, "%s", p.text)
	}
	return nil
}
