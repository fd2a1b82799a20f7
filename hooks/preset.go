package hooks

import (
	"bytes"
	"embed"
	"slices"
	"strings"
)

//go:embed presets/*.toml
var presets embed.FS

// Preset gives the text of a preset, which is the body of a [[hook]] table
// without name and url: the words and formats of one kind of receiver.
func Preset(name string) (text []byte, ok bool) {
	text, err := presets.ReadFile("presets/" + name + ".toml")
	return text, err == nil
}

// presetHas tells whether a preset has something of its own for an event. A
// hook that takes it may want fewer events than it speaks of.
func presetHas(name, event string) bool {
	text, ok := Preset(name)
	return ok && bytes.Contains(text, []byte("\n[on."+event+"."))
}

// Presets lists the names of the presets, sorted.
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
