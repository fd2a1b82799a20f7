package hooks

import (
	"bytes"
	"embed"
	"slices"
	"strings"
)

//go:embed presets/*.toml
var presets embed.FS

// Preset returns the text of a preset: the body of a [[hook]] table without name
// and url, for one kind of receiver.
func Preset(name string) (text []byte, ok bool) {
	text, err := presets.ReadFile("presets/" + name + ".toml")
	return text, err == nil
}

// presetHas reports whether a preset has a section for an event. A hook with the
// preset may subscribe to fewer events.
func presetHas(name, event string) bool {
	text, ok := Preset(name)
	return ok && bytes.Contains(text, []byte("\n[on."+event+"."))
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
