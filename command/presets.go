package command

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"ringhook/hooks"
)

type presetsCmd struct {
	List presetsListCmd `cmd:"" default:"1" help:"List the presets."`
	Show presetsShowCmd `cmd:"" help:"Print a preset, to read it or to copy it into a [[hook]]."`
}

type presetsListCmd struct{}

// Run lists the presets, each with the first sentence of its description.
func (presetsListCmd) Run(s *streams) error {
	w := tabwriter.NewWriter(s.out, 0, 8, 2, ' ', 0)
	for _, name := range hooks.Presets() {
		text, _ := hooks.Preset(name)
		about, _, _ := strings.Cut(strings.TrimLeft(string(text), "# "), "\n")
		about, _, _ = strings.Cut(about, ". ")
		about = strings.TrimSuffix(about, ".")
		fmt.Fprintf(w, "%s\t%s\n", name, about)
	}
	return w.Flush()
}

type presetsShowCmd struct {
	Name string `arg:"" help:"The preset's name, from the list."`
}

// Run prints a preset.
func (c *presetsShowCmd) Run(s *streams) error {
	text, ok := hooks.Preset(c.Name)
	if !ok {
		return usageError{fmt.Errorf("there is no preset %q; the presets are %s", c.Name, strings.Join(hooks.Presets(), ", "))}
	}
	fmt.Fprintf(s.out, "%s", text)
	return nil
}
