package pops

import (
	"embed"
	"slices"
	"strings"
)

//go:embed presets/*.toml
var presets embed.FS

// Preset returns the text of a preset: the body of a [[pop]] table without name and pages.
func Preset(name string) (text []byte, ok bool) {
	text, err := presets.ReadFile("presets/" + name + ".toml")
	return text, err == nil
}

// Presets returns the names of the presets, sorted.
func Presets() []string {
	files, err := presets.ReadDir("presets")
	if err != nil {
		panic(err) // the folder is in the program itself
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(f.Name(), ".toml")
	}
	slices.Sort(names)
	return names
}
